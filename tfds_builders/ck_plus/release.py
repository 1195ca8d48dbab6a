"""The layout of the CK+ release: which file is which frame or label of which sequence."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tfds_builders.archive import open_archive
from tfds_builders.catalog import DATASETS

_MAX_LABEL_BYTES = 64
_FOLDER = r"(?:.*/)?(S[0-9]{3})/([0-9]{3})/"


class Kind(NamedTuple):
    """How the files of an archive are named.

    Attributes:
        pattern: of a whole name; its groups are subject, sequence and number of the frame.
        suspect: of a name that looks like one, so that it is a mistake where it is none.
        wanted: the pattern in words.
    """

    pattern: re.Pattern[str]
    suspect: re.Pattern[str]
    wanted: str


FRAMES = Kind(
    re.compile(_FOLDER + r"\1_\2_([0-9]{8})\.(?i:png)"),
    re.compile(r".*\.png", re.IGNORECASE | re.DOTALL),
    "frame such as S005/001/S005_001_00000011.png",
)
LABELS = Kind(
    re.compile(_FOLDER + r"\1_\2_([0-9]{8})_emotion\.(?i:txt)"),
    re.compile(_FOLDER + r"[^/]*\.txt|.*_emotion\.txt", re.IGNORECASE | re.DOTALL),
    "label such as S005/001/S005_001_00000011_emotion.txt",
)


class File(NamedTuple):
    """A frame or label: the frame's number, which may have gaps before it, and the file's name."""

    number: int
    name: str


Sequences = Mapping[str, list[File]]
"""The files of each sequence, by its name such as S005/001, in the order of their numbers."""


def find_sequences(path: Path, kind: Kind) -> tuple[Sequences, int]:
    """Returns the files of the kind in a zip or folder, and how many other files it has.

    Raises:
        ValueError: there is none; or a file looks like one but is named or placed otherwise; or
            two are of the same frame.
    """
    sequences: dict[str, list[File]] = {}
    names = open_archive(path).names
    for name in names:
        if match := kind.pattern.fullmatch(name):
            subject, sequence, number = match.groups()
            sequences.setdefault(f"{subject}/{sequence}", []).append(File(int(number), name))
        elif kind.suspect.fullmatch(name):
            raise ValueError(f"{name}: is no {kind.wanted}; name it so, or remove it")
    if not sequences:
        raise ValueError(f"{path}: has no {kind.wanted}; get it again")
    for files in sequences.values():
        files.sort()
        for one, two in pairwise(files):
            if one.number == two.number:
                raise ValueError(f"{two.name}: is the frame of {one.name}; remove one of them")
    return sequences, len(names) - sum(map(len, sequences.values()))


def read_emotions(path: Path, label_files: Sequences, sequences: Collection[str]) -> dict[str, str]:
    """Returns the emotion of each sequence that has a label file.

    Raises:
        ValueError: a label file does not hold one emotion, is not the only one of its sequence, or
            its sequence is none of `sequences`.
    """
    archive = open_archive(path)
    emotions = {}
    for sequence, (file, *more) in label_files.items():
        if more:
            raise ValueError(f"{more[0].name}: a second label beside {file.name}; remove one")
        if sequence not in sequences:
            raise ValueError(
                f"{file.name}: a label, but {sequence} has no frames; get the images again, or "
                "remove the label"
            )
        emotions[sequence] = _parse_emotion(file.name, archive.read(file.name))
    return emotions


def _parse_emotion(name: str, content: bytes) -> str:
    # Labels are written as floats; a pattern, since float() takes nan and 1_0 as well.
    number = re.fullmatch(rb"\s*([0-7])(\.0*)?(e[+-]?0+)?\s*", content[:_MAX_LABEL_BYTES])
    if number is None or len(content) > _MAX_LABEL_BYTES:
        start = f"{content[:20]!r}..., {len(content):,} bytes" if content[20:] else repr(content)
        raise ValueError(
            f"{name}: holds {start}; give one number from 0 (neutral) to 7 (surprise), such as "
            "3.0000000e+00"
        )
    return DATASETS["ck_plus"].labels[int(number[1])]
