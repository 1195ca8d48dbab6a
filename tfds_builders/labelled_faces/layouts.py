"""What lies in the user's zip or folder: the pictures, and the classes where folders tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tfds_builders.archive import Archive, open_archive

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}


class Row(NamedTuple):
    """A picture in the archive and what is said of it, as it is written there."""

    source: str
    label: str
    subject: str = ""


def open_source(path: Path, source: str) -> Archive:
    """Returns the archive of a zip or folder; the names of a folder's files are relative to it.

    Args:
        path: of the zip or folder.
        source: its name below the raw folder, for messages.

    Raises:
        ValueError: it is neither, or it is empty, or a link or a zip lies in the folder; or as
            `Archive`.
    """
    if path.is_dir():
        return open_archive(*_children(path, source))
    if path.suffix.lower() != ".zip":
        raise ValueError(f"source: {source} is no zip and no folder; name the one that holds all")
    return open_archive(path)


def sort_out(names: Iterable[str]) -> tuple[list[str], Counter[str]]:
    """Returns the pictures among the files, and how many others there are, by reason."""
    pictures, others = [], Counter[str]()
    for name in names:
        path = PurePosixPath(with_slashes(name))
        # macOS leaves `._a.jpg` beside `a.jpg` on foreign disks: its attributes, not a picture.
        if path.name.startswith("."):
            others["files that are no pictures (hidden)"] += 1
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            pictures.append(name)
        else:
            others[f"files that are no pictures ({path.suffix.lower() or 'no suffix'})"] += 1
    return pictures, others


def folder_rows(pictures: Sequence[str]) -> list[Row]:
    """Returns the pictures with the first folder below the folders that all share as their label.

    Raises:
        ValueError: a picture lies in no folder of a class, or the folders are splits.
    """
    folders = [with_slashes(name).split("/")[:-1] for name in pictures]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False))
    top = len(list(shared))
    homeless = [name for name, parts in zip(pictures, folders, strict=True) if len(parts) == top]
    if homeless:
        raise ValueError(
            f"{homeless[0]}: in no folder of a class, like {len(homeless):,} of {len(pictures):,} "
            "pictures; put each into a folder named after its class, or add a table (.csv)"
        )
    rows = [Row(name, parts[top]) for name, parts in zip(pictures, folders, strict=True)]
    labels = {row.label for row in rows}
    if {label.lower() for label in labels} <= _SPLITS:
        raise ValueError(
            f"{', '.join(sorted(labels))}: folders of splits, not of classes; put the folders of "
            "the classes together, or name one of these as source"
        )
    return rows


def with_slashes(name: str) -> str:
    """Returns the name with forward slashes: some tools on Windows zip with backslashes."""
    return name.replace("\\", "/")


def _children(folder: Path, source: str) -> list[Path]:
    children = sorted(folder.iterdir())
    for child in children:
        if child.is_symlink():
            raise ValueError(f"{child.name}: a link in {folder}; put the file itself there")
        # An Archive would open it, and mix its files with those beside it.
        if child.suffix.lower() == ".zip":
            raise ValueError(
                f"{child.name}: a zip in {folder}; read it with "
                f"source={PurePosixPath(source, child.name)}, or unpack it and take it away"
            )
    if not children:
        raise ValueError(f"{folder}: no files inside; put the pictures there")
    return children
