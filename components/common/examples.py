"""The `examples` artifact: what ExampleGen writes and the components after it read.

    examples/
      dataset.json     name, labels, digests, record counts of the TFDS splits
      examples.csv     one row a record: id, split, label, subject, source
      records/         the prepared TFDS builder: TFRecord shards, dataset_info.json, features.json

Row i of the table is record i of the TFDS splits laid end to end in the order of `dataset.json`.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.common.files import read_json, write_csv, write_json

SPLITS = ("train", "validation", "test")


class MisplacedRecordError(ValueError):
    """The records are not in the order of the table."""


class Example(NamedTuple):
    """A row of the table; `id` is stable over runs, `source` is the file in the archive."""

    id: str
    split: str
    label: str
    subject: str
    source: str


def write_examples(examples: Path, rows: Iterable[Example], dataset: Mapping[str, Any]) -> None:
    """Writes the table and the dataset's description."""
    write_csv(examples / "examples.csv", Example._fields, rows)
    write_json(examples / "dataset.json", dataset)


def read_table(examples: Path) -> list[Example]:
    """The rows of the table, in the order of the records."""
    with (examples / "examples.csv").open(newline="") as file:
        return [Example(**row) for row in csv.DictReader(file)]


def read_dataset(examples: Path) -> dict[str, Any]:
    """The dataset's description, as ExampleGen wrote it: name, labels, digests, TFDS splits."""
    return read_json(examples / "dataset.json")


def read_records(records: Path, instruction: str) -> Iterator[dict[str, Any]]:
    """Yields prepared records, their images still encoded, in the one order that all readers share.

    Args:
        records: the folder of a prepared builder.
        instruction: TFDS's, e.g. `train[8:10]`.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(records)
    part = builder.as_dataset(
        split=instruction,
        decoders={"image": tfds.decode.SkipDecoding()},
        # Files read in turns come in another order in a slice than in the whole.
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    yield from part.as_numpy_iterator()


def read_images(
    examples: Path, table: Sequence[Example], indices: Sequence[int]
) -> Iterator[tuple[Example, bytes]]:
    """Yields rows of the table with their encoded images, as they lie in the archive.

    Args:
        examples: the artifact.
        table: all of its rows.
        indices: the wanted ones, ascending; what lies between them is read over.

    Raises:
        MisplacedRecordError: a record is not the one that its row names.
        tensorflow.errors.FailedPreconditionError: there are fewer records than there should be.
    """
    if not indices:
        return
    wanted, first, last = set(indices), indices[0], indices[-1]
    tfds_splits = read_dataset(examples)["tfds_splits"]
    records = read_records(examples / "records", _instruction(tfds_splits, first, last + 1))
    for index, record in enumerate(records, start=first):
        if index in wanted:
            source = record["source"].decode()
            if source != table[index].source:
                raise MisplacedRecordError(f"record {index} is {source}, not {table[index].source}")
            yield table[index], record["image"]


def _instruction(tfds_splits: Mapping[str, int], start: int, stop: int) -> str:
    """The TFDS instruction for records start..stop of the splits laid end to end.

    >>> _instruction({"train": 10, "test": 5}, 8, 12)
    'train[8:10]+test[0:2]'
    """
    parts, offset = [], 0
    for name, count in tfds_splits.items():
        first, last = max(start - offset, 0), min(stop - offset, count)
        if first < last:
            parts.append(f"{name}[{first}:{last}]")
        offset += count
    return "+".join(parts)
