"""Keeping native libraries from writing over what a person reads."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Appends what libraries print to a file, for the length of the block.

    The process's stderr itself is turned away, since TensorFlow's C++ writes several lines at every
    import, which no setting silences. Who holds `sys.stdout` from before still writes to it.
    """
    stderr = os.dup(2)
    with path.open("a") as file:
        os.dup2(file.fileno(), 2)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
