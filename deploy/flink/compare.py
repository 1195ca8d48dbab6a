"""Runs mien's Beam steps here and on a Flink cluster, and compares every byte that they write.

    python -m deploy.flink.compare [--images N] [--folder FOLDER]

It builds the job server's jar where there is none (Java 17, Maven), runs ExampleGen, StatisticsGen,
ExampleValidator and Transform on drawn faces with the DirectRunner, starts a job manager and two
task managers with a worker pool each, runs the same steps there, and ends them. The exit status is
1 where a file differs, or where a task manager had nothing to do.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from components.common.files import file_digests
from deploy.flink.cluster import ask, flink_cluster
from deploy.flink.jars import JarError, job_server_jar
from deploy.flink.processes import ClusterError, process_group

ARTIFACTS = {
    "example_gen": "examples",
    "statistics_gen": "statistics",
    "example_validator": "anomalies",
    "transform": "transformed_examples",
}
CLASSES = 7
RUN_SECONDS = 600


class CompareError(RuntimeError):
    """A run did not end well."""


class File(NamedTuple):
    """A file of an artifact: its size, 0 where the DirectRunner wrote none; whether both agree."""

    artifact: str
    name: str
    size: int
    same: bool


class Comparison(NamedTuple):
    """What the runs wrote, and how many shards each task manager worked on."""

    files: list[File]
    shards: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether the runs agree, and no task manager was idle."""
        return all(file.same for file in self.files) and all(self.shards.values())


def compare_on_flink(folder: Path, images: int) -> Comparison:
    """Runs the steps on the DirectRunner and on Flink, and compares.

    Args:
        folder: is there, and empty.
        images: how many faces are drawn, roughly.

    Raises:
        JarError: there is no jar, and it cannot be built.
        ClusterError: the cluster does not start.
        CompareError: a run fails or takes too long.
    """
    with telling("the job server's jar"):
        jar = job_server_jar()
    logs = folder / "cluster"
    logs.mkdir()
    with flink_cluster(jar, logs) as cluster:
        print(f"Flink runs at {cluster.url}, its logs are in {logs}", flush=True)
        files = compare(folder, images, cluster.beam)
        return Comparison(files, count_shards(cluster.url))


def compare(folder: Path, images: int, beam: Mapping[str, Any]) -> list[File]:
    """Runs the steps on the DirectRunner and with the options of another; compares the files.

    Raises:
        CompareError: a run fails or takes too long.
    """
    for name, options in (("direct", {"runner": "DirectRunner"}), ("cluster-run", beam)):
        with telling(f"the steps on {options['runner']}"):
            run_steps(folder / name, images, options)
    return list(compare_files(folder / "direct", folder / "cluster-run"))


def run_steps(root: Path, images: int, beam: Mapping[str, Any]) -> None:
    """Runs `mien run drawn_faces --until transform` with Beam's options.

    Raises:
        CompareError: it fails or takes too long.
    """
    overrides = {
        "dataset.options.images_per_class": max(1, images // CLASSES),
        "dataset.options.size": 64,
        **{f"beam.{name}": value for name, value in beam.items()},
    }
    mien = str(Path(sys.executable).with_name("mien"))
    command = [mien, "run", "drawn_faces", "--until", "transform", "--root", str(root)]
    command += [f"--set={name}={value}" for name, value in overrides.items()]
    print(" ".join(command), flush=True)
    with process_group(command) as process:
        try:
            status = process.wait(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise CompareError(f"not done after {RUN_SECONDS} s: {' '.join(command)}") from None
    if status:
        raise CompareError(f"exit status {status}: {' '.join(command)}")


def compare_files(direct: Path, other: Path) -> Iterator[File]:
    """Every file that the steps wrote under either pipeline root."""
    for step, artifact in ARTIFACTS.items():
        ours, theirs = (
            file_digests(next((root / "store" / step).glob(f"*/{artifact}")))
            for root in (direct, other)
        )
        for name in sorted(ours | theirs):
            size = ours.get(name, {"size": 0})["size"]
            yield File(artifact, name, size, ours.get(name) == theirs.get(name))


def count_shards(url: str) -> dict[str, int]:
    """How many elements reached `components.common.beam`'s "Work" on each task manager."""
    there = ask(f"{url}/taskmanagers")["taskmanagers"]
    worked = Counter({manager["id"]: 0 for manager in there})
    for job in ask(f"{url}/jobs")["jobs"]:
        for vertex in ask(f"{url}/jobs/{job['id']}")["vertices"]:
            if not vertex["name"].endswith("]Work)"):
                continue
            where = f"{url}/jobs/{job['id']}/vertices/{vertex['id']}/taskmanagers"
            for manager in ask(where)["taskmanagers"]:
                worked[manager["taskmanager-id"]] += manager["metrics"]["read-records"]
    return dict(worked)


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Says what begins, and how long it took."""
    print(f"{what}: begins", flush=True)
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def main(compare_on: Callable[[Path, int], Comparison], description: str) -> int:
    """Compares, says what was found, and returns the exit status."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--images", type=int, default=2800, help="faces to draw (2800)")
    parser.add_argument("--folder", type=Path, help="keeps the runs and logs here; must be empty")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # The cluster's processes end too.
    with tempfile.TemporaryDirectory(prefix="mien-cluster-") as temporary:
        folder = (asked.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            comparison = compare_on(folder, asked.images)
        except (JarError, ClusterError, CompareError) as error:
            print(error, file=sys.stderr)
            return 1
    _print(comparison)
    return 0 if comparison.holds else 1


def _print(comparison: Comparison) -> None:
    for file in comparison.files:
        verdict = "same" if file.same else "DIFFERS"
        print(f"{verdict:8} {file.size:>10,}  {file.artifact}/{file.name}")
    for manager, shards in sorted(comparison.shards.items()):
        print(f"{manager}: {shards} shards")
    print("the bytes are the same" if comparison.holds else "the runs do not agree")


if __name__ == "__main__":
    sys.exit(main(compare_on_flink, "Runs the Beam steps here and on Flink; compares the bytes."))
