"""The `examples` artifact: what ExampleGen writes and the components after it read.

    examples/
      dataset.json     name, labels, digests, record counts of the TFDS splits
      examples.csv     one row a record: id, split, label, subject, source
      records/         the prepared TFDS builder: TFRecord shards, dataset_info.json, features.json

Row i of the table is record i of the TFDS splits laid end to end in the order of `dataset.json`.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from components.common.files import read_json, write_json

SPLITS = ("train", "validation", "test")


class Example(NamedTuple):
    """A row of the table; `id` is stable over runs, `source` is the file in the archive."""

    id: str
    split: str
    label: str
    subject: str
    source: str


def write_examples(examples: Path, rows: Iterable[Example], dataset: Mapping[str, Any]) -> None:
    """Writes the table and the dataset's description."""
    with (examples / "examples.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Example._fields)
        writer.writerows(rows)
    write_json(examples / "dataset.json", dataset)


def read_table(examples: Path) -> list[Example]:
    """The rows of the table, in the order of the records."""
    with (examples / "examples.csv").open(newline="") as file:
        return [Example(**row) for row in csv.DictReader(file)]


def read_dataset(examples: Path) -> dict[str, Any]:
    """The dataset's description, as ExampleGen wrote it: name, labels, digests, TFDS splits."""
    return read_json(examples / "dataset.json")


def read_encoded(examples: Path, start: int, stop: int) -> Iterator[bytes]:
    """Yields the encoded images of records start..stop as they lie in the archive."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(examples / "records")
    part = _instruction(read_dataset(examples)["tfds_splits"], start, stop)
    records = builder.as_dataset(split=part, decoders={"image": tfds.decode.SkipDecoding()})
    for record in records:
        yield record["image"].numpy()


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
