"""happy_house: photographs of faces, happy or not, from train_happy.h5 and test_happy.h5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import cv2
import h5py
import numpy as np

from tfds_builders.archive import folder_files
from tfds_builders.catalog import DATASETS
from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.happy_house import h5

_DATASET = DATASETS["happy_house"]


class Place(NamedTuple):
    """Where a picture is."""

    file: str
    number: int


class Builder(FaceBuilder):
    """The builder; it has no options."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _DATASET.how_to_get

    def index(self, raw_files: Sequence[Path]) -> Index:
        """As the base class says."""
        splits: dict[str, list[Entry]] = {}
        notes: list[str] = []
        for path in raw_files:
            folder_files(path)  # Refuses a link or a device.
            with h5.opened(path) as file:
                splits[_split(path)] = _entries(file, path)
                notes += _not_read(file, path)
        return Index(splits, _DATASET.labels, notes=tuple(notes))

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """As the base class says; the pictures are encoded as PNG."""
        paths = {path.name: path for path in raw_files}
        for name, run in groupby(entries, key=lambda entry: entry.place.file):
            with h5.opened(paths[name]) as file:
                pictures = h5.pictures(file, f"{_split(paths[name])}_set_x", name)
                for entry in run:
                    yield _png(h5.read(pictures, entry.place.number, entry.source))


def _split(path: Path) -> str:
    return path.name.partition("_")[0]


def _entries(file: h5py.File, path: Path) -> list[Entry]:
    count = len(h5.pictures(file, f"{_split(path)}_set_x", path.name))
    labels = h5.read_labels(file, f"{_split(path)}_set_y", path.name)
    if len(labels) != count:
        raise h5.wrong(path.name, f"{count:,} pictures and {len(labels):,} labels")
    places = [Place(path.name, number) for number in range(count)]
    sources = [f"{place.file}:{place.number}" for place in places]
    return [
        Entry(source, _label(value, source), place=place)
        for source, value, place in zip(sources, labels, places, strict=True)
    ]


def _label(value: int, source: str) -> str:
    if value not in (0, 1):
        raise h5.wrong(source, f"label is {value}, not 0 (not_happy) or 1 (happy)")
    return _DATASET.labels[value]


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def _not_read(file: h5py.File, path: Path) -> Iterator[str]:
    split = _split(path)
    others = sorted(set(map(str, file)) - {f"{split}_set_x", f"{split}_set_y", "list_classes"})
    if others:
        more = ", ..." if len(others) > 5 else ""
        yield f"Not read in {path.name}: {', '.join(others[:5])}{more}."
