"""Transform: from raw pictures to the pixels that models see, on Beam.

Reads:   examples, anomalies
Writes:  transformed_examples (TFRecord shards, shards.json, recipe.json, counts.json, rejected.csv,
         before_after.png)
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from components.common import figures, images, progress, records, tracking
from components.common.beam import cut_into_shards, map_shards
from components.common.examples import SPLITS, Example, read_dataset, read_images, read_table
from components.common.faces import crop_face
from components.common.files import read_json, write_csv, write_json
from components.common.recipe import Recipe, write_recipe
from components.common.records import Record, Shard

NO_FACE = "no cascade finds exactly one face"
SHEET_COLUMNS = 8


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


class Copy(NamedTuple):
    """A further copy of the record at `place` in a train shard, mirrored or as it is."""

    place: int
    mirrored: bool


def transform(
    examples: Path,
    anomalies: Path,
    transformed_examples: Path,
    *,
    recipe: Recipe,
    horizontal_flip: bool,
    balance: str,
    beam: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Crops, fits and writes every example that is not quarantined; augments the train split only.

    Args:
        examples: the examples.
        anomalies: names the quarantined ones, which are rejected with that reason.
        transformed_examples: folder to fill.
        recipe: what is done to each picture.
        horizontal_flip: adds the mirror image of every train example.
        balance: `none`, or `oversample`: tops every train class up to the largest with copies.
        beam: Beam's pipeline options.

    Returns:
        For each split the images `in`, `kept` and `rejected` by reason, and the `copies` added.

    Raises:
        LostExamplesError: the counts do not add up.
        EmptyClassError: no train image of a class is left.
    """
    transformed_examples.mkdir(parents=True, exist_ok=True)
    table, labels = read_table(examples), read_dataset(examples)["labels"]
    shards = cut_into_shards(len(table))
    progress.start(len(table), "images")
    results = map_shards(
        partial(_transform_shard, examples, anomalies, transformed_examples, shards, recipe),
        len(shards),
        beam,
    )
    written: dict[str, list[Shard]] = {split: [] for split in SPLITS}
    for result in results:
        for split, shard in result["written"].items():
            written[split].append(shard)
    rejections = [Rejection(*row) for result in results for row in result["rejected"]]
    counts = count(table, written, rejections)
    train_labels = [result["train_labels"] for result in results if result["train_labels"]]
    _require_all_classes(table, labels, train_labels, rejections)

    plan = plan_copies(train_labels, horizontal_flip=horizontal_flip, balance=balance)
    copy_shard = partial(_copy_shard, transformed_examples, written["train"], plan)
    copies = [result for result in map_shards(copy_shard, len(plan), beam) if result]
    written["train"] += [cast(Shard, copy) for copy in copies]
    counts["train"]["copies"] = sum(copy["records"] for copy in copies)

    write_json(transformed_examples / "shards.json", written)
    write_json(transformed_examples / "counts.json", counts)
    write_csv(transformed_examples / "rejected.csv", Rejection._fields, rejections)
    write_recipe(transformed_examples, recipe, labels)
    shutil.copy(examples / "dataset.json", transformed_examples)
    _draw_before_after(examples, table, rejections, recipe, transformed_examples)
    tracking.log_artifact(transformed_examples / "counts.json")
    tracking.log_artifact(transformed_examples / "before_after.png")
    return counts


def plan_copies(
    labels: Sequence[Sequence[int]], *, horizontal_flip: bool, balance: str
) -> list[list[Copy]]:
    """Which records of each train shard are copied.

    Args:
        labels: for each shard the labels of its records.
        horizontal_flip: every record gets a mirrored copy.
        balance: with `oversample`, further copies of the smaller classes, taken in turn from all
            their pictures, until each class is as large as the largest.
    """
    variants = (False, True) if horizontal_flip else (False,)
    pools: dict[int, list[tuple[int, Copy]]] = defaultdict(list)
    for mirrored in variants:
        for shard, of_shard in enumerate(labels):
            for place, label in enumerate(of_shard):
                pools[label].append((shard, Copy(place, mirrored)))
    largest = max(map(len, pools.values()), default=0)
    plan: list[list[Copy]] = [[] for _ in labels]
    for pool in pools.values():
        missing = largest - len(pool) if balance == "oversample" else 0
        mirrored_ones = [entry for entry in pool if entry[1].mirrored]
        for shard, copy in [*mirrored_ones, *islice(cycle(pool), missing)]:
            plan[shard].append(copy)
    return plan


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
    train_labels: Sequence[Sequence[int]],
    rejections: Sequence[Rejection],
) -> None:
    left = {labels[label] for label in chain(*train_labels)}
    reasons = {rejection.id: rejection.reason for rejection in rejections}
    for label in labels:
        if label not in left:
            lost = [row.id for row in table if row.split == "train" and row.label == label]
            why = ", ".join(sorted({reasons[example_id] for example_id in lost}))
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
    for row, encoded in pictures:
        progress.advance(1)
        reason = quarantined.get(row.id, "")
        pixels = None if reason else apply_recipe(images.decode_image(encoded), recipe)
        if pixels is None:
            reason = reason or NO_FACE
            rejected.append(Rejection(row.id, row.split, row.source, reason))
        else:
            label = labels.index(row.label)
            png = images.encode_png(pixels)
            kept[row.split].append(Record(png, label, row.id, row.subject, row.source))
    return {
        "written": {
            split: records.write_shard(out / f"{split}-{shard:05d}.tfrecord", of_split)
            for split, of_split in kept.items()
        },
        "train_labels": [record.label for record in kept["train"]],
        "rejected": rejected,
    }


def apply_recipe(image: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8] | None:
    """uint8 [h, w, 3] to uint8 [height, width, channels]; None where there is no face to crop."""
    face = crop_face(image, recipe.face_crop) if recipe.face_crop else image
    if face is None:
        return None
    return images.fit_image(face, recipe.height, recipe.width, recipe.channels)


def _copy_shard(
    out: Path, train: Sequence[Shard], plan: Sequence[Sequence[Copy]], shard: int
) -> dict[str, Any]:
    """Writes the copies that are planned of one train shard; {} where there are none."""
    if not plan[shard]:
        return {}
    originals = records.read_shard(out / train[shard]["file"])
    copies = (_copy(originals[copy.place], copy, n) for n, copy in enumerate(plan[shard]))
    return dict(records.write_shard(out / f"train-copies-{shard:05d}.tfrecord", copies))


def _copy(record: Record, copy: Copy, number: int) -> Record:
    encoded = record.encoded
    if copy.mirrored:
        encoded = images.encode_png(images.decode_png(encoded)[:, ::-1])
    return record._replace(encoded=encoded, id=f"{record.id}+{number}")


def _read_quarantined(anomalies: Path) -> dict[str, str]:
    found = read_json(anomalies / "anomalies.json")
    return {entry["id"]: entry["reason"].split(":")[0] for entry in found["quarantined"]}


def _draw_before_after(
    examples: Path,
    table: Sequence[Example],
    rejections: Sequence[Rejection],
    recipe: Recipe,
    out: Path,
) -> None:
    """Draws pictures beside what becomes of them, and pictures that were rejected."""
    reasons = {rejection.id: rejection.reason for rejection in rejections}
    kept = (i for i, row in enumerate(table) if row.split == "train" and row.id not in reasons)
    lost = (i for i, row in enumerate(table) if reasons.get(row.id) == NO_FACE)
    before = _decoded(examples, table, islice(kept, SHEET_COLUMNS))
    after = [pixels for image in before if (pixels := apply_recipe(image, recipe)) is not None]
    rejected = _decoded(examples, table, islice(lost, SHEET_COLUMNS))
    rows = {"before": before, "after": after, **({"rejected": rejected} if rejected else {})}
    figures.contact_sheet(rows, out / "before_after.png", columns=SHEET_COLUMNS)


def _decoded(
    examples: Path, table: Sequence[Example], indices: Iterable[int]
) -> list[NDArray[np.uint8]]:
    pictures = read_images(examples, table, list(indices))
    return [images.decode_image(encoded) for _, encoded in pictures]
