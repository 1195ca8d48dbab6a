"""Progress inside a step, told to whoever runs it.

One listener for the process and not a context variable: Beam and Keras call back from threads of
their own. Where nobody listens, as in a Kubeflow container, `say` does nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


def _nobody(text: str) -> None:
    pass


_listener: Callable[[str], None] = _nobody


def say(text: str) -> None:
    """Says where the running step stands, in a few words: `120/840 images`."""
    _listener(text)


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
