"""A file on a disk that has no room."""

from io import FileIO
from typing import Any


class FullDisk:
    """Takes half of a line, and says so, as a file system does."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    def write(self, line: bytes) -> int:
        return self._file.write(line[: len(line) // 2])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
