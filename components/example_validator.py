"""ExampleValidator: finds what would spoil a training or flatter an evaluation.

Reads:   examples, statistics
Writes:  anomalies (anomalies.json: errors, warnings, quarantined examples with their reasons)
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from components.common import tracking
from components.common.examples import Example, read_dataset, read_table
from components.common.files import write_json
from components.common.measurements import Measurement, read_measurements

SHOWN_ERRORS = 3


class InvalidExamplesError(ValueError):
    """The data cannot be trained on; names every error."""


class Anomalies(NamedTuple):
    """What was found.

    Attributes:
        errors: stop the run.
        warnings: are reported.
        quarantined: examples that Transform leaves out: id, split, source, reason.
    """

    errors: list[str]
    warnings: list[str]
    quarantined: list[dict[str, str]]


def validate_examples(
    examples: Path, statistics: Path, anomalies: Path, *, min_class_size: int, blank_std: float
) -> Anomalies:
    """Writes and returns the anomalies.

    Args:
        examples: the examples.
        statistics: what StatisticsGen measured on them.
        anomalies: folder to fill.
        min_class_size: a class with fewer train images is reported.
        blank_std: an image whose pixel values deviate less than this (0..255) counts as blank.

    Raises:
        InvalidExamplesError: an error was found: a class without images, one picture or one person
            on two sides of a split. Names the first three, and where all are.
    """
    table, labels = read_table(examples), read_dataset(examples)["labels"]
    measurements = read_measurements(statistics / "measurements.csv")
    found = find_anomalies(table, measurements, labels, min_class_size, blank_std)
    write_json(anomalies / "anomalies.json", found._asdict())
    tracking.log_artifact(anomalies / "anomalies.json")
    if found.errors:
        hidden = len(found.errors) - SHOWN_ERRORS
        more = [f"and {hidden} more, in {anomalies}"] if hidden > 0 else []
        raise InvalidExamplesError("; ".join(found.errors[:SHOWN_ERRORS] + more))
    return found


def find_anomalies(
    table: Sequence[Example],
    measurements: Sequence[Measurement],
    labels: Sequence[str],
    min_class_size: int,
    blank_std: float,
) -> Anomalies:
    """The anomalies of measured examples: a pure function of both tables, row for row."""
    pairs = list(zip(table, measurements, strict=True))
    quarantined = [
        {
            "id": row.id,
            "split": row.split,
            "source": row.source,
            "reason": f"undecodable: {m.error}",
        }
        for row, m in pairs
        if m.error
    ]
    whole = [(row, measurement) for row, measurement in pairs if not measurement.error]
    rows = [row for row, _ in whole]
    inside, across = _duplicates(whole)
    errors = [*_missing_classes(rows, labels), *across, *_subjects_across_splits(rows)]
    blank = [
        f"{row.source}: blank, standard deviation {m.std:.2f}"
        for row, m in whole
        if m.std < blank_std
    ]
    undecodable = [f"{entry['source']}: {entry['reason']}" for entry in quarantined]
    tiny = _tiny_classes(rows, labels, min_class_size)
    return Anomalies(errors, [*undecodable, *blank, *inside, *tiny], quarantined)


def _missing_classes(rows: Sequence[Example], labels: Sequence[str]) -> Iterator[str]:
    present = {row.label for row in rows if row.split == "train"}
    for label in labels:
        if label not in present:
            yield f"class {label!r} has no image in train: add some, or change the split"


def _tiny_classes(rows: Sequence[Example], labels: Sequence[str], least: int) -> Iterator[str]:
    counts = Counter(row.label for row in rows if row.split == "train")
    for label in labels:
        if 0 < counts[label] < least:
            yield f"class {label!r} has only {counts[label]} images in train"


def _duplicates(pairs: Sequence[tuple[Example, Measurement]]) -> tuple[list[str], list[str]]:
    """The same picture twice: inside one split, and across splits."""
    same: dict[str, list[Example]] = defaultdict(list)
    for row, measurement in pairs:
        same[measurement.sha256].append(row)
    inside: list[str] = []
    across: list[str] = []
    for rows in same.values():
        if len(rows) > 1:
            text = "the same picture: " + ", ".join(f"{row.source} ({row.split})" for row in rows)
            (across if len({row.split for row in rows}) > 1 else inside).append(text)
    return inside, across


def _subjects_across_splits(rows: Sequence[Example]) -> Iterator[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.subject:
            splits[row.subject].add(row.split)
    torn = [subject for subject, of_subject in splits.items() if len(of_subject) > 1]
    if torn:
        yield f"{len(torn)} subjects are in two splits, first {torn[0]}: set split.method=subject"
