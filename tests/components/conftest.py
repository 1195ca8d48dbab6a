"""Small artifacts: real examples from raw files that are made here, and transformed ones."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common import records
from components.common.files import write_json
from components.common.findings import KINDS
from components.common.pictures import images
from components.common.recipe import Recipe, write_recipe
from components.common.records import Record
from components.common.splits import Shares
from components.example_gen import Split, generate_examples
from components.statistics_gen import generate_statistics
from tfds_builders.drawn_faces.pictures import Picture, draw_png
from tuning.heads import classify, compile_classifier

FacePng = Callable[..., bytes]
MakeExamples = Callable[[Path, Mapping[str, bytes]], Path]

DROPPED = {"undecodable"}
ERRORS = {"duplicate_across_splits", "subject_across_splits", "missing_class", "label_names"}


@pytest.fixture(scope="session")
def beam() -> dict[str, str]:
    return {"runner": "DirectRunner"}


@pytest.fixture(scope="session")
def policies() -> dict[str, str]:
    """What a config says where it says nothing."""
    return {
        kind: "drop" if kind in DROPPED else "error" if kind in ERRORS else "warn" for kind in KINDS
    }


@pytest.fixture(scope="session")
def face_png() -> FacePng:
    """Draws the n-th face with an expression: a PNG of 96 x 96 where no other size is asked for."""

    def draw(expression: str, number: int, size: int = 96) -> bytes:
        return draw_png(Picture(number, expression, 0, 0, 1.0), size, (0.9, 1.0), seed=1)

    return draw


@pytest.fixture(scope="session")
def noise() -> Callable[..., NDArray[np.uint8]]:
    """Draws the n-th picture of noise, uint8."""

    def draw(number: int, *shape: int) -> NDArray[np.uint8]:
        return np.random.default_rng(number).integers(0, 256, shape or (20, 24, 3), dtype=np.uint8)

    return draw


@pytest.fixture(scope="session")
def make_examples(beam: dict[str, str]) -> MakeExamples:
    """Makes the examples of a happy-or-sad.zip with these members; all are in train."""

    def make(folder: Path, members: Mapping[str, bytes]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / "happy-or-sad.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        generate_examples(
            folder / "examples",
            name="happy_or_sad",
            options={},
            raw_dir=folder,
            datasets=folder / "datasets",
            split=Split("random", Shares(1, 0, 0), seed=0),
            beam=beam,
        )
        return folder / "examples"

    return make


@pytest.fixture(scope="session")
def drawn_examples(beam: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 faces of 7 classes and 4 subjects, in all three splits."""
    folder = tmp_path_factory.mktemp("drawn")
    generate_examples(
        folder / "examples",
        name="drawn_faces",
        options={"images_per_class": 4, "subjects": 4, "size": 96},
        raw_dir=None,
        datasets=folder / "datasets",
        split=Split("random", Shares(0.6, 0.2, 0.2), seed=3),
        beam=beam,
    )
    return folder / "examples"


@pytest.fixture(scope="session")
def drawn_statistics(
    drawn_examples: Path, beam: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    statistics = tmp_path_factory.mktemp("drawn") / "statistics"
    generate_statistics(drawn_examples, statistics, beam=beam)
    return statistics


@pytest.fixture(scope="session")
def write_transformed() -> Callable[..., Path]:
    """Writes transformed examples: for each split the images, the labels and perhaps subjects."""

    def write(folder: Path, splits: Mapping[str, tuple[Any, ...]], labels: list[str]) -> Path:
        folder.mkdir(parents=True)
        shards: dict[str, list[Any]] = {"train": [], "validation": [], "test": []}
        for split, (pixels, of_images, *rest) in splits.items():
            subjects = rest[0] if rest else [""] * len(of_images)
            rows = [
                Record(images.encode_png(image), int(label), f"{split}{n}", subject, f"{n}.png")
                for n, (image, label, subject) in enumerate(
                    zip(pixels, of_images, subjects, strict=True)
                )
            ]
            shards[split].append(records.write_shard(folder / f"{split}.tfrecord", rows))
        write_json(folder / "shards.json", shards)
        write_json(folder / "counts.json", {split: {"rejected": {}} for split in splits})
        write_json(folder / "dataset.json", {"name": "made", "labels": labels, "digest": "d1"})
        height, width, channels = next(iter(splits.values()))[0].shape[1:]
        write_recipe(folder, Recipe(height, width, channels, None), labels)
        return folder

    return write


@pytest.fixture(scope="session")
def bright_or_dark() -> Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Makes `count` pictures of 12 x 12 gray pixels whose class is how bright they are."""

    def make(
        count: int, classes: int = 2, seed: int = 0
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        labels = np.arange(count) % classes
        rng = np.random.default_rng(seed)
        level = labels[:, None, None, None] * (200 / max(classes - 1, 1)) + 20
        return (level + rng.uniform(-20, 20, (count, 12, 12, 1))).astype(np.uint8), labels

    return make


@pytest.fixture(scope="session")
def tiny_classifier() -> Callable[..., keras.Model]:
    """Makes a classifier of a dense layer with random weights, for a shape of image."""

    def make(shape: tuple[int, int, int], classes: int) -> keras.Model:
        inputs = keras.Input(shape, name="pixels")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        return compile_classifier(keras.Model(inputs, classify(x, classes)), "sgd")

    return make
