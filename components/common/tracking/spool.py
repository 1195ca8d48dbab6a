"""Records on disk until MLflow has them: append-only, so that a killed process loses none.

A folder holds `records.jsonl`, a line a record; `sent.jsonl`, a line for each of them that was
sent; and `files/`, copies of the artifacts. A process holds its lock as long as it lives. Beside it
may lie what the server will not take, `<folder>.refused`, and what cannot be read, `.damaged`.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock

Record = dict[str, Any]

_REFUSED = ".refused"
_DAMAGED = ".damaged"


class Spool:
    """The records of one process.

    Attributes:
        folder: where they lie.
        ids: what the server calls the runs, by their local id; of the runs that it knows.
    """

    def __init__(self, folder: Path) -> None:
        """Opens a folder, or makes it.

        Raises:
            filelock.Timeout: a living process writes to it.
            OSError: the folder cannot be written.
            ValueError: what was sent cannot be read: it is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = FileLock(folder / "lock")
        self._lock.acquire(blocking=False)
        self._records = (folder / "records.jsonl").open("ab+", buffering=0)
        # A reader of its own: a line is read while the next one is written.
        self._unread = (folder / "records.jsonl").open("rb")
        self._sent = (folder / "sent.jsonl").open("ab+", buffering=0)
        self.ids: dict[str, str] = {}
        self._skip_what_was_sent()

    def _skip_what_was_sent(self) -> None:
        self._sent.seek(0)
        whole, _, torn = self._sent.read().rpartition(b"\n")
        self._sent.truncate(self._sent.tell() - len(torn))
        for line in whole.splitlines():
            record = json.loads(self._unread.readline())
            if server_id := json.loads(line):
                self.ids[record["run"]] = server_id

    def append(self, record: Record) -> None:
        """Keeps a record, whole or not at all; a killed process does not lose it, a power cut may.

        Raises:
            OSError: the disk is full.
        """
        _append(self._records, record)

    def next_unsent(self) -> Record | None:
        """The oldest record that was not sent, or None; the same one until it is marked.

        Raises:
            ValueError: it cannot be read: it is damaged.
        """
        position = self._unread.tell()
        line = self._unread.readline()
        self._unread.seek(position)
        # The last line of a killed process may be torn: whoever told it was never answered.
        return json.loads(line) if line.endswith(b"\n") else None

    def mark_sent(self, server_id: str | None) -> None:
        """Says that the oldest unsent record was sent, and what the server calls its run.

        Raises:
            OSError: the disk is full; the record is still unsent.
        """
        _append(self._sent, server_id)
        record = json.loads(self._unread.readline())
        if server_id:
            self.ids[record["run"]] = server_id

    def copy(self, path: Path) -> str:
        """Copies a file or a folder, which may be moved before it is sent; says where to, below."""
        target = self.folder / "files" / uuid.uuid4().hex / path.name
        target.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)
        return target.relative_to(self.folder).as_posix()

    def set_aside(self, record: Record) -> Path:
        """Keeps a record that is refused, its run's id, and its file or folder; says where."""
        folder = refused_folder(self.folder)
        folder.mkdir(exist_ok=True)
        if path := record.get("path"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # Removed by hand, or kept already and then killed.
                (self.folder / path).rename(folder / path)
        with (folder / "records.jsonl").open("ab", buffering=0) as file:
            _append(file, {**record, "run_id": self.ids.get(record["run"])})
        return folder

    def remove(self) -> None:
        """Removes the folder, at once and for good: half of it would be sent again."""
        gone = self.folder.rename(self.folder.with_name(f".{self.folder.name}"))
        self.close()
        shutil.rmtree(gone, ignore_errors=True)

    def close(self) -> None:
        """Leaves the folder to the next process."""
        for file in (self._records, self._unread, self._sent):
            file.close()
        self._lock.release()


def _append(file: FileIO, content: object) -> None:
    line = json.dumps(content).encode() + b"\n"
    end = file.seek(0, os.SEEK_END)
    try:
        if file.write(line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        file.truncate(end)
        raise


def left_behind(folder: Path) -> Iterator[Path]:
    """The folders of what was not sent, the oldest first, those of living processes among them."""
    for path in folder.glob(".*"):  # Sent, and killed while it was removed.
        shutil.rmtree(path, ignore_errors=True)
    for path in sorted(folder.glob("[!.]*")):
        if path.suffix not in (_REFUSED, _DAMAGED):
            yield path


def refused_folder(folder: Path) -> Path:
    """Where what the server will not take is kept, beside the folder of a spool."""
    return folder.with_name(folder.name + _REFUSED)


def set_damaged_aside(folder: Path) -> Path:
    """Renames the folder of a spool that cannot be read, so that nobody tries again; says where."""
    return folder.rename(folder.with_name(folder.name + _DAMAGED))
