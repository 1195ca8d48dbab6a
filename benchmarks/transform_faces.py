"""Times Transform against a bare loop and a process pool that call the same functions.

    python benchmarks/transform_faces.py --raw-dir DIR [--repeats 3]
    python benchmarks/transform_faces.py --raw-dir DIR --growth

DIR holds facial_expressions.zip and fer2013.zip. Two jobs: the faces of the first are cropped with
the four Haar cascades, 350x350 pixels a picture; the train pictures of the second, 48x48, are
copied with changes until its classes are equal. All ways read and write the same files, OpenCV in
one thread. The pool's processes have imported everything before the clock starts; Beam's have not.
Ratios are of medians; above 1 is faster than the loop.

With --growth the whole of Transform runs on 1, 4 and 16 times the pictures of FER2013, each size in
a process of its own: time for each picture, and the process's largest memory.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from components.common.balancing import (
    Balance,
    TrainExample,
    plan_balance,
    runs,
    save_copies,
    write_copies,
)
from components.common.beam import cut_into_shards, map_shards
from components.common.examples import Example, count_bytes, read_table, write_examples
from components.common.files import write_json
from components.common.pictures.augmentation import Augmentation
from components.common.pictures.faces import FaceCrop
from components.common.recipe import Recipe
from components.transform import _transform_shard, transform
from tfds_builders.catalog import make_builder
from tfds_builders.face_builder import Index
from tfds_builders.records import plan_shards, write_metadata, write_shard

DATASETS = {
    "facial_expressions": ("labelled_faces", {"source": "facial_expressions.zip"}),
    "fer2013": ("fer2013", {}),
}
CROP = Recipe(48, 48, 1, FaceCrop(min_size=60))
SMALL = Recipe(48, 48, 1, None)
CHANGES = Augmentation(rotation=10, shift=0.1, zoom=0.1, horizontal_flip=True)
OVERSAMPLE = Balance(method="oversample")
WORKERS = 2


class Job(NamedTuple):
    """Work on shards, which writes into a folder, and the number of pictures that it makes."""

    work: Callable[[Path], Callable[[Any], Any]]
    shards: Sequence[Any]
    images: int


def make_examples(config: str, raw_dir: Path, out: Path, times: int = 1) -> tuple[Path, Path]:
    """Examples whose pictures are all in train, each as often as said, and no anomalies."""
    name, options = DATASETS[config]
    builder = make_builder(name, Path("/unused"), raw_dir, options)
    raw_files = builder.raw_files()
    whole = builder.index(raw_files)
    entries = [entry for of_split in whole.splits.values() for entry in of_split] * times
    index = Index({"train": entries}, whole.labels, {}, [])
    examples, anomalies = out / "examples", out / "anomalies"
    (examples / "records").mkdir(parents=True)
    written = {
        shard: write_shard(builder, raw_files, index, shard, examples / "records", lambda _: None)
        for shard in plan_shards(index)
    }
    write_metadata(builder, index, written, examples / "records")
    rows = [
        Example(f"{n:016x}", "train", entry.label, entry.subject, entry.source)
        for n, entry in enumerate(entries)
    ]
    dataset = {"name": config, "labels": whole.labels, "tfds_splits": {"train": len(rows)}}
    write_examples(examples, rows, dataset)
    write_json(anomalies / "anomalies.json", {"quarantined": []})
    return examples, anomalies


def crop_job(raw_dir: Path, folder: Path) -> Job:
    """The four cascades on each picture of facial_expressions.zip."""
    examples, anomalies = make_examples("facial_expressions", raw_dir, folder)
    images = len(read_table(examples))
    shards = cut_into_shards(images, count_bytes(examples))
    return Job(
        lambda out: partial(_transform_shard, examples, anomalies, out, shards, CROP),
        range(len(shards)),
        images,
    )


def balance_job(raw_dir: Path, folder: Path) -> Job:
    """Copies of FER2013's pictures, until each class is as large as the largest."""
    examples, anomalies = make_examples("fer2013", raw_dir, folder)
    shards = cut_into_shards(len(read_table(examples)))
    originals = folder / "originals"
    originals.mkdir()
    work = partial(_transform_shard, examples, anomalies, originals, shards, SMALL)
    done = map_shards(work, range(len(shards)), {"runner": "DirectRunner"}, originals)
    written = [result["written"]["train"] for result in done]
    plan = plan_balance(
        [[TrainExample(*pair) for pair in result["train"]] for result in done], OVERSAMPLE
    )

    def work_into(out: Path) -> Callable[[int], Any]:
        for shard in written:
            (out / shard["file"]).hardlink_to(originals / shard["file"])
        return partial(write_copies, out, written, save_copies(plan, originals), SMALL, CHANGES)

    return Job(work_into, runs(plan.copies, 48 * 48 * len(plan.copies)), len(plan.copies))


def on_beam(job: Job, out: Path, mode: str, workers: int) -> None:
    """As Transform does it: a crop in threads, small copies in one, long work in processes."""
    options = {
        "runner": "DirectRunner",
        "direct_num_workers": workers,
        "direct_running_mode": mode,
    }
    map_shards(job.work(out), job.shards, options, out)


def in_a_loop(job: Job, out: Path) -> None:
    """One shard after the other, in this process."""
    work = job.work(out)
    for shard in job.shards:
        work(shard)


@contextmanager
def a_pool() -> Iterator[Any]:
    """A pool whose processes have imported all that the work wants."""
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(_import, range(8 * WORKERS), chunksize=1)
        yield pool


def _import(number: int) -> None:
    import tensorflow  # noqa: F401

    time.sleep(0.5)  # so that no process takes them all


def timed(way: Callable[[Job, Path], None], job: Job) -> float:
    """How long it takes into an empty folder, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        way(job, Path(folder))
        return time.perf_counter() - started


def compare(name: str, job: Job, repeats: int) -> None:
    """Prints a line for each way."""
    with a_pool() as pool:
        ways: dict[str, Callable[[Job, Path], None]] = {
            "bare loop": in_a_loop,
            "Pool(2)": lambda job, out: pool.map(job.work(out), job.shards, chunksize=1),
            "Beam, 1 thread": lambda job, out: on_beam(job, out, "multi_threading", 1),
            "Beam, 2 threads": lambda job, out: on_beam(job, out, "multi_threading", WORKERS),
            "Beam, 2 processes": lambda job, out: on_beam(job, out, "multi_processing", WORKERS),
        }
        timed(in_a_loop, job)  # The first call pays for imports and caches.
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for way_name, way in ways.items():
                times[way_name].append(timed(way, job))
    bare = statistics.median(times["bare loop"])
    print(f"{name}: {job.images:,} pictures in {len(job.shards)} shards, medians of {repeats}")
    for way_name, of_way in times.items():
        median = statistics.median(of_way)
        print(
            f"  {way_name:17} {median:6.2f} s {job.images / median:8,.0f} images/s "
            f"{bare / median:5.2f}"
        )


def grow(raw_dir: Path, times: int, said: Any) -> None:
    """The whole of Transform on so many times the pictures; says seconds, pictures, memory."""
    with tempfile.TemporaryDirectory() as folder:
        examples, anomalies = make_examples("fer2013", raw_dir, Path(folder), times)
        arguments = {"recipe": SMALL, "augmentation": CHANGES, "balance": OVERSAMPLE}
        started = time.perf_counter()
        counts = transform(
            examples,
            anomalies,
            Path(folder) / "transformed",
            **arguments,
            beam={"runner": "DirectRunner", "direct_num_workers": WORKERS},
        )
        seconds = time.perf_counter() - started
    images = counts["train"]["kept"] + counts["train"]["copies"]
    said.put((images, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Compares the ways, or shows the growth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw-dir", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    if arguments.growth:
        context = multiprocessing.get_context("spawn")
        said = context.Queue()
        for times in (1, 4, 16):
            process = context.Process(target=grow, args=(arguments.raw_dir, times, said))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{times} times the pictures: failed")
            images, seconds, memory = said.get()
            print(
                f"{times:2} times: {images:9,} pictures {seconds:7.1f} s "
                f"{seconds / images * 1e6:6.0f} us a picture {memory:6,.0f} MB at most",
                flush=True,
            )
        return
    for name, make in (("crop", crop_job), ("balance", balance_job)):
        with tempfile.TemporaryDirectory() as folder:
            compare(name, make(arguments.raw_dir, Path(folder)), arguments.repeats)


if __name__ == "__main__":
    main()
