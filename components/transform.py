"""Transform: from raw pictures to the pixels that models see, on Beam.

Reads:   examples, anomalies
Writes:  transformed_examples (TFRecord shards, shards.json, recipe.json, counts.json, rejected.csv,
         before_after.png)
"""

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common import progress, records, tracking
from components.common.balancing import Balance, TrainExample, plan_balance, write_balanced
from components.common.beam import cut_into_shards, map_shards
from components.common.examples import (
    SPLITS,
    Example,
    count_bytes,
    read_dataset,
    read_images,
    read_table,
)
from components.common.files import read_json, write_csv, write_json
from components.common.pictures import images, landmarks
from components.common.pictures.applying import apply_to_encoded
from components.common.pictures.augmentation import Augmentation
from components.common.pictures.before_after import draw_before_after
from components.common.pictures.faces import FaceNotFoundError
from components.common.recipe import Recipe, write_recipe
from components.common.records import Record, Shard
from tfds_builders.files import remove_parts

OVER_THE_CAP = "over the class's cap"
TIMED_PICTURES = 3
PICTURES_AT_A_TIME = 32


class LostExamplesError(RuntimeError):
    """Images in are not images kept plus images rejected."""


class EmptyClassError(ValueError):
    """No train image of a class is left; says how many there were, and why they were rejected."""


class Rejection(NamedTuple):
    """An image that was left out, and why."""

    id: str
    split: str
    source: str
    reason: str


def transform(
    examples: Path,
    anomalies: Path,
    transformed_examples: Path,
    *,
    recipe: Recipe,
    augmentation: Augmentation,
    balance: Balance,
    beam: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Crops, fits and writes every example that is not quarantined; augments the train split only.

    Args:
        examples: the examples.
        anomalies: names the quarantined ones, which are rejected with that reason.
        transformed_examples: folder to fill.
        recipe: what is done to each picture.
        augmentation: what the copies of train pictures differ in.
        balance: which train pictures are copied, and how often, and which are left out.
        beam: Beam's pipeline options.

    Returns:
        For each split the images `in`, `kept` and `rejected` by reason, and the `copies` added.

    Raises:
        LostExamplesError: the counts do not add up.
        EmptyClassError: no train image of a class is left.
        OptionError: the recipe wants landmarks, and their extra is not installed.
    """
    transformed_examples.mkdir(parents=True, exist_ok=True)
    table, labels = read_table(examples), read_dataset(examples)["labels"]
    write_recipe(transformed_examples, recipe, labels)
    pixels = recipe.height * recipe.width * recipe.channels
    shards = cut_into_shards(len(table), max(count_bytes(examples), pixels * len(table)))
    progress.start(len(table), "images")
    results = map_shards(
        partial(_transform_shard, examples, anomalies, transformed_examples, shards, recipe),
        range(len(shards)),
        beam,
        transformed_examples,
        seconds=_seconds_a_picture(examples, anomalies, recipe) * len(table),
    )
    written: dict[str, list[Shard]] = {split: [] for split in SPLITS}
    for result in results:
        for split, shard in result["written"].items():
            written[split].append(shard)
    rejections = [Rejection(*row) for result in results for row in result["rejected"]]
    train = [[TrainExample(*pair) for pair in r["train"]] for r in results if r["train"]]
    _require_all_classes(table, labels, train, rejections)

    plan = plan_balance(train, balance)
    capped = {train[s][place].id for s, places in plan.left_out.items() for place in places}
    rejections += [
        Rejection(row.id, row.split, row.source, OVER_THE_CAP) for row in table if row.id in capped
    ]
    written["train"], copies = write_balanced(
        transformed_examples, written["train"], plan, recipe, augmentation, beam
    )
    remove_parts(transformed_examples)
    counts = count(table, written, rejections)
    counts["train"]["copies"] = sum(shard["records"] for shard in copies)
    written["train"] += copies

    write_json(transformed_examples / "shards.json", written)
    write_json(transformed_examples / "counts.json", counts)
    write_csv(transformed_examples / "rejected.csv", Rejection._fields, rejections)
    shutil.copy(examples / "dataset.json", transformed_examples)
    draw_before_after(
        transformed_examples / "before_after.png",
        examples,
        table,
        {rejection.id: rejection.reason for rejection in rejections},
        recipe,
        augmentation if copies else None,
    )
    tracking.log_artifact(transformed_examples / "counts.json")
    tracking.log_artifact(transformed_examples / "before_after.png")
    return counts


def count(
    table: Sequence[Example],
    written: Mapping[str, Sequence[Shard]],
    rejections: Sequence[Rejection],
) -> dict[str, dict[str, Any]]:
    """Counts images in, kept and rejected for each split.

    Raises:
        LostExamplesError: a split's counts do not add up.
    """
    counts: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        rejected = Counter(rejection.reason for rejection in rejections if rejection.split == split)
        seen = sum(row.split == split for row in table)
        kept = sum(shard["records"] for shard in written[split])
        if seen != kept + rejected.total():
            raise LostExamplesError(
                f"{split}: {seen} images in, {kept} kept and {rejected.total()} rejected"
            )
        counts[split] = {"in": seen, "kept": kept, "rejected": dict(rejected), "copies": 0}
    return counts


def _require_all_classes(
    table: Sequence[Example],
    labels: Sequence[str],
    train: Sequence[Sequence[TrainExample]],
    rejections: Sequence[Rejection],
) -> None:
    left = {labels[example.label] for example in chain(*train)}
    reasons = {rejection.id: rejection.reason for rejection in rejections}
    for label in labels:
        if label not in left:
            lost = [row.id for row in table if row.split == "train" and row.label == label]
            why = ", ".join(sorted({reasons[example_id] for example_id in lost})) or "it had none"
            raise EmptyClassError(
                f"class {label!r}: none of its {len(lost)} train images is left: {why}"
            )


def _transform_shard(
    examples: Path,
    anomalies: Path,
    out: Path,
    shards: Sequence[range],
    recipe: Recipe,
    shard: int,
) -> dict[str, Any]:
    """Transforms one slice of the table; writes a file for each split that has records in it."""
    table, labels = read_table(examples), read_dataset(examples)["labels"]
    quarantined = _read_quarantined(anomalies)
    kept: dict[str, list[Record]] = defaultdict(list)
    rejected: list[Rejection] = []
    pictures = read_images(examples, table, shards[shard])
    while some := list(islice(pictures, PICTURES_AT_A_TIME)):
        whole = [(row, encoded) for row, encoded in some if row.id not in quarantined]
        try:
            results = apply_to_encoded([encoded for _, encoded in whole], recipe)
        except images.UndecodableImageError as error:
            raise images.UndecodableImageError(_first_undecodable(whole)) from error
        for (row, _), result in zip(whole, results, strict=True):
            if isinstance(result, FaceNotFoundError):
                rejected.append(Rejection(row.id, row.split, row.source, str(result)))
            else:
                kept[row.split].append(_record(row, result, recipe, labels))
        rejected += [
            Rejection(row.id, row.split, row.source, quarantined[row.id])
            for row, _ in some
            if row.id in quarantined
        ]
        progress.advance(len(some))
    return {
        "written": {
            split: records.write_shard(out / f"{split}-{shard:05d}.tfrecord", of_split)
            for split, of_split in kept.items()
            if of_split
        },
        "train": [TrainExample(record.id, record.label) for record in kept["train"]],
        "rejected": rejected,
    }


def _first_undecodable(pictures: Sequence[tuple[Example, bytes]]) -> str:
    for row, encoded in pictures:
        try:
            images.decode_image(encoded)
        except images.UndecodableImageError as error:
            return f"{row.source}: {error}"
    return "a picture that can be decoded alone"


def _record(
    row: Example, pixels: NDArray[np.uint8], recipe: Recipe, labels: Sequence[str]
) -> Record:
    return Record(
        images.encode_png(pixels),
        labels.index(row.label),
        row.id,
        row.subject,
        row.source,
        landmarks.features(pixels, recipe.landmarks),
    )


def _seconds_a_picture(examples: Path, anomalies: Path, recipe: Recipe) -> float:
    """What the recipe takes for a picture, by a few of them after one for which models load."""
    table, quarantined = read_table(examples), _read_quarantined(anomalies)
    whole = (index for index, row in enumerate(table) if row.id not in quarantined)
    few = read_images(examples, table, list(islice(whole, 1 + TIMED_PICTURES)))
    pictures = [encoded for _, encoded in few]
    start = 0.0
    with suppress(images.UndecodableImageError):  # Which is told when its turn comes.
        apply_to_encoded(pictures[:1], recipe)
        start = time.perf_counter()
        apply_to_encoded(pictures[1:], recipe)
    return (time.perf_counter() - start) / TIMED_PICTURES if start else 0.0


def _read_quarantined(anomalies: Path) -> dict[str, str]:
    found = read_json(anomalies / "anomalies.json")
    return {entry["id"]: entry["reason"].split(":")[0] for entry in found["quarantined"]}
