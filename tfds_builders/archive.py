"""Reads the files of zips and of folders alike, and trusts neither.

An archive comes from the internet: its names may point outside it, and its members may unpack to
more than the memory holds. Nothing is unpacked to disk, and nothing is skipped but litter.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

MAX_MEMBERS = 1_000_000
MAX_MEMBER_BYTES = 64 * 2**20
"""Of a member that is read whole."""
MAX_STREAM_BYTES = 16 * 2**30
"""Of a member that is read line by line."""
MAX_LINE_CHARACTERS = 2**20
MAX_RATIO = 200
"""Of unpacked to packed size, for a member of a megabyte or more and for a zip as a whole. Deflate
reaches 1032; pictures, h5 files and tables of pixels stay below 10."""
_RATIO_COUNTS_FROM = 2**20
# A pattern: to make paths of a large archive's names takes longer than to read its members.
_OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0")
"""Absolute, on a drive, upwards, or cut by a NUL: on whatever system it is unpacked."""
_LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}


class Archive:
    """The files in zips and folders by name, and plain files, all in one; safe to share in threads.

    Attributes:
        names: relative, with forward slashes, sorted. Those of a folder's files begin with the
            folder's own name, so that the folders `happy` and `sad` read like a zip of the two.
    """

    def __init__(self, *paths: Path) -> None:
        """Lists what is there, without reading it.

        Raises:
            FileNotFoundError: there is no such file or folder.
            ValueError: there is no file in any of them; or one is no readable zip, or has
                MAX_MEMBERS members or more, or unpacks to more than MAX_RATIO times its size; or a
                member, which the message names, is a link, unpacks to more than MAX_RATIO times its
                size, or has a name that leads outside or comes twice.
        """
        self._places: dict[str, _Zip | _Files] = {}
        for path in paths:
            container = _Zip(path) if path.suffix.lower() == ".zip" else _Files(path)
            for name in container.names:
                if name in self._places:
                    raise ValueError(f"{name}: comes twice in {path}; get the dataset again")
                self._places[name] = container
                _check_count(len(self._places), path)
        if not self._places:
            raise ValueError(
                f"{', '.join(map(str, paths))}: no files inside; get the dataset again"
            )
        self.names = tuple(sorted(self._places))

    def read(self, name: str) -> bytes:
        """Returns the content of a file.

        Raises:
            KeyError: there is no such file.
            ValueError: it is damaged, or has more than MAX_MEMBER_BYTES.
        """
        container = self._places[name]
        _check_size(name, container.size(name), MAX_MEMBER_BYTES, container.path)
        with _reading(name, container.path):
            return container.read(name)

    def lines(self, name: str) -> Iterator[str]:
        """Yields the lines of a UTF-8 text without holding the whole; a byte order mark is dropped.

        Raises:
            KeyError: there is no such file.
            ValueError: it is damaged, is no UTF-8, or has more than MAX_STREAM_BYTES, or a line
                more than MAX_LINE_CHARACTERS.
        """
        container = self._places[name]
        _check_size(name, container.size(name), MAX_STREAM_BYTES, container.path)
        with (
            _reading(name, container.path),
            container.open(name) as stream,
            io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
        ):
            while line := text.readline(MAX_LINE_CHARACTERS):
                if len(line) == MAX_LINE_CHARACTERS:
                    raise ValueError(f"{name}: a line without end, in {container.path}")
                yield line


def open_archive(*paths: Path) -> Archive:
    """Returns the archive of these paths; the same one as long as none of them changes.

    To list a large zip takes longer than to read a shard's worth of it.
    """
    return _open_unchanged(paths, tuple(map(_last_change, paths)))


def _last_change(path: Path) -> int:
    """When a file was changed, or a file added to or taken from a folder, however deep."""
    walked = os.walk(path, onerror=_raise) if path.is_dir() else ()
    folders = [Path(folder) for folder, _, _ in walked]
    return max(changed.stat().st_mtime_ns for changed in (path, *folders))


@lru_cache(maxsize=4)
def _open_unchanged(paths: tuple[Path, ...], changed: tuple[int, ...]) -> Archive:
    return Archive(*paths)


def folder_files(path: Path) -> dict[str, Path]:
    """Returns the files of a folder, or the one file, by name, as `Archive` names and sorts them.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: there is a link in it, or there are MAX_MEMBERS files or more.
    """
    files = {}
    for file in _below(path) if path.is_dir() else [path]:
        name = file.relative_to(path.parent).as_posix()
        if not name.isprintable():  # Undecodable bytes of a name are unprintable too.
            raise ValueError(f"{name!r}: a name with unprintable characters; rename it")
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            if not file.is_symlink() and not file.exists():
                raise FileNotFoundError(f"{file}: no such file")
            raise ValueError(f"{name}: a link or device in {path}; put the file itself there")
        if file.is_file() and not _is_litter(name):
            files[name] = file
            _check_count(len(files), path)
    return dict(sorted(files.items()))


def _below(folder: Path) -> Iterator[Path]:
    """Every file and folder in a folder; one that may not be read is an error, not a gap."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        yield from (Path(parent, name) for name in (*folders, *files))


def _raise(error: OSError) -> None:
    raise error


class _Files:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = folder_files(path)
        self.names = list(self._files)

    def size(self, name: str) -> int:
        return self._files[name].stat().st_size

    def open(self, name: str) -> IO[bytes]:
        return self._files[name].open("rb")

    def read(self, name: str) -> bytes:
        return self._files[name].read_bytes()


class _Zip:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no readable zip ({error}); download it again") from error
        members = self._zip.infolist()
        _check_count(len(members), path)
        for member in members:
            _check_member(member, path)
        self._members = {m.filename: m for m in members if not m.is_dir()}
        if len(self._members) < sum(not member.is_dir() for member in members):
            _refuse_repeated(members, path)
        self.names = [name for name in self._members if not _is_litter(name)]
        unpacked = sum(member.file_size for member in members)
        if unpacked > max(MAX_RATIO * path.stat().st_size, _RATIO_COUNTS_FROM):
            largest = max(members, key=lambda member: member.file_size).filename
            raise ValueError(
                f"{path}: unpacks to {unpacked:,} bytes, more than {MAX_RATIO} times its size, "
                f"its largest member is {largest}; do not trust this zip"
            )

    def size(self, name: str) -> int:
        return self._members[name].file_size

    def open(self, name: str) -> IO[bytes]:
        return self._zip.open(self._members[name])

    def read(self, name: str) -> bytes:
        # As much as is declared and no more: `ZipFile.read` unpacks all before it compares.
        with self.open(name) as stream:
            return stream.read(self.size(name))


@contextmanager
def _reading(name: str, container: Path) -> Iterator[None]:
    """Names the member in what goes wrong while it is read."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: no UTF-8 text ({error}), in {container}") from error
    # zipfile raises RuntimeError for a password, NotImplementedError for an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"{name}: cannot be read from {container} ({error}); download the archive again"
        ) from error


def _check_member(member: zipfile.ZipInfo, archive: Path) -> None:
    # orig_filename: zipfile cuts a name at a NUL, so that two names could pass for one; filename:
    # Python 3.12 takes it from a field of its own where there is one.
    for name in {member.orig_filename, member.filename}:
        if _OUTSIDE.search(name):
            raise ValueError(
                f"{name!r}: a name that leads outside of {archive}; do not trust this zip"
            )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # The others unpack without a bound, whatever size is declared.
        raise ValueError(f"{name}: compressed by an unusual method in {archive}; zip it anew")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{name}: a link in {archive}; zip the file itself")
    if member.file_size > max(MAX_RATIO * member.compress_size, _RATIO_COUNTS_FROM):
        raise ValueError(
            f"{name}: unpacks from {member.compress_size:,} to {member.file_size:,} bytes in "
            f"{archive}, more than {MAX_RATIO} times; do not trust this zip"
        )


def _refuse_repeated(members: list[zipfile.ZipInfo], archive: Path) -> None:
    seen: set[str] = set()
    for member in members:
        if member.filename in seen:
            raise ValueError(f"{member.filename}: comes twice in {archive}; download it again")
        seen.add(member.filename)


def _check_size(name: str, size: int, limit: int, container: Path) -> None:
    if size > limit:
        raise ValueError(f"{name}: {size:,} bytes in {container}, more than the {limit:,} allowed")


def _check_count(count: int, container: Path) -> None:
    if count >= MAX_MEMBERS:
        raise ValueError(f"{container}: {MAX_MEMBERS:,} members or more; split it")


def _is_litter(name: str) -> bool:
    return not _LITTER.isdisjoint(name.split("/"))
