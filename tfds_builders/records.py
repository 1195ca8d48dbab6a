"""A builder's records, written in shards that know nothing of one another.

TFDS generates a dataset record by record in one process, or on Beam through a shuffle of all
records. A builder of mien knows where each picture is before it reads one, so any number of workers
can each write a file of their own, in an order that is known beforehand. What comes out is what
TFDS reads: `tfds.builder_from_directory(folder)`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets as tfds

from tfds_builders.face_builder import Entry, FaceBuilder, Index
from tfds_builders.files import written_whole

IMAGES_A_SHARD = 1000
_TELL_EVERY = 100


class Shard(NamedTuple):
    """A file of records: number `number` of `of` of its split, the entries `start`..`stop`."""

    split: str
    number: int
    of: int
    start: int
    stop: int


class Written(NamedTuple):
    """Of a shard: the bytes of its records, the SHA-256 of each encoded picture in hex."""

    num_bytes: int
    contents: list[str]


def plan_shards(index: Index) -> list[Shard]:
    """Cuts each split into files of near equal length; a split without pictures has none."""
    return [
        Shard(split, number, count, start, stop)
        for split, entries in index.splits.items()
        for count in [math.ceil(len(entries) / IMAGES_A_SHARD)]
        for number, (start, stop) in enumerate(
            pairwise(len(entries) * edge // count for edge in range(count + 1)) if count else ()
        )
    ]


def write_shard(
    builder: FaceBuilder,
    raw_files: Sequence[Path],
    index: Index,
    shard: Shard,
    folder: Path,
    tell: Callable[[int], None],
) -> Written:
    """Reads a shard's pictures and writes its file, holding one picture at a time.

    Args:
        builder: of the dataset.
        raw_files: what it reads.
        index: what `builder.index(raw_files)` returned.
        shard: which part of it.
        folder: the file goes here.
        tell: called now and then with the number of pictures since the last call.

    Raises:
        ValueError: the builder gave another number of pictures than entries, or what `read` raises.
    """
    import tensorflow as tf

    entries = index.splits[shard.split][shard.start : shard.stop]
    numbers = {label: number for number, label in enumerate(index.labels)}
    # One message for all records, its values replaced: to build a message takes five times as long.
    record = tf.train.Example()
    feature = record.features.feature
    label = feature["label"].int64_list.value
    image, subject, source = (
        feature[name].bytes_list.value for name in ("image", "subject", "source")
    )
    label.append(0)
    for value in (image, subject, source):
        value.append(b"")
    num_bytes, contents = 0, []
    path = _template(builder, folder, shard.split).sharded_filepath(
        shard_index=shard.number, num_shards=shard.of
    )
    with written_whole(Path(path)) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for entry, encoded in zip(entries, builder.read(raw_files, entries), strict=True):
            image[0], label[0] = encoded, numbers[entry.label]
            subject[0], source[0] = entry.subject.encode(), entry.source.encode()
            # Without `deterministic` the features' order changes between processes.
            serialized = record.SerializeToString(deterministic=True)
            writer.write(serialized)
            num_bytes += len(serialized)
            contents.append(hashlib.sha256(encoded).hexdigest())
            if len(contents) % _TELL_EVERY == 0:
                tell(_TELL_EVERY)
    tell(len(contents) % _TELL_EVERY)
    return Written(num_bytes, contents)


def write_metadata(
    builder: FaceBuilder, index: Index, written: Mapping[Shard, Written], folder: Path
) -> None:
    """Writes what TFDS wants beside the shards: `dataset_info.json`, `features.json`."""
    builder.set_labels(index.labels)
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[shard.stop - shard.start for shard in shards],
            num_bytes=sum(written[shard].num_bytes for shard in shards),
            filename_template=_template(builder, folder, split),
        )
        for split in index.splits
        if (shards := [shard for shard in written if shard.split == split])
    ]
    builder.info.set_splits(tfds.core.splits.SplitDict(splits))
    builder.info.write_to_directory(folder)


def _template(builder: FaceBuilder, folder: Path, split: str) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
        data_dir=folder, dataset_name=builder.name, split=split, filetype_suffix="tfrecord"
    )


def entries_in_order(index: Index) -> list[tuple[str, Entry]]:
    """Each entry with its split, in the order of the records: splits by name, as TFDS lays them."""
    return [(split, entry) for split in sorted(index.splits) for entry in index.splits[split]]
