from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from tfds_builders.catalog import DATASETS
from tfds_builders.drawn_faces.drawn_faces_dataset_builder import Builder, DrawnFacesConfig
from tfds_builders.drawn_faces.pictures import EXPRESSIONS


class DrawnFacesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = Path(__file__).parent  # no raw files: TFDS wants a folder all the same
    SPLITS = {"train": 14}  # noqa: RUF012 as TFDS declares it
    BUILDER_CONFIG_NAMES_TO_TEST = [  # noqa: RUF012
        DrawnFacesConfig(images_per_class=2, size=32, subjects=2)
    ]


def test_labels_are_the_expressions() -> None:
    assert DATASETS["drawn_faces"].labels == EXPRESSIONS


def test_sequences_are_written(tmp_path: Path) -> None:
    config = DrawnFacesConfig(sequences=3, subjects=2, size=32)
    builder = Builder(data_dir=tmp_path, config=config)
    builder.download_and_prepare()
    examples = list(tfds.as_numpy(builder.as_dataset(split="train")))

    neutral = EXPRESSIONS.index("neutral")
    assert len(examples) == 2 * 6 * 3
    assert sum(example["label"] == neutral for example in examples) == 2 * 6
    assert {example["subject"] for example in examples} == {b"subject_000", b"subject_001"}
    assert len({example["source"] for example in examples}) == len(examples)


def test_other_options_have_another_name() -> None:
    names = {
        DrawnFacesConfig(**options).name
        for options in (
            {},
            {"images_per_class": 3},
            {"size": 48},
            {"subjects": 5},
            {"strength": [0.5, 1]},
            {"sequences": 6},
            {"seed": 1},
        )
    }
    assert len(names) == 7
    assert DrawnFacesConfig(strength=[0.8, 1]).name == DrawnFacesConfig().name


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("images_per_class", 0),
        ("size", 31),
        ("size", 48.0),
        ("size", True),
        ("subjects", 0),
        ("sequences", 1),
        ("sequences", -1),
        ("seed", -1),
        ("strength", [1.0, 0.8]),
        ("strength", [0, 1.1]),
        ("strength", [float("nan"), 1]),
        ("strength", 0.8),
        ("strength", "01"),
    ],
)
def test_an_impossible_value_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option}: is .*; give "):
        DrawnFacesConfig(**{option: value})
