"""happy_or_sad: emoji-like pictures, from happy-or-sad.zip or its folders happy and sad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tfds_builders.archive import open_archive
from tfds_builders.catalog import DATASETS
from tfds_builders.face_builder import Entry, FaceBuilder, Index

_DATASET = DATASETS["happy_or_sad"]
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


class Builder(FaceBuilder):
    """The builder; it has no options."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _DATASET.how_to_get

    def index(self, raw_files: Sequence[Path]) -> Index:
        """As the base class says."""
        entries = [Entry(name, _label(name)) for name in open_archive(*raw_files).names]
        return Index({"train": entries}, _DATASET.labels)

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """As the base class says."""
        archive = open_archive(*raw_files)
        return (archive.read(entry.source) for entry in entries)


def _label(name: str) -> str:
    folder, _, file = name.rpartition("/")
    if folder not in _DATASET.labels or Path(file).suffix.lower() not in _IMAGE_SUFFIXES:
        raise ValueError(
            f"{name}: not a picture (png, jpg) in the folder {' or '.join(_DATASET.labels)}; "
            "remove it"
        )
    return folder
