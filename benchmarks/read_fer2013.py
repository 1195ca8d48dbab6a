"""Times reading FER2013's train pictures against Keras, first pass and later ones, in one run.

    python benchmarks/read_fer2013.py --raw-dir DIR [--root ROOT] [--repeats 5]

DIR holds fer2013.zip, the pictures in folders. ROOT is a pipeline root where Transform has run on
it; without one, it is made, which takes 3 minutes. The first pass begins with nothing open (mien:
`load_split` and one epoch; Keras: the listing of the folders and one epoch), a later pass is one
more epoch. An epoch is shuffled batches of 64 as tensors. Ratios are of medians, to Keras. The
images a CPU second tell more than those a second where other work shares the cores.

The second table reads 1, 4 and 16 times the data, each in a process of its own: the peak memory is
what the process's own (anonymous) memory grew by while it read the split.
"""

import argparse
import gc
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import keras
import numpy as np
import tensorflow as tf

from components.common import memory
from components.common.records import Record, load_split, read_shard, read_shards
from tuning.training.batches import Batches

BATCH_SIZE = 64
CLASSES = 7
LIMITS = "limit: decoding, memcpy"


class Way(NamedTuple):
    """A way to read: what opens it, and what yields an epoch's batches of what that gave."""

    open: Callable[[], Any]
    epoch: Callable[[Any], Iterable[Any]]


class Rates(NamedTuple):
    """Images a second."""

    first: float
    first_of_cpu: float
    later: float


def open_keras(folder: Path) -> Any:
    """The pictures as Keras reads them, decoding in every epoch."""
    return keras.utils.image_dataset_from_directory(
        folder,
        batch_size=BATCH_SIZE,
        color_mode="grayscale",
        image_size=(48, 48),
        seed=0,
        verbose=False,
    )


def open_mien(examples: Path) -> Batches:
    """The pictures as the Trainer reads them."""
    split = load_split(examples, "train")
    return Batches(split.images, split.labels, CLASSES, batch_size=BATCH_SIZE)


def mien_epoch(batches: Batches) -> Iterator[Any]:
    """Each batch in tensors, as Keras's dataset yields them."""
    batches.shuffle(seed=0, epoch=1)
    for index in range(len(batches)):
        images, labels = batches[index]
        yield tf.convert_to_tensor(images), tf.convert_to_tensor(labels)


def rates(way: Way) -> Rates:
    """Of the first and of a later pass."""
    gc.collect()
    with _clock() as first:
        reader = way.open()
        count = _count(way.epoch(reader))
    with _clock() as later:
        _count(way.epoch(reader))
    return Rates(count / first[0], count / first[1], count / later[0])


def _count(batches: Iterable[Any]) -> int:
    return sum(len(labels) for _, labels in batches)


@contextmanager
def _clock() -> Iterator[list[float]]:
    """Of the block, when it is done: seconds, and CPU seconds of all threads."""
    taken: list[float] = []
    started, used = time.perf_counter(), time.process_time()
    yield taken
    taken += [time.perf_counter() - started, time.process_time() - used]


def limits(examples: Path) -> Rates:
    """Of decoding alone, on all cores, and of copying the decoded bytes."""
    shards = [read_shard(examples, shard) for shard in read_shards(examples)["train"]]
    images = load_split(examples, "train").images

    def decode(shard: list[Record]) -> None:
        for record in shard:
            cv2.imdecode(np.frombuffer(record.encoded, np.uint8), cv2.IMREAD_UNCHANGED)

    with ThreadPoolExecutor(os.cpu_count()) as pool, _clock() as decoding:
        list(pool.map(decode, shards))
    images.copy()  # The first copy pays for the pages.
    with _clock() as copying:
        images.copy()
    count = len(images)
    return Rates(count / decoding[0], count / decoding[1], count / copying[0])


def growth(examples: Path, times: int, mapped: bool) -> tuple[float, float, float]:
    """Microseconds and CPU microseconds an image, and peak MiB, of so many times the split."""
    load_split(examples, "train")  # The first call pays for TensorFlow's start.
    if mapped:
        memory.available_memory = lambda: 0
    with tempfile.TemporaryDirectory() as folder:
        for path in examples.iterdir():
            (Path(folder) / path.name).symlink_to(path.resolve())
        (Path(folder) / "shards.json").unlink()
        train = read_shards(examples)["train"] * times
        (Path(folder) / "shards.json").write_text(json.dumps({"train": train}))
        gc.collect()
        with _peak_memory() as peak, _clock() as taken:
            split = load_split(Path(folder), "train")
    took, used = (seconds / len(split) * 1e6 for seconds in taken)
    return took, used, (max(peak) - peak[0]) / 2**20


@contextmanager
def _peak_memory() -> Iterator[list[int]]:
    """Samples the bytes of the process's anonymous memory."""
    samples, done = [_anonymous_bytes()], threading.Event()

    def sample() -> None:
        while not done.wait(0.01):
            samples.append(_anonymous_bytes())

    sampler = threading.Thread(target=sample)
    sampler.start()
    yield samples
    done.set()
    sampler.join()


def _anonymous_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 2**10


def transformed_examples(root: Path, raw_dir: Path) -> Path:
    """What Transform wrote below the root; runs the pipeline that far where there is nothing."""
    pattern = "store/transform/*/transformed_examples"
    if not any(root.glob(pattern)):
        command = [Path(sys.executable).with_name("mien"), "run", "fer2013", "--raw-dir", raw_dir]
        asked = ["--until", "transform", "--set", "transform.balance.method=none", "--root", root]
        subprocess.run([*command, *asked], check=True)
    return max(root.glob(pattern), key=lambda folder: folder.stat().st_mtime)


def compare(ways: dict[str, Way], examples: Path, repeats: int) -> None:
    """Prints a line for each way, its ratio to the first, and one for the limits."""
    for way in ways.values():
        rates(way)  # The first call of each pays for imports and caches.
    measured = {name: [] for name in ways} | {LIMITS: []}
    for _ in range(repeats):
        for name, way in ways.items():
            measured[name].append(rates(way))
        measured[LIMITS].append(limits(examples))
    medians = {
        name: Rates(*map(statistics.median, zip(*of_way, strict=True)))
        for name, of_way in measured.items()
    }
    keras_rates = next(iter(medians.values()))
    print(f"{'images/s':26} {'first pass':>17} {'a CPU second':>18} {'later passes':>20}")
    for name, of_way in medians.items():
        ratios = zip((10, 10, 12), of_way, keras_rates, strict=True)
        columns = (f"{rate:{width},.0f} {rate / against:6.2f}x" for width, rate, against in ratios)
        print(f"{name:26}", *columns)


def grow(examples: Path) -> None:
    """Prints a line for each size, read into memory and into a mapped file."""
    spawn = multiprocessing.get_context("spawn")
    for mapped in (False, True):
        for times in (1, 4, 16):
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                took, used, peak = pool.submit(growth, examples, times, mapped).result()
            where = "mapped" if mapped else "in memory"
            print(
                f"{times:2} x the data, {where:10} {took:6.1f} us an image ({used:5.1f} of CPU),"
                f" peak {peak:7.1f} MiB"
            )


def main() -> None:
    """Prints the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw-dir", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(arguments.raw_dir / "fer2013.zip") as archive:
            train = [name for name in archive.namelist() if name.startswith("train/")]
            archive.extractall(folder, train)
        root = arguments.root or Path(folder) / "root"
        examples = transformed_examples(root, arguments.raw_dir.resolve())
        pictures = Path(folder) / "train"
        ways = {
            "Keras": Way(lambda: open_keras(pictures), iter),
            "Keras, .cache() in memory": Way(lambda: open_keras(pictures).cache(), iter),
            "mien": Way(lambda: open_mien(examples), mien_epoch),
        }
        compare(ways, examples, arguments.repeats)
        grow(examples)


if __name__ == "__main__":
    main()
