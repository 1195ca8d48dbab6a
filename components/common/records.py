"""Transformed examples: TFRecord shards with counts and digests, written and read here only."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.common.files import read_json, sha256_file
from components.common.memory import empty_pixels
from components.common.pictures.images import UndecodableImageError, decode_png
from components.common.tfrecords import read_all_records, refuse
from tfds_builders.files import written_whole

_TEXTS = ("id", "subject", "source")
_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/label": tf.io.FixedLenFeature((), tf.int64),
    **{name: tf.io.FixedLenFeature((), tf.string) for name in _TEXTS},
    "landmarks": tf.io.RaggedFeature(tf.float32),
}


class Record(NamedTuple):
    """One transformed example.

    Attributes:
        encoded: the picture, a PNG.
        label: an index into the labels.
        id: of the example.
        subject: who it shows, or "".
        source: its file in the archive.
        landmarks: features of its landmarks, written as float32; empty: none.
    """

    encoded: bytes
    label: int
    id: str
    subject: str
    source: str
    landmarks: tuple[float, ...] = ()


class Shard(TypedDict):
    """A written shard, as `shards.json` lists it."""

    file: str
    records: int
    sha256: str


class Split(NamedTuple):
    """A split that is ready to train on.

    Attributes:
        images: uint8 [n, height, width, channels]; mapped from a file where memory is too small.
        labels: int64 [n].
        ids: [n].
        subjects: [n].
        sources: [n].
        landmarks: float32 [n, k]; k is 0 where the records have none.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: list[str]
    subjects: list[str]
    sources: list[str]
    landmarks: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        """The number of examples, not of fields."""
        return len(self.labels)


def write_shard(path: Path, records: Iterable[Record]) -> Shard:
    """Writes one TFRecord file and returns its name, count and digest."""
    count = 0
    with written_whole(path) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for count, record in enumerate(records, start=1):  # noqa: B007
            writer.write(_serialize(record))
    return Shard(file=path.name, records=count, sha256=sha256_file(path))


def _serialize(record: Record) -> bytes:
    example = tf.train.Example()
    feature = example.features.feature
    feature["image/encoded"].bytes_list.value.append(record.encoded)
    feature["image/label"].int64_list.value.append(record.label)
    for name in _TEXTS:
        feature[name].bytes_list.value.append(getattr(record, name).encode())
    if len(record.landmarks):
        feature["landmarks"].float_list.value.extend(record.landmarks)
    # Without `deterministic` the map's order, and so the shard's digest, changes between runs.
    return example.SerializeToString(deterministic=True)


def read_shard(folder: Path, shard: Shard) -> list[Record]:
    """The records of one shard, in order.

    Raises:
        CorruptRecordsError: the shard is missing or not the one that was written.
    """
    records = read_all_records(folder / shard["file"], shard["records"], shard["sha256"])
    return [_parse(serialized) for serialized in records]


def _parse(serialized: bytes) -> Record:
    feature = tf.train.Example.FromString(serialized).features.feature
    example_id, subject, source = (feature[name].bytes_list.value[0].decode() for name in _TEXTS)
    return Record(
        feature["image/encoded"].bytes_list.value[0],
        feature["image/label"].int64_list.value[0],
        example_id,
        subject,
        source,
        tuple(feature["landmarks"].float_list.value),
    )


def read_shards(examples: Path) -> dict[str, list[Shard]]:
    """The shards of every split, from `shards.json`."""
    return read_json(examples / "shards.json")


def splits(examples: Path) -> dict[str, int]:
    """The number of records of every split that has any."""
    counts = {
        name: sum(shard["records"] for shard in shards)
        for name, shards in read_shards(examples).items()
    }
    return {name: count for name, count in counts.items() if count}


def load_split(examples: Path, split: str) -> Split:
    """Reads a split, its images decoded, in the order of the shards.

    Several shards at a time, whose encoded pictures are let go as they are decoded. The first is
    read twice: it tells the shapes of all.

    Raises:
        CorruptRecordsError: a shard is missing or not the one that was written.
        KeyError: there is no such split, or it has no records.
        OSError: the pixels fit neither into memory nor on the disk.
    """
    shards = [shard for shard in read_shards(examples)[split] if shard["records"]]
    if not shards:
        raise KeyError(f"{split}: no records in {examples}")
    *starts, total = accumulate((shard["records"] for shard in shards), initial=0)
    pixels_shape, features = _first_shapes(examples / shards[0]["file"], shards[0])
    images = empty_pixels((total, *pixels_shape))
    labels, landmarks = np.empty(total, np.int64), np.empty((total, features), np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        load = partial(_load_shard, examples, images, labels, landmarks)
        texts = list(pool.map(load, shards, starts))
    ids, subjects, sources = (
        list(chain.from_iterable(of_shards)) for of_shards in zip(*texts, strict=True)
    )
    return Split(images, labels, ids, subjects, sources, landmarks)


def _first_shapes(path: Path, shard: Shard) -> tuple[tuple[int, ...], int]:
    """The shape of the first record's pixels, and how many landmark features it has."""
    columns = _read_columns(path, shard)
    pixels = _decode(path, 0, columns["image/encoded"][0].numpy())
    return pixels.shape, int(columns["landmarks"].row_lengths()[0])


def _load_shard(
    examples: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    landmarks: NDArray[np.float32],
    shard: Shard,
    start: int,
) -> tuple[list[str], ...]:
    """Fills the arrays from row `start` on; returns ids, subjects and sources."""
    path, rows = examples / shard["file"], slice(start, start + shard["records"])
    columns = _read_columns(path, shard)
    labels[rows] = columns["image/label"]
    for number, encoded in enumerate(columns["image/encoded"].numpy()):
        pixels = _decode(path, number, encoded)
        _require_like_first(path, number, "pixels", pixels.shape, images.shape[1:])
        images[start + number] = pixels
    for number, length in enumerate(columns["landmarks"].row_lengths().numpy()):
        _require_like_first(path, number, "landmark features", length, landmarks.shape[1])
    landmarks[rows] = columns["landmarks"].flat_values.numpy().reshape(landmarks[rows].shape)
    return tuple([text.decode() for text in columns[name].numpy()] for name in _TEXTS)


def _require_like_first(path: Path, number: int, what: str, found: Any, first: Any) -> None:
    if found != first:
        refuse(path, f"record {number} has {found} {what}, the first of the split {first}")


def _read_columns(path: Path, shard: Shard) -> dict[str, Any]:
    """Each feature of all records of a shard, as a tensor [n]."""
    serialized = read_all_records(path, shard["records"], shard["sha256"])
    return tf.io.parse_example(serialized, _FEATURES)


def _decode(path: Path, number: int, encoded: bytes) -> NDArray[np.uint8]:
    try:
        return decode_png(encoded)
    except UndecodableImageError as error:
        refuse(path, f"record {number}: {error}")
