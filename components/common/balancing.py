"""Balancing the train split: which of its examples are left out, and which are copied how often."""

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, cycle, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from components.common import progress, records
from components.common.beam import ONE_THREAD, cut_into_shards, map_shards
from components.common.pictures import images, landmarks
from components.common.pictures.augmentation import Augmentation, augment, draw
from components.common.recipe import Recipe
from components.common.records import Record, Shard

SMALL = 128 * 128
"""Pixels below which to copy a picture is little but Python: benchmarks/transform_faces.py."""


class Balance(NamedTuple):
    """How many train examples there shall be.

    Attributes:
        copies: of every example.
        method: `none`; `oversample`: further copies of the smaller classes, taken in turn from all
            their examples, until each class is as large as the largest; or `cap`: no class keeps
            more than `class_cap` examples. Who stays is told by a hash of the id.
        class_cap: None stands for the size of the smallest class.
    """

    copies: int = 0
    method: str = "none"
    class_cap: int | None = None


class TrainExample(NamedTuple):
    """What balancing needs to know of a train example: its id, its label as an index."""

    id: str
    label: int


class Copy(NamedTuple):
    """The `number`-th copy, counted from 1, of the example at `place` in a shard."""

    shard: int
    place: int
    number: int


class Plan(NamedTuple):
    """What becomes of the train split: the places left out, by shard, and the copies to make."""

    left_out: dict[int, list[int]]
    copies: list[Copy]


def plan_balance(shards: Sequence[Sequence[TrainExample]], balance: Balance) -> Plan:
    """Plans the train split."""
    stay = _staying(list(chain(*shards)), balance)
    left_out: dict[int, list[int]] = defaultdict(list)
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for shard, examples in enumerate(shards):
        for place, example in enumerate(examples):
            if example.id in stay:
                places[example.label].append((shard, place))
            else:
                left_out[shard].append(place)
    largest = max(map(len, places.values()), default=0)
    copies = []
    for of_class in places.values():
        size = largest if balance.method == "oversample" else len(of_class)
        wanted = size * (1 + balance.copies) - len(of_class)
        in_turn = enumerate(islice(cycle(of_class), wanted))
        copies += [Copy(*place, number=1 + turn // len(of_class)) for turn, place in in_turn]
    return Plan(dict(left_out), sorted(copies))


def _staying(train: Sequence[TrainExample], balance: Balance) -> set[str]:
    """The ids of the examples that are not left out."""
    if balance.method != "cap":
        return {example.id for example in train}
    by_label: dict[int, list[str]] = defaultdict(list)
    for example in train:
        by_label[example.label].append(example.id)
    cap = balance.class_cap or min(map(len, by_label.values()), default=0)
    ranked = (sorted(ids, key=_rank)[:cap] for ids in by_label.values())
    return set(chain(*ranked))


def _rank(example_id: str) -> bytes:
    return hashlib.sha256(example_id.encode()).digest()


def write_balanced(
    folder: Path,
    originals: Sequence[Shard],
    plan: Plan,
    recipe: Recipe,
    augmentation: Augmentation,
    beam: Mapping[str, Any],
) -> tuple[list[Shard], list[Shard]]:
    """Carries out the plan on the shards in a folder, on Beam.

    Returns:
        The shards of the examples that stay, and those of the copies.
    """
    progress.start(len(plan.copies), "copies")
    thin = partial(_thin_shard, folder, originals, plan.left_out)
    thinned = dict(
        zip(plan.left_out, map_shards(thin, [*plan.left_out], beam, folder), strict=True)
    )
    kept = [thinned.get(number, shard) for number, shard in enumerate(originals)]
    one_thread = ONE_THREAD if recipe.height * recipe.width < SMALL else {}
    num_bytes = recipe.height * recipe.width * recipe.channels * len(plan.copies)
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=folder) as plans:
        copy = partial(
            write_copies, folder, originals, save_copies(plan, Path(plans)), recipe, augmentation
        )
        copies = map_shards(copy, runs(plan.copies, num_bytes), {**one_thread, **beam}, folder)
    unlisted = [originals[shard] for shard in plan.left_out]
    for shard in [*unlisted, *(shard for shard in kept if not shard["records"])]:
        (folder / shard["file"]).unlink()
    return [cast(Shard, s) for s in kept if s["records"]], [cast(Shard, c) for c in copies]


def save_copies(plan: Plan, folder: Path) -> Path:
    """Writes the copies where every worker finds them: too many to go through Beam."""
    path = folder / "copies.npy"
    np.save(path, np.array(plan.copies, np.int32).reshape(-1, len(Copy._fields)))
    return path


def runs(copies: Sequence[Copy], num_bytes: int) -> list[tuple[int, int, int]]:
    """Number, start and stop of the copies that go into one file; files of near equal size."""
    if not copies:
        return []
    cut = cut_into_shards(len(copies), num_bytes)
    return [(number, run.start, run.stop) for number, run in enumerate(cut)]


def _thin_shard(
    folder: Path, originals: Sequence[Shard], left_out: Mapping[int, Sequence[int]], shard: int
) -> Shard:
    """Writes the examples that stay into a file of its own, so that it can be done again."""
    gone = set(left_out[shard])
    examples = records.read_shard(folder, originals[shard])
    stay = (example for place, example in enumerate(examples) if place not in gone)
    return records.write_shard(folder / f"train-kept-{shard:05d}.tfrecord", stay)


def write_copies(
    folder: Path,
    originals: Sequence[Shard],
    copies: Path,
    recipe: Recipe,
    augmentation: Augmentation,
    run: tuple[int, int, int],
) -> Shard:
    """Writes one file of copies, whatever shards their originals are in."""
    number, start, stop = run
    wanted = [Copy(*row) for row in np.load(copies, mmap_mode="r")[start:stop].tolist()]
    made = (
        _copy(example, copy.number, recipe, augmentation)
        for shard, of_shard in groupby(wanted, key=lambda copy: copy.shard)
        for examples in [records.read_shard(folder, originals[shard])]
        for copy in of_shard
        for example in [examples[copy.place]]
    )
    written = records.write_shard(folder / f"train-copies-{number:05d}.tfrecord", made)
    progress.advance(len(wanted))
    return written


def _copy(example: Record, number: int, recipe: Recipe, augmentation: Augmentation) -> Record:
    pixels = augment(images.decode_png(example.encoded), draw(augmentation, example.id, number))
    return example._replace(
        encoded=images.encode_png(pixels),
        id=f"{example.id}+{number}",
        landmarks=landmarks.features(pixels, recipe.landmarks),
    )
