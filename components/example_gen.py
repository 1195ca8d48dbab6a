"""ExampleGen: prepares the TFDS builder and assigns every example to a split.

Reads:   a dataset's name and options, the folder of its raw files
Writes:  examples (TFRecords, dataset_info, the table of examples)
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common import progress, tracking
from components.common.examples import Example, read_records, write_examples
from components.common.files import combined_digest, file_digests
from components.common.splits import Shares, Unsplit, assign_splits
from tfds_builders import catalog


def generate_examples(
    examples: Path,
    *,
    name: str,
    options: Mapping[str, Any],
    raw_dir: Path | None,
    method: str,
    shares: Shares,
    seed: int,
) -> dict[str, int]:
    """Writes the examples and returns their number for each split.

    Args:
        examples: folder to fill.
        name: of the dataset, as `mien datasets` lists it.
        options: of the builder.
        raw_dir: where the dataset's raw files lie; None for one that needs none.
        method: `random`, `stratified` or `subject`.
        shares: of train, validation and test.
        seed: of the split.

    Raises:
        FileNotFoundError: a raw file is missing; says which, where and how to get it.
        ValueError: the archive, an option or the split is not usable; says why.
    """
    examples.mkdir(parents=True, exist_ok=True)
    builder = _prepare(examples, catalog.make_builder(name, examples / "tfds", raw_dir, options))
    tfds_splits = {split: info.num_examples for split, info in sorted(builder.info.splits.items())}
    unsplit = list(_read_unsplit(examples / "records", builder, tfds_splits))
    splits = assign_splits(unsplit, method=method, shares=shares, seed=seed)
    rows = [
        Example(hashlib.sha256(example.source.encode()).hexdigest()[:16], split, *example)
        for example, split in zip(unsplit, splits, strict=True)
    ]
    dataset = {
        "name": name,
        "labels": builder.info.features["label"].names,
        "raw_digest": catalog.raw_digest(name, raw_dir),
        "digest": _digest(examples / "records", rows),
        "tfds_splits": tfds_splits,
    }
    write_examples(examples, rows, dataset)
    tracking.log_params({"dataset": name, "digest": dataset["digest"], "images": len(rows)})
    return dict(Counter(splits))


def _prepare(examples: Path, builder: Any) -> Any:
    """Generates the records and moves them to `examples/records`, free of TFDS's own nesting."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    generate = builder._generate_examples
    # TFDS has no hook for progress but its own bar on stderr.
    builder._generate_examples = lambda *args, **kwargs: _counted(generate(*args, **kwargs))
    builder.download_and_prepare()
    shutil.move(builder.data_dir, examples / "records")
    shutil.rmtree(examples / "tfds")
    for shard in (examples / "records").glob("*.tfrecord*"):
        _make_deterministic(shard)
    return tfds.builder_from_directory(examples / "records")


def _make_deterministic(shard: Path) -> None:
    """Rewrites a shard: TFDS serializes the features in an order that changes between processes."""
    import tensorflow as tf

    rewritten = shard.with_name("rewritten")
    with tf.io.TFRecordWriter(str(rewritten)) as writer:
        for record in tf.data.TFRecordDataset(str(shard)):
            example = tf.train.Example.FromString(record.numpy())
            writer.write(example.SerializeToString(deterministic=True))
    rewritten.replace(shard)


def _digest(records: Path, rows: Sequence[Example]) -> str:
    """Of the records and the splits: what a model was trained on, in one number."""
    shards = {name: file for name, file in file_digests(records).items() if "tfrecord" in name}
    table = hashlib.sha256(repr(rows).encode()).hexdigest()
    return combined_digest({**shards, "examples": {"sha256": table}})


def _counted(generated: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for count, item in enumerate(generated, start=1):
        if count % 20 == 0:
            progress.say(f"{count:,} images")
        yield item


def _read_unsplit(records: Path, builder: Any, tfds_splits: Mapping[str, int]) -> Iterator[Unsplit]:
    names = builder.info.features["label"].names
    for split in tfds_splits:
        for record in read_records(records, split):
            yield Unsplit(
                label=names[int(record["label"])],
                subject=record["subject"].decode(),
                source=record["source"].decode(),
            )
