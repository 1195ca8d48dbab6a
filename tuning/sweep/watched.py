"""`python -m tuning` as a process that another one watches: it ends when that one does.

From its first moment on: Keras, which `python -m tuning` begins with, takes 7 to 20 s to import.
"""

import os
import runpy
import threading
import time
from typing import NoReturn

PARENT = "MIEN_SEARCH_PARENT"
"""The variable that says who watches."""

_POLL_SECONDS = 0.5


def end_with_parent() -> None:
    """Ends this process soon after the one that watches it, however that ends."""
    parent = os.environ.get(PARENT)
    if parent:
        threading.Thread(target=_wait_for_end_of, args=[int(parent)], daemon=True).start()


def _wait_for_end_of(parent: int) -> NoReturn:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("tuning", run_name="__main__", alter_sys=True)
