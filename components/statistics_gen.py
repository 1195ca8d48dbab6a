"""StatisticsGen: measures every image, and draws what a person would look at first.

Reads:   examples
Writes:  statistics (statistics.json, measurements.csv, class_counts.png, contact_sheet.png)
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.common import figures, progress, tracking
from components.common.beam import cut_into_shards, map_shards
from components.common.examples import (
    SPLITS,
    Example,
    count_bytes,
    read_dataset,
    read_images,
    read_table,
)
from components.common.files import write_json
from components.common.measurements import Measurement, read_measurements, write_measurements
from components.common.pictures import images
from components.common.pictures.faces import has_face
from components.common.pictures.picture_files import upright
from tfds_builders.files import remove_parts, written_whole

SHEET_COLUMNS = 8


def generate_statistics(
    examples: Path, statistics: Path, *, beam: Mapping[str, Any]
) -> dict[str, Any]:
    """Measures all images on Beam; writes and returns the statistics of each split.

    Images that cannot be decoded are counted as such and left out of the means.
    """
    statistics.mkdir(parents=True, exist_ok=True)
    table, labels = read_table(examples), read_dataset(examples)["labels"]
    shards = cut_into_shards(len(table), count_bytes(examples))
    progress.start(len(table), "images")
    map_shards(
        partial(_measure_shard, examples, statistics, shards), range(len(shards)), beam, statistics
    )
    measurements = _merge_shards(statistics, len(shards))
    summary = summarize(table, measurements)
    write_json(statistics / "statistics.json", summary)
    counts = {split: of_split["classes"] for split, of_split in summary.items()}
    figures.class_bars(counts, labels, statistics / "class_counts.png")
    sheet = _first_images(examples, table, measurements, labels)
    figures.contact_sheet(sheet, statistics / "contact_sheet.png", columns=SHEET_COLUMNS)
    tracking.log_artifact(statistics / "statistics.json")
    tracking.log_artifact(statistics / "class_counts.png")
    tracking.log_artifact(statistics / "contact_sheet.png")
    return summary


def measure(example_id: str, encoded: bytes) -> Measurement:
    """Decodes one image and measures it; one that cannot be decoded has an error in place."""
    try:
        image = images.decode_image(encoded)
    except images.UndecodableImageError as error:
        return Measurement(example_id, 0, 0, 0.0, 0.0, "", "", 0, str(error))
    height, width = image.shape[:2]
    # Of all channels alike: a red surface is as blank as a gray one. In whole numbers, for speed.
    brightness = image.sum(axis=2, dtype=np.uint16)
    return Measurement(
        id=example_id,
        width=width,
        height=height,
        mean=float(brightness.mean()) / 3,
        std=float(brightness.std()) / 3,
        sha256=hashlib.sha256(f"{width}x{height}:".encode() + image.tobytes()).hexdigest(),
        phash=str(imagehash.phash(Image.fromarray(image))),
        has_face=int(has_face(upright(image, encoded))),
        error="",
    )


def summarize(
    table: Sequence[Example], measurements: Sequence[Measurement]
) -> dict[str, dict[str, Any]]:
    """The statistics of each split that has examples; pixel values 0..255."""
    by_split: dict[str, list[tuple[Example, Measurement]]] = {split: [] for split in SPLITS}
    for row, measurement in zip(table, measurements, strict=True):
        by_split[row.split].append((row, measurement))
    return {split: _summarize_split(pairs) for split, pairs in by_split.items() if pairs}


def _summarize_split(pairs: Sequence[tuple[Example, Measurement]]) -> dict[str, Any]:
    whole = [measurement for _, measurement in pairs if not measurement.error]
    pixels = np.array([m.width * m.height for m in whole], dtype=np.float64)
    means, stds = np.array([m.mean for m in whole]), np.array([m.std for m in whole])
    mean = float(np.average(means, weights=pixels)) if whole else 0.0
    square = float(np.average(means**2 + stds**2, weights=pixels)) if whole else 0.0
    return {
        "images": len(pairs),
        "undecodable": len(pairs) - len(whole),
        "subjects": len({row.subject for row, _ in pairs if row.subject}),
        "classes": dict(Counter(row.label for row, _ in pairs)),
        "sizes": dict(Counter(f"{m.width}x{m.height}" for m in whole).most_common()),
        "pixel_mean": mean,
        "pixel_std": math.sqrt(max(square - mean**2, 0.0)),
        "brightness_quantiles": np.quantile(means, [0, 0.05, 0.5, 0.95, 1]).tolist()
        if whole
        else [],
    }


def _measure_shard(
    examples: Path, statistics: Path, shards: Sequence[range], shard: int
) -> dict[str, int]:
    table = read_table(examples)
    pictures = read_images(examples, table, shards[shard])
    measured = [measure(row.id, encoded) for row, encoded in pictures]
    with written_whole(statistics / f"shard-{shard:05d}.csv") as part:
        write_measurements(part, measured)
    progress.advance(len(measured))
    return {"measured": len(measured)}


def _merge_shards(statistics: Path, shards: int) -> list[Measurement]:
    remove_parts(statistics)
    merged: list[Measurement] = []
    for shard in range(shards):
        part = statistics / f"shard-{shard:05d}.csv"
        merged += read_measurements(part)
        part.unlink()
    write_measurements(statistics / "measurements.csv", merged)
    return merged


def _first_images(
    examples: Path,
    table: Sequence[Example],
    measurements: Sequence[Measurement],
    labels: Sequence[str],
) -> dict[str, list[NDArray[np.uint8]]]:
    """The first train images of each class that can be decoded."""
    chosen: dict[str, list[int]] = {label: [] for label in labels}
    for index, (row, measurement) in enumerate(zip(table, measurements, strict=True)):
        of_class = chosen[row.label]
        if row.split == "train" and not measurement.error and len(of_class) < SHEET_COLUMNS:
            of_class.append(index)
    sheet: dict[str, list[NDArray[np.uint8]]] = {label: [] for label in labels}
    for row, encoded in read_images(examples, table, sorted(chain(*chosen.values()))):
        sheet[row.label].append(images.decode_image(encoded))
    return sheet
