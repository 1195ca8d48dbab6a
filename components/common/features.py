"""Features of a frozen backbone: computed once for the same pictures, whatever is trained on them.

Kept as `<digest>.npy`, float32 [n, f], beside each other in the pipeline root. The digest is of the
backbone's architecture and weights and of the pictures' shards, so that no run takes another's.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common import progress
from components.common.records import Split, read_shards
from tfds_builders.files import written_whole
from tuning.training.batches import Arrays

BATCH = 32


def inputs_of(
    split: Split, name: str, backbone: Any | None, transformed_examples: Path, cache: Path
) -> Arrays:
    """What is trained on: a split's pictures, or where there is a backbone their features."""
    if backbone is None:
        return Arrays(split.images, split.labels)
    return Arrays(cached_features(backbone, transformed_examples, name, split, cache), split.labels)


def originals_of(split: Split) -> Arrays:
    """A split without the copies that Transform made of its pictures."""
    kept = np.array(["+" not in example for example in split.ids])
    return Arrays(split.images[kept], split.labels[kept])


def cached_features(
    backbone: Any, transformed_examples: Path, split: str, images: Split, cache: Path
) -> NDArray[np.float32]:
    """The features of a split's pictures, float32 [n, f], mapped from the cache.

    Args:
        backbone: a Keras model from pixels to features.
        transformed_examples: what Transform wrote.
        split: its name.
        images: the split, read.
        cache: folder of the features; is made.
    """
    shards = read_shards(transformed_examples)[split]
    path = cache / f"{_digest(backbone, shards)}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part, part.open("wb") as file:
            np.save(file, _predict(backbone, split, images))
    return np.load(path, mmap_mode="r")


def _predict(backbone: Any, split: str, images: Split) -> NDArray[np.float32]:
    features = np.empty((len(images), backbone.output_shape[-1]), np.float32)
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        features[rows] = backbone.predict_on_batch(images.images[rows])
        done = min(start + BATCH, len(images))
        progress.say(f"features of {split}: {done:,}/{len(images):,} images")
    return features


def _digest(backbone: Any, shards: Any) -> str:
    architecture = _with_names_by_number(json.loads(backbone.to_json())["config"])
    digest = hashlib.sha256(json.dumps([architecture, shards], sort_keys=True).encode())
    for weight in backbone.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _with_names_by_number(config: Any) -> Any:
    """The architecture, whatever its layers are called: Keras numbers those without a name anew."""
    numbers = {name: f"#{number}" for number, name in enumerate(dict.fromkeys(_names(config)))}

    def rename(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: rename(value) for key, value in node.items()}
        if isinstance(node, list):
            return [rename(value) for value in node]
        return numbers.get(node, node) if isinstance(node, str) else node

    return rename(config)


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("name"), str):
            yield node["name"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from _names(inner)
