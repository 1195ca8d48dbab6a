"""Arrays that may be larger than memory: those lie in a file, mapped."""

import math
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

CGROUP = Path("/sys/fs/cgroup")
"""Says what a container may use, and does (Linux's control groups, version 2)."""


def empty_pixels(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An array to fill; in a file where it would take more than half of the available memory.

    The file has no name: it goes with the array, and with the process however that ends. It lies in
    /var/tmp where TMPDIR says nothing else, since /tmp may itself be memory.

    Raises:
        OSError: there is no room for the file, with the cure.
    """
    size = math.prod(shape)
    if size <= available_memory() // 2:
        return np.empty(shape, np.uint8)
    folder = os.environ.get("TMPDIR") or "/var/tmp"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # Else a disk that fills up later ends the process by a signal, without a word.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.asarray(np.memmap(file, np.uint8, "r+", shape=shape))
    except OSError as error:
        needed = f"{size:,} bytes of pixels do not fit into memory, nor here: {error.strerror}"
        raise OSError(error.errno, f"{needed}; set TMPDIR to a folder with room", folder) from None


def available_memory() -> int:
    """The bytes that this process can take without swapping, or being killed by its container."""
    available = psutil.virtual_memory().available
    limit = CGROUP / "memory.max"
    if not limit.exists() or (most := limit.read_text().strip()) == "max":
        return available
    stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    used = int((CGROUP / "memory.current").read_text()) - int(stat["inactive_file"])
    return max(0, min(available, int(most) - used))
