"""Beam, in the one way that mien uses it: shards in, a small result for each shard out.

An element is a whole shard: it reads its slice, works, and writes its own file, so that nothing
large travels through the engine. `WriteToTFRecord` shuffles every record through memory and took
four times as much of it; what comes back here is counted, since a mode of the DirectRunner loses
elements silently.
"""

import math
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.common.files import read_json, write_json

_LOCAL = {
    # "DirectRunner" first tries to download the Prism engine; this is the same Python one.
    "runner": "FnApiRunner",
    # Decoding, resizing, detecting and inflating let go of the interpreter's lock.
    "direct_running_mode": "multi_threading",
    "direct_num_workers": os.cpu_count(),
}

IMAGES_A_SHARD = 500


class LostShardError(RuntimeError):
    """The engine did not bring back a result for every shard."""


def map_shards(
    work: Callable[[int], Mapping[str, Any]], shards: int, options: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Calls `work` with 0..shards-1 on Beam and returns its results in that order.

    Args:
        work: from a shard's number to a small result that JSON can hold; must be picklable.
        shards: how many.
        options: Beam's own pipeline options by name, e.g. `{"runner": "DirectRunner"}`.

    Raises:
        LostShardError: results are missing.
        Exception: what `work` raised; on a cluster, Beam's RuntimeError with the text of it.
    """
    if options.get("runner", "DirectRunner") == "DirectRunner":
        options = {**_LOCAL, **options, "runner": _LOCAL["runner"]}
    pipeline_options = PipelineOptions.from_dictionary(dict(options))
    # Cleanup errors: when a job is stopped, threads may still be writing.
    with tempfile.TemporaryDirectory(prefix="mien-beam-", ignore_cleanup_errors=True) as folder:
        try:
            with beam.Pipeline(options=pipeline_options) as pipeline:
                (
                    pipeline
                    | "Shards" >> beam.Create(range(shards))
                    | "Spread" >> beam.Reshuffle()
                    | "Work" >> beam.Map(partial(_work_and_keep, work, folder))
                )
        except BaseException as error:
            if "KeyboardInterrupt" in str(error):  # In one thread, Beam makes an error of a Ctrl-C.
                raise KeyboardInterrupt from None
            raise _ended.setdefault(folder, error) from None
        results = {int(file.stem): read_json(file) for file in Path(folder).glob("*.json")}
    if len(results) != shards:
        raise LostShardError(f"Beam returned {len(results)} results for {shards} shards; run again")
    return [results[shard] for shard in range(shards)]


_ended: dict[str, BaseException] = {}
"""Why the jobs of this process that failed did so, by folder: Beam keeps only an error's text."""


def _work_and_keep(work: Callable[[int], Mapping[str, Any]], folder: str, shard: int) -> None:
    """A file for each result: `WriteToText` takes twice the pipeline's time, and may lose some."""
    if folder in _ended:
        raise RuntimeError("the job has ended")  # The process could not end before its threads.
    try:
        result = dict(work(shard))
    except Exception as error:
        _ended[folder] = error
        raise
    write_json(Path(folder) / f"{shard}.json", result)


def cut_into_shards(count: int) -> list[range]:
    """Cuts the indices of `count` images into runs of near equal length, at least one run."""
    shards = max(1, math.ceil(count / IMAGES_A_SHARD))
    edges = [count * shard // shards for shard in range(shards + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]
