"""Beam, in the one way that mien uses it: shards in, a small result for each shard out.

An element is a whole shard: it reads its slice, works, and writes its own file, so that nothing
large travels through the engine. `WriteToTFRecord` shuffles every record through memory and took
four times as much of it; what comes back here is counted, since a mode of the DirectRunner loses
elements silently.
"""

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

# "DirectRunner" first tries to download the Prism engine; "FnApiRunner" is the same Python one.
_ENGINES = {"DirectRunner": "FnApiRunner"}


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
        LostShardError: results are missing or come twice.
    """
    runner = options.get("runner", "DirectRunner")
    pipeline_options = PipelineOptions.from_dictionary(
        {**options, "runner": _ENGINES.get(runner, runner)}
    )
    with tempfile.TemporaryDirectory(prefix="mien-beam-") as folder:
        try:
            with beam.Pipeline(options=pipeline_options) as pipeline:
                (
                    pipeline
                    | "Shards" >> beam.Create(range(shards))
                    | "Spread" >> beam.Reshuffle()
                    | "Work" >> beam.Map(lambda shard: (shard, dict(work(shard))))
                    | "Encode" >> beam.Map(json.dumps)
                    | "Collect" >> beam.io.WriteToText(f"{folder}/results")
                )
        except RuntimeError as error:
            if str(error).startswith("KeyboardInterrupt"):  # Beam makes an error of a Ctrl-C.
                raise KeyboardInterrupt from error
            raise
        lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
    results = dict(json.loads(line) for line in lines)
    if len(lines) != shards or set(results) != set(range(shards)):
        raise LostShardError(f"Beam returned {len(lines)} results for {shards} shards; run again")
    return [results[shard] for shard in range(shards)]


def cut_into_shards(count: int) -> list[range]:
    """Cuts the indices of `count` images into runs of near equal length, at least one run."""
    shards = max(1, math.ceil(count / IMAGES_A_SHARD))
    edges = [count * shard // shards for shard in range(shards + 1)]
    return [range(start, stop) for start, stop in pairwise(edges)]
