from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from tfds_builders.happy_or_sad.happy_or_sad_dataset_builder import Builder

Write = Callable[[Path, dict[str, bytes]], Path]


@pytest.fixture(scope="class")
def dummy_data(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_zip: Write,
    happy_or_sad_members: dict[str, bytes],
) -> None:
    folder = tmp_path_factory.mktemp("happy_or_sad")
    write_zip(folder / "happy-or-sad.zip", happy_or_sad_members)
    request.cls.EXAMPLE_DIR = folder


@pytest.mark.usefixtures("dummy_data")
class HappyOrSadTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = {"train": 5}  # noqa: RUF012 as TFDS declares it


def records(raw_dir: Path, data_dir: Path) -> dict[str, dict[str, Any]]:
    """The dataset's examples by source, each with the image's bytes as they are in the record."""
    builder = Builder(data_dir=data_dir, raw_dir=raw_dir)
    builder.download_and_prepare()
    undecoded = builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    return {example["source"].decode(): example for example in tfds.as_numpy(undecoded)}


def test_a_truncated_picture_reaches_the_record_as_it_is(
    tmp_path: Path, write_zip: Write, happy_or_sad_members: dict[str, bytes]
) -> None:
    broken = happy_or_sad_members["sad/sad1.png"][:100]
    members = happy_or_sad_members | {"sad/sad1.png": broken}
    write_zip(tmp_path / "happy-or-sad.zip", members)

    examples = records(tmp_path, tmp_path / "data")

    assert {source: example["image"] for source, example in examples.items()} == members


def test_zip_and_folders_give_the_same_records(
    tmp_path: Path, write_zip: Write, write_folder: Write, happy_or_sad_members: dict[str, bytes]
) -> None:
    (tmp_path / "zipped").mkdir()
    write_zip(tmp_path / "zipped" / "happy-or-sad.zip", happy_or_sad_members)
    write_folder(tmp_path / "folders", happy_or_sad_members)

    from_zip = records(tmp_path / "zipped", tmp_path / "data1")

    assert from_zip == records(tmp_path / "folders", tmp_path / "data2")
    assert from_zip["sad/sad0.png"]["label"] == 1
    assert from_zip["happy/happy2.png"]["label"] == 0
    assert {example["subject"] for example in from_zip.values()} == {b""}


def test_a_class_may_be_empty(
    tmp_path: Path, write_folder: Write, happy_or_sad_members: dict[str, bytes]
) -> None:
    write_folder(tmp_path, {"happy/a.png": happy_or_sad_members["happy/happy0.png"]})
    (tmp_path / "sad").mkdir()

    assert set(records(tmp_path, tmp_path / "data")) == {"happy/a.png"}


@pytest.mark.parametrize("name", ["happy/notes.txt", "angry/a.png", "a.png", "x/happy/a.png"])
def test_what_is_no_picture_of_a_class_is_named(
    tmp_path: Path, write_zip: Write, happy_or_sad_members: dict[str, bytes], name: str
) -> None:
    write_zip(tmp_path / "happy-or-sad.zip", happy_or_sad_members | {name: b"x"})

    with pytest.raises(ValueError, match=f"{name}: not a picture"):
        records(tmp_path, tmp_path / "data")
