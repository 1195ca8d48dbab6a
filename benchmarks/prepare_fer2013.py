"""Times preparing, statistics and validation of FER2013 against a bare loop, all in one run.

    python benchmarks/prepare_fer2013.py --raw-dir DIR [--repeats 5]

DIR holds fer2013.zip, the pictures in folders. The bare loop reads the same zip in the same order
and writes the same examples with tf.io.TFRecordWriter, in one process; it neither checks the
archive nor digests it nor writes a table. Ratios are of medians; above 1 is faster than the loop.
"""

import argparse
import os
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from components.common import preparing
from components.common.splits import Shares
from components.example_gen import Split, generate_examples
from components.example_validator import validate_examples
from components.statistics_gen import generate_statistics
from pipelines.config import load_config
from tfds_builders import archive, catalog


def bare_loop(raw_dir: Path, out: Path) -> None:
    """Reads every member and writes it as an example, as one would without mien."""
    with (
        zipfile.ZipFile(raw_dir / "fer2013.zip") as archive,
        tf.io.TFRecordWriter(str(out / "bare.tfrecord")) as writer,
    ):
        members = (member for member in archive.infolist() if not member.is_dir())
        for member in sorted(members, key=lambda member: member.filename):
            feature = {
                "image": _bytes(archive.read(member)),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
                "subject": _bytes(b""),
                "source": _bytes(member.filename.encode()),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def prepare(raw_dir: Path, out: Path, workers: int) -> None:
    """ExampleGen, whole: index, digest of the archive, records, splits, table; nothing kept."""
    for kept in (preparing._opened, archive._open_unchanged, catalog._file_digest):
        kept.cache_clear()
    generate_examples(
        out / "examples",
        name="fer2013",
        options={},
        raw_dir=raw_dir,
        datasets=out / "datasets",
        split=Split("official", Shares(0.7, 0.15, 0.15), seed=0),
        beam={"runner": "DirectRunner", "direct_num_workers": workers},
    )


def judge(examples: Path, out: Path, workers: int) -> None:
    """StatisticsGen and ExampleValidator, with the policies of the config fer2013."""
    beam = {"runner": "DirectRunner", "direct_num_workers": workers}
    _, config = load_config("fer2013")
    generate_statistics(examples, out / "statistics", beam=beam)
    parameters = config.parameters()["example_validator"]
    validate_examples(examples, out / "statistics", out / "anomalies", **parameters, beam=beam)


def seconds(work: Callable[[Path], None]) -> float:
    """How long it takes into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        work(Path(folder))
        return time.perf_counter() - started


def main() -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw-dir", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    ways: dict[str, Callable[[Path], None]] = {
        "bare loop": lambda out: bare_loop(arguments.raw_dir, out),
        "ExampleGen, 1 worker": lambda out: prepare(arguments.raw_dir, out, 1),
        "ExampleGen, 2 workers": lambda out: prepare(arguments.raw_dir, out, 2),
    }
    images = len(zipfile.ZipFile(arguments.raw_dir / "fer2013.zip").infolist())
    for work in ways.values():
        seconds(work)  # The first call of each pays for imports and caches.
    times = {name: [] for name in ways}
    for _ in range(arguments.repeats):
        for name, work in ways.items():
            times[name].append(seconds(work))
    bare = statistics.median(times["bare loop"])
    for name, of_way in times.items():
        median = statistics.median(of_way)
        print(f"{name:22} {median:6.2f} s {images / median:8,.0f} images/s {bare / median:5.2f}")
    with tempfile.TemporaryDirectory() as folder:
        prepare(arguments.raw_dir, Path(folder), 2)
        took = seconds(lambda out: judge(Path(folder) / "examples", out, 2))
    print(f"StatisticsGen and ExampleValidator, 2 workers: {took:.1f} s")


if __name__ == "__main__":
    main()
