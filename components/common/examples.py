"""The `examples` artifact: what ExampleGen writes and the components after it read.

    examples/
      dataset.json     name, labels, digests, counts of the TFDS splits and of what was left out
      examples.csv     one row a record: id, split, label, subject, source
      records/         the prepared TFDS builder: TFRecord shards, dataset_info.json, features.json

Row i of the table is record i of the TFDS splits laid end to end in the order of `dataset.json`.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from components.common.files import read_json, write_csv, write_json

SPLITS = ("train", "validation", "test")
RECORDS_AT_A_TIME = 32


class MisplacedRecordError(ValueError):
    """The records are not in the order of the table."""


class LostRecordError(ValueError):
    """A file has fewer records than were written to it."""


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
    path = examples / "examples.csv"
    return list(_read_unchanged(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=2)
def _read_unchanged(path: Path, changed: int) -> tuple[Example, ...]:
    """Once a process, for every shard of a step wants the table."""
    with path.open(newline="") as file:
        return tuple(Example(**row) for row in csv.DictReader(file))


def read_dataset(examples: Path) -> dict[str, Any]:
    """The dataset's description, as ExampleGen wrote it: name, labels, digests, TFDS splits."""
    return read_json(examples / "dataset.json")


def read_records(records: Path, start: int, stop: int) -> Iterator[bytes]:
    """Yields records start..stop, serialized, in the one order that all readers share.

    Straight from the files and some at a time: `as_dataset` takes a quarter of a second to begin
    and ten times as long for each record.

    Raises:
        LostRecordError: a file has fewer records than were written to it.
    """
    import tensorflow as tf

    for path, first, last in _files(records, start, stop):
        of_file = tf.data.TFRecordDataset(path).skip(first).take(last - first)
        count = 0
        for batch in of_file.batch(RECORDS_AT_A_TIME).as_numpy_iterator():
            yield from batch
            count += len(batch)
        if count < last - first:
            raise LostRecordError(f"{path} ends at record {first + count} of {last}: remove it")


def _files(records: Path, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
    """The files that hold records start..stop, and which of its own records of each."""
    import tensorflow_datasets as tfds

    offset = 0
    for _, split in sorted(tfds.builder_from_directory(records).info.splits.items()):
        for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
            first, last = max(start - offset, 0), min(stop - offset, length)
            if first < last:
                yield str(path), first, last
            offset += length


def count_bytes(examples: Path) -> int:
    """The size of all records."""
    return sum(path.stat().st_size for path in (examples / "records").glob("*.tfrecord-*"))


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
        LostRecordError: there are fewer records than there should be.
    """
    if not indices:
        return
    import tensorflow as tf

    wanted, first, last = set(indices), indices[0], indices[-1]
    for index, record in enumerate(read_records(examples / "records", first, last + 1), first):
        if index in wanted:
            feature = tf.train.Example.FromString(record).features.feature
            source = feature["source"].bytes_list.value[0].decode()
            if source != table[index].source:
                raise MisplacedRecordError(f"record {index} is {source}, not {table[index].source}")
            yield table[index], feature["image"].bytes_list.value[0]
            wanted.remove(index)
    if wanted:
        raise LostRecordError(f"{examples}: {len(wanted)} records of its table are not there")
