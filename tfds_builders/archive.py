"""Reads the members of a zip or of a folder alike, and trusts neither.

An archive comes from the internet: its names may point outside it, and its members may unpack to
more than the memory holds. Nothing is unpacked to disk, and nothing is skipped but litter.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_MEMBER_BYTES = 64 * 2**20
MAX_MEMBERS = 1_000_000
_LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}


def read_members(*paths: Path) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of every file in each zip or folder in turn, sorted by name.

    Names are relative, with forward slashes. A folder's begin with its own name, so that the
    folders `happy` and `sad` read like a zip of the two.

    Raises:
        FileNotFoundError: there is no such zip or folder.
        ValueError: there is no file in any of them; or one is no readable zip, or has more members
            than MAX_MEMBERS; or a member, which the message names, is damaged, is a link, is larger
            than MAX_MEMBER_BYTES, or has a name that leads outside or comes twice.
    """
    empty = True
    for path in paths:
        for member in _read_folder(path) if path.is_dir() else _read_zip(path):
            empty = False
            yield member
    if empty:
        raise ValueError(f"{', '.join(map(str, paths))}: no files inside; get the dataset again")


def folder_files(folder: Path) -> dict[str, Path]:
    """Returns the files of a folder by name, as `read_members` names and sorts them.

    Raises:
        ValueError: as `read_members`.
    """
    files = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder.parent).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{name}: a link or device in {folder}; put the file itself there")
        if path.is_file() and not _is_litter(name):
            files[name] = path
            _check_count(len(files), folder)
    return dict(sorted(files.items()))


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name, path in folder_files(folder).items():
        _check_size(name, path.stat().st_size, folder)
        yield name, path.read_bytes()


def _read_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no readable zip ({error}); download it again") from error
    with archive:
        _check_count(len(archive.infolist()), path)
        previous = None
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            _check_member(member, path)
            if member.filename == previous:
                raise ValueError(f"{member.filename}: comes twice in {path}; download it again")
            previous = member.filename
            if not (member.is_dir() or _is_litter(member.filename)):
                yield member.filename, _read_member(archive, member)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    # zipfile raises RuntimeError for a password, NotImplementedError for an unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"{member.filename}: cannot be read from {archive.filename} ({error}); "
            "download the archive again"
        ) from error


def _check_member(member: zipfile.ZipInfo, archive: Path) -> None:
    # orig_filename: zipfile cuts a name at a NUL, so that two names could pass for one.
    name = member.orig_filename
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if outside or ".." in PureWindowsPath(name).parts or "\0" in name:
        raise ValueError(f"{name!r}: a name that leads outside of {archive}; do not trust this zip")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{name}: a link in {archive}; zip the file itself")
    _check_size(name, member.file_size, archive)


def _check_size(name: str, size: int, container: Path) -> None:
    if size > MAX_MEMBER_BYTES:
        raise ValueError(
            f"{name}: {size} bytes in {container}, more than the {MAX_MEMBER_BYTES} of a member"
        )


def _check_count(count: int, container: Path) -> None:
    if count > MAX_MEMBERS:
        raise ValueError(f"{container}: more than {MAX_MEMBERS} members; split it")


def _is_litter(name: str) -> bool:
    return not _LITTER.isdisjoint(PurePosixPath(name).parts)
