"""Progress inside a step, told to whoever runs it.

One listener for the process and not a context variable: Beam and Keras call back from threads of
their own. Where nobody listens, as in a Kubeflow container, `say` does nothing. Worker processes,
here or on a cluster, count in files of a folder, where the process that started them looks.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


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
_count_in: Path | None = None
_LOOK_EVERY = 0.5


def say(text: str) -> None:
    """Says where the running step stands, in a few words: `120/840 images`."""
    _listener(text)


def start(total: int, noun: str) -> None:
    """Begins to count: `advance` says from here on how many of `total` are done."""
    global _count
    _count = _Count(total, noun)


def advance(number: int) -> None:
    """Counts `number` more as done, from whatever thread, and says so."""
    if _count_in:
        _note(_count_in, number)
        return
    with _lock:
        # A cluster may do a shard again.
        _count.done = min(_count.done + number, _count.total)
        done, total = _count.done, _count.total
    say(f"{done:,}/{total:,} {_count.noun} ({done / max(total, 1):.0%})")


def count_in(folder: Path) -> None:
    """From here on this process is a worker: what it counts is for `counted_in` to find."""
    global _count_in
    _count_in = folder


def _note(folder: Path, number: int) -> None:
    """Makes a file of this process's own longer by a byte for each: appending needs no lock."""
    path = folder / f"{socket.gethostname()}-{os.getpid()}.count"
    with suppress(OSError), path.open("ab") as file:  # A count that is lost costs no picture.
        file.write(b"." * number)


@contextmanager
def counted_in(folder: Path) -> Iterator[None]:
    """Counts, during the block, what worker processes note in a folder."""
    ended, seen = threading.Event(), 0

    def look() -> None:
        nonlocal seen
        now = sum(path.stat().st_size for path in folder.glob("*.count"))
        if now > seen:
            advance(now - seen)
        seen = now

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        look()


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
