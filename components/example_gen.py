"""ExampleGen: prepares the TFDS builder and assigns every example to a split.

Reads:   a dataset's name and options, the folder of its raw files
Writes:  examples (TFRecords, dataset_info, the table of examples)
"""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.common import tracking
from components.common.examples import Example, write_examples
from components.common.files import combined_digest
from components.common.preparing import Prepared, prepare
from components.common.splits import (
    Shares,
    Unsplit,
    assign_folds,
    assign_splits,
    splits_of_fold,
)
from tfds_builders.records import entries_in_order


class Split(NamedTuple):
    """How examples are assigned to train, validation and test.

    Attributes:
        method: see `assign_splits`; without meaning where there are folds.
        shares: of train, validation and test; likewise.
        seed: another seed, another split.
        folds: of a cross-validation; 0 for none.
        fold: which of them is tested on.
    """

    method: str
    shares: Shares
    seed: int
    folds: int = 0
    fold: int = 0


class Generated(NamedTuple):
    """The number of examples of each split, and what a person should know of the dataset."""

    counts: dict[str, int]
    notes: list[str]


def generate_examples(
    examples: Path,
    *,
    name: str,
    options: Mapping[str, Any],
    raw_dir: Path | None,
    datasets: Path,
    split: Split,
    beam: Mapping[str, Any],
) -> Generated:
    """Writes the examples.

    Args:
        examples: folder to fill.
        name: of the dataset, as `mien datasets` lists it.
        options: of the builder.
        raw_dir: where the dataset's raw files lie; None for one that needs none.
        datasets: prepared datasets are kept here, and found again.
        split: how the examples are assigned.
        beam: Beam's pipeline options.

    Raises:
        FileNotFoundError: a raw file is missing; says which, where and how to get it.
        ValueError: the archive, an option or the split is not usable; says why.
    """
    examples.mkdir(parents=True, exist_ok=True)
    prepared = prepare(name, options, raw_dir, datasets=datasets, beam=beam)
    _take_over(prepared.folder / "records", examples / "records")
    rows = assign(prepared, split)
    dataset = {
        "name": name,
        "options": dict(options),
        "labels": prepared.index.labels,
        "raw_digest": prepared.raw_digest,
        "digest": _digest(prepared.files, rows),
        "tfds_splits": _tfds_splits(prepared),
        "left_out": prepared.index.left_out,
        "notes": prepared.index.notes,
    }
    write_examples(examples, rows, dataset)
    tracking.log_params({"dataset": name, "digest": dataset["digest"], "images": len(rows)})
    left_out = [f"{count:,} left out: {why}" for why, count in prepared.index.left_out.items()]
    return Generated(dict(Counter(row.split for row in rows)), [*left_out, *prepared.index.notes])


def assign(prepared: Prepared, split: Split) -> list[Example]:
    """The table of examples: each entry with its id and its split, in the order of the records."""
    entries = entries_in_order(prepared.index)
    unsplit = [
        Unsplit(entry.label, entry.subject, content, official)
        for (official, entry), content in zip(entries, prepared.contents, strict=True)
    ]
    if split.folds:
        folds = assign_folds(unsplit, folds=split.folds, seed=split.seed)
        splits = splits_of_fold(folds, split.fold, split.folds)
    else:
        splits = assign_splits(unsplit, method=split.method, shares=split.shares, seed=split.seed)
    return [
        Example(_id(entry.source), assigned, entry.label, entry.subject, entry.source)
        for (_, entry), assigned in zip(entries, splits, strict=True)
    ]


def _id(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _tfds_splits(prepared: Prepared) -> dict[str, int]:
    splits = prepared.index.splits
    return {name: len(splits[name]) for name in sorted(splits) if splits[name]}


def _take_over(records: Path, into: Path) -> None:
    """The prepared records under another name, by links where the disk can: they never change."""
    try:
        shutil.copytree(records, into, copy_function=os.link)
    except OSError:
        shutil.rmtree(into, ignore_errors=True)
        shutil.copytree(records, into)


def _digest(files: Mapping[str, Any], rows: Sequence[Example]) -> str:
    """Of the records and the splits: what a model was trained on, in one number."""
    shards = {name: file for name, file in files.items() if "tfrecord" in name}
    table = hashlib.sha256(repr(rows).encode()).hexdigest()
    return combined_digest({**shards, "examples": {"sha256": table}})
