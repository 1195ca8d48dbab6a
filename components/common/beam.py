"""Beam, in the one way that mien uses it: shards in, a small result for each shard out.

An element is a whole shard: it reads its slice, works, and writes its own file, so that nothing
large travels through the engine. `WriteToTFRecord` shuffles every record through memory and took
four times as much of it; what comes back here is counted, since a mode of the DirectRunner loses
elements silently. Results come back as files in a folder that every worker sees, on this machine
and on a cluster alike.
"""

import difflib
import logging
import math
import os
import pkgutil
import re
import signal
import tempfile
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from components.common import progress
from components.common.files import read_json, write_json
from tfds_builders.catalog import OptionError

# "DirectRunner" first tries to download the Prism engine; this is the same Python one.
_LOCAL = {"runner": "FnApiRunner", "direct_num_workers": os.cpu_count()}
# Decoding, resizing, detecting and inflating let go of the interpreter's lock.
_THREADS = {"direct_running_mode": "multi_threading"}
_PROCESSES = {"direct_running_mode": "multi_processing"}

LONG = 300
"""Seconds of work in one thread from which processes pay: they need 10 s to start, and two of them
are a tenth faster than two threads (benchmarks/transform_faces.py)."""

ONE_THREAD = {"direct_num_workers": 1}
"""For work on so small pieces that two threads, which pass the interpreter's lock back and forth,
take longer than one; unless the user says otherwise."""

IMAGES_A_SHARD = 500
BYTES_A_SHARD = 2**21
LEAST_IMAGES_A_SHARD = 50

Shard = TypeVar("Shard")

_log = logging.getLogger(__name__)
_this_process = uuid.uuid4().hex


class LostShardError(RuntimeError):
    """The engine did not bring back a result for every shard."""


def map_shards(
    work: Callable[[Shard], Mapping[str, Any]],
    shards: Sequence[Shard],
    options: Mapping[str, Any],
    folder: Path,
    *,
    seconds: float = 0.0,
) -> list[dict[str, Any]]:
    """Calls `work` with each shard on Beam and returns its results in that order.

    Args:
        work: from a shard to a small result that JSON can hold; must be picklable.
        shards: a number each, or a few: Beam breaks off where all of them together are some
            megabytes ("Invalid PaneInfoEncoding"), so what is larger belongs into a file.
        options: Beam's own pipeline options by name, e.g. `{"runner": "DirectRunner"}`.
        folder: is there, and seen by every worker; the results lie in it for a while.
        seconds: how long one thread would take for all, roughly. Where the options do not say how
            the DirectRunner runs, long work is given to processes, the rest to threads.

    Raises:
        OptionError: an option is unknown or not possible, or one that the runner wants is missing.
        LostShardError: results are missing.
        Exception: what `work` raised, from whichever worker.
    """
    options = _local(options, seconds, len(shards))
    pipeline_options = parse_options(options)
    if not shards:
        return []  # A job of nothing takes a cluster a quarter of a minute.
    # Cleanup errors: when a job is stopped, threads may still be writing.
    with tempfile.TemporaryDirectory(
        prefix=".beam-", dir=folder, ignore_cleanup_errors=True
    ) as place:
        results = Path(place)
        numbered = list(enumerate(shards))
        keep = partial(_work_and_keep, work, results, _this_process)
        elements: Sequence[Any] = numbered
        do: Callable[[Any], None] = keep
        if options["runner"] == _LOCAL["runner"]:
            elements = range(options["direct_num_workers"] or os.cpu_count() or 1)
            do = partial(_take_turns, keep, numbered, results)
        died: list[str] = []
        try:
            with (
                progress.counted_in(results),
                _noticing_deaths(died),
                beam.Pipeline(options=pipeline_options) as pipeline,
            ):
                (
                    pipeline
                    | "Shards" >> beam.Create(elements)
                    | "Spread" >> beam.Reshuffle()
                    | "Work" >> beam.Map(do)
                )
        except BaseException as error:
            if died:
                cure = "beam.direct_num_workers=1, or beam.direct_running_mode=multi_threading"
                raise LostShardError(f"{died[0]}, maybe for want of memory: {cure}") from None
            if "KeyboardInterrupt" in str(error):  # In one thread, Beam makes an error of a Ctrl-C.
                raise KeyboardInterrupt from None
            raise _raised_by_work(results) or error from None
        finally:
            _raised.pop(str(results), None)
        done = {int(file.stem): read_json(file) for file in results.glob("*.json")}
    if len(done) != len(shards):
        lost = f"Beam returned {len(done)} results for {len(shards)} shards; run again"
        raise LostShardError(lost)
    return [done[number] for number in range(len(shards))]


@contextmanager
def _noticing_deaths(died: list[str]) -> Iterator[None]:
    """Interrupts the main thread when a worker process is killed, for which Beam waits for ever."""

    def notice(arguments: Any) -> None:
        said = str(arguments.exc_value)
        found = re.match(r"Worker subprocess exited with return code (-?\d+)", said)
        if found and int(found[1]) not in _ENDED_BY_US:
            died.append(said)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before, threading.excepthook = threading.excepthook, notice
    try:
        yield
    finally:
        threading.excepthook = before


_ENDED_BY_US = {0, 1, 128 + signal.SIGINT, -signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGTERM}


def _local(options: Mapping[str, Any], seconds: float, shards: int) -> dict[str, Any]:
    """The options; where they mean this machine, with the mode that suits the work."""
    runner = options.get("runner", "DirectRunner")
    if not isinstance(runner, str):
        raise OptionError(f"beam.runner: {runner!r} is no name of a runner, such as DirectRunner")
    if runner.lower() not in ("direct", "directrunner"):
        _log.info("%d shards on Beam's %s", shards, runner)
        return dict(options)
    mode = _PROCESSES if seconds >= LONG and shards > 1 else _THREADS
    merged = {**_LOCAL, **mode, **options, "runner": _LOCAL["runner"]}
    _log.info(
        "%d shards, about %.0f s of work in one thread: %s with %s workers",
        shards,
        seconds,
        merged["direct_running_mode"],
        merged["direct_num_workers"],
    )
    return merged


def parse_options(options: Mapping[str, Any]) -> PipelineOptions:
    """Beam's options from their names and values, checked by Beam's own rules for the runner.

    Raises:
        OptionError: one is unknown, is not possible, or is missing; says which.
    """
    known = PipelineOptions([]).get_all_options()
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "Beam has no option of that name"
            raise OptionError(f"beam.{name}: unknown; {hint}")
    try:
        parsed = PipelineOptions.from_dictionary(dict(options))
        parsed.get_all_options()
        problems = _problems(parsed, create_runner(options["runner"]))
        workers = options.get("direct_num_workers", 0)
        if not isinstance(workers, int) or workers < 0:
            problems.append(f"direct_num_workers is {workers!r}, not a number of workers.")
    except (ValueError, ImportError) as error:
        raise OptionError(f"beam: {error}") from None
    except SystemExit:  # So argparse refuses a value.
        said = ", ".join(f"{name}={value}" for name, value in options.items())
        raise OptionError(
            f"beam: Beam cannot read {said}: look for a value of another type"
        ) from None
    if problems:
        raise OptionError(f"beam.runner {options['runner']}: {' '.join(problems)}")
    return parsed


def _problems(options: PipelineOptions, runner: Any) -> list[str]:
    validator = PipelineOptionsValidator(options, runner)
    if not validator.is_service_runner():
        return validator.validate()
    # The rest of Beam's own rules ask Google about the bucket, and wait for minutes where they
    # cannot. Without an image of mien's the workers lack its code.
    cloud = options.view_as(GoogleCloudOptions)
    image = options.view_as(WorkerOptions).sdk_container_image
    return [
        *validator.validate_gcs_path(cloud, "temp_location"),
        *validator.validate_cloud_options(cloud),
        *([] if image else ["Missing required option: sdk_container_image."]),
    ]


_raised: dict[str, Exception] = {}
"""What work in this process raised, by folder: Beam keeps only an error's text."""


def _work_and_keep(
    work: Callable[[Shard], Mapping[str, Any]],
    results: Path,
    started_by: str,
    numbered: tuple[int, Shard],
) -> None:
    """A file for each result: `WriteToText` takes twice the pipeline's time, and may lose some."""
    number, shard = numbered
    failed = results / "failed"
    if failed.exists() or not results.exists():
        raise RuntimeError("the job has ended")  # The process could not end before its threads.
    try:
        if started_by != _this_process:
            progress.count_in(results)
        write_json(results / f"{number}.json", dict(work(shard)))
    except Exception as error:
        _raised.setdefault(str(results), error)
        kind = f"{type(error).__module__}:{type(error).__qualname__}"
        write_json(failed, {"kind": kind, "text": str(error), "traceback": traceback.format_exc()})
        raise


def _take_turns(
    work: Callable[[tuple[int, Shard]], None],
    numbered: Sequence[tuple[int, Shard]],
    results: Path,
    worker: int,
) -> None:
    """Does the shards that no other worker on this machine has taken.

    The local engine deals elements out beforehand, and one worker would wait for the other's last.
    """
    for number, shard in numbered:
        try:
            (results / f"{number}.taken").touch(exist_ok=False)
        except FileExistsError:
            continue
        work((number, shard))


def _raised_by_work(results: Path) -> Exception | None:
    """The exception that ended the job: itself, or from another process its kind and its text."""
    if str(results) in _raised:
        return _raised[str(results)]
    if not (results / "failed").exists():
        return None
    said = read_json(results / "failed")
    error: Exception
    try:
        error = pkgutil.resolve_name(said["kind"])(said["text"])
    except (ValueError, ImportError, AttributeError, TypeError):
        # It has no name to be found by, or wants more than a text.
        error = RuntimeError(f"{said['kind'].split('.')[-1].split(':')[-1]}: {said['text']}")
    error.add_note(said["traceback"])
    return error


def cut_into_shards(count: int, num_bytes: int = 0) -> list[range]:
    """Cuts the indices of images into runs of near equal length, at least one run.

    Args:
        count: of the images.
        num_bytes: of all of them; larger images make shorter runs, since they take longer, so that
            workers end at about the same time.
    """
    fitting = BYTES_A_SHARD * count // max(num_bytes, 1)
    images = min(IMAGES_A_SHARD, max(LEAST_IMAGES_A_SHARD, fitting))
    shards = max(1, math.ceil(count / images))
    edges = [count * shard // shards for shard in range(shards + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]
