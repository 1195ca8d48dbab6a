"""ck_plus: faces from neutral to the peak of an emotion, from the release's zips or folders."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import tensorflow_datasets as tfds

from tfds_builders.archive import open_archive
from tfds_builders.catalog import DATASETS
from tfds_builders.ck_plus.release import (
    FRAMES,
    LABELS,
    File,
    Sequences,
    find_sequences,
    read_emotions,
)
from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.options import check_whole

_DATASET = DATASETS["ck_plus"]
_NEUTRAL = ("one_per_subject", "all", "none")
_MIDDLE = "frames between the first one and the peak"
_UNLABELLED = "frames of a sequence without a label"
_NOT_CHOSEN = "first frames not chosen as neutral"
_OTHER_FILES = "files that are neither frame nor label"


@dataclass(eq=False, kw_only=True)
class CkPlusConfig(tfds.core.BuilderConfig):
    """Which frames are read; TFDS's name of the config follows from it.

    Raises:
        ValueError: a value is impossible; the message names it.
    """

    name: str = ""
    peaks: int = 1
    """How many of a labelled sequence's last frames are read, with its emotion."""
    neutral: str = "one_per_subject"
    """Whose first frames are read: one_per_subject, all or none; labelled sequences or not."""
    seed: int = 123
    """Chooses the one of each subject."""

    def __post_init__(self) -> None:
        """Checks the values and names the config after them."""
        check_whole("peaks", self.peaks, 1, 1000)
        check_whole("seed", self.seed, 0, 2**32 - 1)
        if self.neutral not in _NEUTRAL:
            raise ValueError(f"neutral: is {self.neutral!r}; give {' or '.join(_NEUTRAL)}")
        self.name = f"peaks_{self.peaks}-neutral_{self.neutral}-seed_{self.seed}"


class Builder(FaceBuilder):
    """The builder; its options are the fields of CkPlusConfig."""

    CONFIG = CkPlusConfig
    MANUAL_DOWNLOAD_INSTRUCTIONS = _DATASET.how_to_get

    def index(self, raw_files: Sequence[Path]) -> Index:
        """As the base class says."""
        images, labels = raw_files
        config = self.builder_config
        sequences, other_images = find_sequences(images, FRAMES)
        label_files, other_labels = find_sequences(labels, LABELS)
        emotions = read_emotions(labels, label_files, sequences)
        label_of = {
            frame.name: emotion
            for name, emotion in emotions.items()
            for frame in _last_frames(sequences[name], config.peaks)
        }
        starts = [name for name in sequences if sequences[name][0].name not in label_of]
        neutral = _choose_neutral(starts, config.neutral, config.seed)
        label_of |= {sequences[name][0].name: "neutral" for name in neutral}
        entries, left_out = [], Counter({_OTHER_FILES: other_images + other_labels})
        for name, frames in sequences.items():
            for frame in frames:
                if frame.name in label_of:
                    entries.append(Entry(frame.name, label_of[frame.name], _subject(name)))
                elif frame is frames[0]:
                    left_out[_NOT_CHOSEN] += 1
                else:
                    left_out[_MIDDLE if name in emotions else _UNLABELLED] += 1
        notes = tuple(_notes(sequences, label_files, neutral, config.peaks))
        return Index({"train": sorted(entries)}, _DATASET.labels, dict(+left_out), notes)

    def read(self, raw_files: Sequence[Path], entries: Sequence[Entry]) -> Iterator[bytes]:
        """As the base class says."""
        images = open_archive(raw_files[0])
        return (images.read(entry.source) for entry in entries)


def _subject(sequence: str) -> str:
    return sequence.partition("/")[0]


def _last_frames(frames: list[File], count: int) -> list[File]:
    """Never the first one, which is neutral, unless it is the only one."""
    return frames[1:][-count:] or frames


def _choose_neutral(sequences: Iterable[str], which: str, seed: int) -> set[str]:
    """Returns the sequences whose first frame is read as neutral."""
    if which == "none":
        return set()
    if which == "all":
        return set(sequences)

    # Every sequence draws by itself, so that no subject's choice depends on the others.
    def draw(sequence: str) -> bytes:
        return hashlib.sha256(f"{seed}/{sequence}".encode()).digest()

    return {min(own, key=draw) for _, own in groupby(sorted(sequences), key=_subject)}


def _notes(
    sequences: Sequences, label_files: Sequences, neutral: Collection[str], peaks: int
) -> Iterator[str]:
    """Yields what is unusual, a sentence each."""
    if short := [name for name in label_files if len(sequences[name]) <= peaks]:
        yield (
            f"The last {peaks} frames would reach the first frame of {_some(short)}: the first one "
            "is no peak, unless it is the only one."
        )
    if others := [
        name for name, (label,) in label_files.items() if label.number != sequences[name][-1].number
    ]:
        yield f"The label is not of the last frame in {_some(others)}: the last is the peak."
    if late := [name for name in sorted(neutral) if sequences[name][0].number != 1]:
        yield f"The frames do not start at 1 in {_some(late)}: the first there is is neutral."


def _some(sequences: list[str]) -> str:
    more = f" and {len(sequences) - 5} more" if len(sequences) > 5 else ""
    return ", ".join(sequences[:5]) + more
