"""Keeping native libraries from writing over what a person reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Appends what is written to the process's stderr to a file, for the length of the block.

    TensorFlow's C++ writes several lines at every import, which no setting silences.
    """
    stderr = os.dup(2)
    with path.open("a") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
