"""TFRecord files, read so that a corrupt one is named, and where it can be told the record.

A file that was cut at a record boundary reads short with no error at all, and
`Dataset.ignore_errors()` swallows the rest of a corrupt one: hence the count and the digest.
"""

import hashlib
import struct
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

import tensorflow as tf

RECORDS_AT_A_TIME = 256


class CorruptRecordsError(ValueError):
    """A shard is not what was written: names the shard, where it can the record, and the cure."""


def refuse(path: Path, what: str) -> NoReturn:
    """Raises CorruptRecordsError."""
    raise CorruptRecordsError(f"{path}: {what}: run again with --force transform")


def _read_whole(path: Path) -> list[bytes]:
    """The records of a file, each checked by the checksums of its own.

    Raises:
        CorruptRecordsError: a checksum is wrong, or the file ends inside a record.
    """
    records = tf.data.TFRecordDataset(str(path))
    try:
        # One by one, a record takes ten times as long.
        return list(chain.from_iterable(records.batch(RECORDS_AT_A_TIME).as_numpy_iterator()))
    except tf.errors.DataLossError as error:
        is_cut, whole = "truncated record" in error.message, _count_whole(records)
        refuse(path, f"ends inside record {whole}" if is_cut else f"record {whole} is corrupt")


def _count_whole(records: Any) -> int:
    """How many come before the first that is corrupt."""
    count = 0
    with suppress(tf.errors.DataLossError):
        for _ in records:
            count += 1
    return count


def read_all_records(path: Path, count: int, sha256: str) -> list[bytes]:
    """The records of a file that is, byte for byte, what was written; it is read once.

    Raises:
        CorruptRecordsError: the file is missing, its digest another, or its count.
    """
    if not path.exists():
        refuse(path, "is missing")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        whole = len(_read_whole(path))  # which names the record, where one is corrupt
        refuse(path, f"has {whole} whole records, but not the {count} that were written")
    records = _cut(content)
    if len(records) != count:
        refuse(path, f"has {len(records)} records, not {count}")
    return records


def _cut(content: bytes) -> list[bytes]:
    """The records in a TFRecord file.

    Each is a length of 8 bytes, its checksum of 4, the record, and its checksum of 4
    (tensorflow.org/tutorials/load_data/tfrecord). By hand, since `TFRecordDataset` takes 20 ms to
    begin with a file, as long as it takes to decode its pictures.
    """
    records, place = [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        records.append(content[place + 12 : place + 12 + length])
        place += 16 + length
    return records
