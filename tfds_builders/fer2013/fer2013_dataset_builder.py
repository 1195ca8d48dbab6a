"""fer2013: faces from the web, as pictures in folders (zipped or not) or as a table of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os.path import splitext
from pathlib import Path

from tfds_builders.archive import open_archive
from tfds_builders.catalog import DATASETS
from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.fer2013.table import TABLES, index_table, read_rows

_DATASET = DATASETS["fer2013"]
_SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""By usage, as the release calls it: a column of its table, the first word of a picture's name."""
_FOLDERS = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
_FOLDERS_OF_SPLITS = set(_FOLDERS.values())
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


class Builder(FaceBuilder):
    """The builder; it has no options."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _DATASET.how_to_get

    def index(self, raw_files: Sequence[Path]) -> Index:
        """As the base class says; where there are a table and pictures, the table is read."""
        archive = open_archive(*raw_files)
        table = _find_table(archive.names, raw_files)
        images = [name for name in archive.names if _is_image(name)]
        others = [name for name in archive.names if name != table and not _is_image(name)]
        if table:
            splits = _by_split(index_table(archive, table, _DATASET.labels, list(_SPLITS)))
        else:
            splits = _by_split(_index_images(images, others, raw_files))
        left_out = {f"pictures beside {table}": len(images)} if table and images else {}
        notes = (*_missing_splits(splits), *_not_read(others))
        return Index(splits, _DATASET.labels, left_out, notes)

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """As the base class says; the rows of a table are encoded as PNG."""
        archive = open_archive(*raw_files)
        if entries and entries[0].place:
            return read_rows(archive, raw_files[0], entries, _DATASET.labels)
        return (archive.read(entry.source) for entry in entries)


def _find_table(names: Sequence[str], raw_files: Sequence[Path]) -> str:
    """The table to read; "" where pictures are to be read: in the folders train and test always."""
    tables = [name for name in names if name.rpartition("/")[2] in TABLES]
    if len(raw_files) > 1 or not tables:
        return ""
    if len(tables) > 1:
        raise ValueError(f"{', '.join(tables)}: all in {raw_files[0]}; keep one of them")
    return tables[0]


def _is_image(name: str) -> bool:
    return splitext(name)[1].lower() in _IMAGE_SUFFIXES


def _index_images(
    images: Sequence[str], others: Sequence[str], raw_files: Sequence[Path]
) -> list[tuple[str, Entry]]:
    where = " and ".join(map(str, raw_files))
    for name in others:
        if not _FOLDERS_OF_SPLITS.isdisjoint(name.split("/")[:-1]):
            raise ValueError(f"{name}: not a picture (jpg, png); remove it")
    if not images:
        raise ValueError(
            f"{where}: has neither train/<class>/*.jpg nor {' nor '.join(TABLES)}, "
            f"but {_listed(others)}. {_DATASET.how_to_get}"
        )
    entries = [_entry(name) for name in images]
    # Some copies hold everything twice, in a folder and in a folder of that folder.
    tops = sorted({"/".join(name.split("/")[:-3]) or "." for name in images})
    if len(tops) > 1:
        raise ValueError(f"{where}: has pictures in {_listed(tops)}; keep one of these folders")
    return entries


def _entry(name: str) -> tuple[str, Entry]:
    """The usage and the entry of a picture."""
    folder, label, file = ["", "", *name.split("/")][-3:]
    usage = file.partition("_")[0]
    if folder not in _FOLDERS_OF_SPLITS:
        raise ValueError(f"{name}: not in train/<class> or test/<class>; move or remove it")
    if label not in _DATASET.labels:
        there_are = ", ".join(_DATASET.labels)
        raise ValueError(f"{name}: {label} is no class of {there_are}; rename or remove it")
    if usage not in _SPLITS:
        begins = ", ".join(f"{usage}_" for usage in _SPLITS)
        raise ValueError(
            f"{name}: begins with none of {begins} and so has no split; rename or remove it"
        )
    if folder != _FOLDERS[usage]:
        raise ValueError(
            f"{name}: a {usage} picture in {folder}; move it to {_FOLDERS[usage]}, or remove it"
        )
    return usage, Entry(name, label)


def _by_split(entries: Iterable[tuple[str, Entry]]) -> dict[str, list[Entry]]:
    splits: dict[str, list[Entry]] = {split: [] for split in _SPLITS.values()}
    for usage, entry in entries:
        splits[_SPLITS[usage]].append(entry)
    return {split: of_split for split, of_split in splits.items() if of_split}


def _missing_splits(splits: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    for usage, split in _SPLITS.items():
        if split not in splits:
            yield f"There are no {usage} pictures, and so no split {split}."


def _not_read(others: Sequence[str]) -> Iterator[str]:
    if others:
        yield f"Not read: {_listed(others)}."


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - 5:,} more"] if len(names) > 5 else []
    return ", ".join([*names[:5], *more])
