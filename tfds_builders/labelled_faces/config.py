"""The options of labelled_faces."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import tensorflow_datasets as tfds

from tfds_builders.catalog import check_inside
from tfds_builders.labelled_faces.classes import label_key, tidy


@dataclass(eq=False, kw_only=True)
class LabelledFacesConfig(tfds.core.BuilderConfig):
    """Where the pictures are, and what tells their labels; the config's name follows from it.

    Raises:
        ValueError: a value is impossible; the message names it.
    """

    name: str = ""
    source: str = ""
    """The zip or folder in the raw folder; "" for the raw folder itself."""
    table: str = ""
    """The table's name inside; "" for the only .csv; where there is none, folders are classes."""
    image_column: str = ""
    """As `label_column` and `subject_column`: "" to recognise it from the table's header."""
    label_column: str = ""
    subject_column: str = ""
    subject_pattern: str = ""
    """A regular expression that finds the subject in a file name, as its one group."""
    min_count: int = 1
    """Classes with fewer pictures are left out."""
    labels: tuple[str, ...] = ()
    """The classes to read, in their order; () for all, sorted."""

    def __post_init__(self) -> None:
        """Checks the values and names the config after them."""
        for option in ("source", "table", "image_column", "label_column", "subject_column"):
            _check_text(option, getattr(self, option))
        check_inside(self.source)
        _check_pattern(self.subject_pattern)
        if self.subject_pattern and self.subject_column:
            raise ValueError("subject_pattern: is given beside subject_column; give one of them")
        if not (type(self.min_count) is int and self.min_count >= 1):
            raise ValueError(f"min_count: is {self.min_count!r}; give a whole number from 1")
        self.labels = _checked_labels(self.labels)
        self.name = self._name()

    def _name(self) -> str:
        """TFDS makes a folder of it, and a pattern is no name for a folder."""
        options = (
            *(self.source, self.table, self.image_column, self.label_column),
            *(self.subject_column, self.subject_pattern, self.min_count, self.labels),
        )
        digest = hashlib.sha256(json.dumps(options).encode()).hexdigest()
        readable = re.sub(r"[^a-z0-9]+", "_", self.source.lower()).strip("_")
        return f"{readable[:40] or 'raw_dir'}-{digest[:12]}"


def _check_text(option: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{option}: is {value!r}; give a text")


def _check_pattern(pattern: Any) -> None:
    _check_text("subject_pattern", pattern)
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"subject_pattern: {pattern!r} is no regular expression ({error}); give one like "
            r"'^(.+)_\d+\.'"
        ) from None
    if pattern and compiled.groups != 1 and "subject" not in compiled.groupindex:
        raise ValueError(
            f"subject_pattern: {pattern!r} has {compiled.groups} groups; give it one around the "
            "subject, or name that (?P<subject>...)"
        )


def _checked_labels(labels: Any) -> tuple[str, ...]:
    names = labels if isinstance(labels, list | tuple) else [labels]
    keys = {label_key(name) for name in names if isinstance(name, str)}
    if len(keys) != len(names) or "" in keys or isinstance(labels, str):
        raise ValueError(f"labels: is {labels!r}; give a list of different names")
    return tuple(tidy(name) for name in names)
