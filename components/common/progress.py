"""Progress inside a step, told to whoever runs it.

One listener for the process and not a context variable: Beam and Keras call back from threads of
their own. Where nobody listens, as in a Kubeflow container, `say` does nothing.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


def _nobody(text: str) -> None:
    pass


@dataclass
class _Count:
    total: int
    noun: str
    done: int = 0


_listener: Callable[[str], None] = _nobody
_count = _Count(0, "")
_lock = threading.Lock()


def say(text: str) -> None:
    """Says where the running step stands, in a few words: `120/840 images`."""
    _listener(text)


def start(total: int, noun: str) -> None:
    """Begins to count: `advance` says from here on how many of `total` are done."""
    global _count
    _count = _Count(total, noun)


def advance(number: int) -> None:
    """Counts `number` more as done, from whatever thread, and says so."""
    with _lock:
        _count.done += number
        done, total = _count.done, _count.total
    say(f"{done:,}/{total:,} {_count.noun} ({done / max(total, 1):.0%})")


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Sends what is said inside the block to `listener`."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


def figures(logs: Mapping[str, float]) -> str:
    """The metrics of an epoch that a person follows: `loss 0.41, accuracy 0.88, val_...`."""
    shown = ("loss", "accuracy", "val_loss", "val_accuracy")
    return ", ".join(f"{name} {logs[name]:.3f}" for name in shown if name in logs)
