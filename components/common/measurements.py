"""What StatisticsGen measures on every image, for the components that judge it."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, get_type_hints

from components.common.files import write_csv


class Measurement(NamedTuple):
    """One image, measured.

    Attributes:
        id: the example's.
        width: in pixels; 0 where the image cannot be decoded.
        height: in pixels; 0 where the image cannot be decoded.
        mean: of the pixels' brightness, the mean of their channels, 0..255.
        std: of the pixels' brightness.
        sha256: of size and pixels, so that the same picture in another file format counts as same.
        phash: perceptual hash, 16 hex digits; those of pictures that look alike differ in few bits.
        has_face: 1 where a face detector finds anything like a face, else 0.
        error: why the image cannot be decoded, or "".
    """

    id: str
    width: int
    height: int
    mean: float
    std: float
    sha256: str
    phash: str
    has_face: int
    error: str


def write_measurements(path: Path, measurements: Iterable[Measurement]) -> None:
    """Writes one row an image."""
    write_csv(path, Measurement._fields, measurements)


def read_measurements(path: Path) -> list[Measurement]:
    """Reads what `write_measurements` wrote."""
    kinds = get_type_hints(Measurement)
    with path.open(newline="") as file:
        return [
            Measurement(**{name: kinds[name](value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]
