"""drawn_faces: seven expressions on faces that are drawn, so that nothing need be downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from tfds_builders.catalog import DATASETS
from tfds_builders.drawn_faces.pictures import Picture, draw_png, sequences, stills
from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.options import check_whole


@dataclass(eq=False, kw_only=True)
class DrawnFacesConfig(tfds.core.BuilderConfig):
    """How many faces, and of what kind; TFDS's name of the config follows from it.

    Raises:
        ValueError: a value is impossible; the message names it.
    """

    name: str = ""
    images_per_class: int = 200
    size: int = 96
    subjects: int = 60
    strength: tuple[float, float] = (0.8, 1.0)
    """The least and the most that subjects show of an expression: 0 is neutral, 1 the peak."""
    sequences: int = 0
    """0 for stills; n: each subject and expression in n frames, neutral to peak, and no stills."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the values and names the config after them."""
        check_whole("images_per_class", self.images_per_class, 1, 1_000_000)
        check_whole("size", self.size, 32, 1024)
        check_whole("subjects", self.subjects, 1, 1_000_000)
        check_whole("sequences", self.sequences, 0, 1000)
        if self.sequences == 1:
            raise ValueError("sequences: is 1; give 0 for stills, or 2 or more frames")
        check_whole("seed", self.seed, 0, 2**32 - 1)
        self.strength = _checked_strength(self.strength)
        least, most = self.strength
        frames, stills_of_class = self.sequences, self.images_per_class
        kind = f"sequences_of_{frames}" if frames else f"{stills_of_class}_per_class"
        self.name = (
            f"{kind}-{self.subjects}_subjects-{self.size}px"
            f"-strength_{least!r}_{most!r}-seed_{self.seed}"
        )

    def pictures(self) -> Iterator[Picture]:
        """Yields the pictures that these options ask for."""
        if self.sequences:
            return sequences(self.sequences, self.subjects)
        return stills(self.images_per_class, self.subjects)


class Builder(FaceBuilder):
    """The builder; its options are the fields of DrawnFacesConfig."""

    CONFIG = DrawnFacesConfig

    def index(self, raw_files: Sequence[Path]) -> Index:
        """As the base class says."""
        entries = [
            Entry(picture.source, picture.label, picture.subject_name, place=picture)
            for picture in self.builder_config.pictures()
        ]
        return Index({"train": entries}, DATASETS[self.name].labels)

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """As the base class says."""
        config = self.builder_config
        for entry in entries:
            yield draw_png(entry.place, config.size, config.strength, config.seed)


def _checked_strength(value: Any) -> tuple[float, float]:
    """The pair as floats, however a YAML file writes it."""
    match value:
        case [int() | float() as least, int() | float() as most] if 0 <= least <= most <= 1:
            return float(least), float(most)
    raise ValueError(
        f"strength: is {value!r}; give the least and the most, such as [0.8, 1.0], from 0 to 1"
    )
