from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorflow_datasets.core.utils import shard_utils

from components.common import progress
from components.common.examples import SPLITS, read_dataset, read_images, read_table
from components.common.files import file_digests
from components.common.splits import Shares
from components.example_gen import generate_examples
from tfds_builders.drawn_faces.pictures import draw_png, stills

OPTIONS = {"images_per_class": 6, "subjects": 6, "size": 48}


def generate(examples: Path, **changed: Any) -> dict[str, int]:
    arguments: dict[str, Any] = {
        "name": "drawn_faces",
        "options": OPTIONS,
        "raw_dir": None,
        "method": "subject",
        "shares": Shares(0.5, 0.25, 0.25),
        "seed": 0,
    }
    return generate_examples(examples, **(arguments | changed))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "examples"
    generate(folder)
    return folder


def test_row_i_of_the_table_is_record_i(examples: Path) -> None:
    drawn = {
        picture.source: (picture.label, picture.subject_name, draw_png(picture, 48, (0.8, 1.0), 0))
        for picture in stills(6, 6)
    }
    table = read_table(examples)
    pictures = list(read_images(examples, table, range(len(table))))
    assert len(table) == len(pictures) == len(drawn) == 42
    for row, image in pictures:
        assert (row.label, row.subject, image) == drawn[row.source]


def test_slices_of_several_files_keep_their_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As TFDS does it for large datasets; it reads several files in turns unless told otherwise.
    monkeypatch.setattr(shard_utils.ShardConfig, "get_number_shards", lambda *_, **__: 3)
    generate(tmp_path)
    assert len(list((tmp_path / "records").glob("*.tfrecord*"))) == 3
    drawn = {picture.source: draw_png(picture, 48, (0.8, 1.0), 0) for picture in stills(6, 6)}
    table = read_table(tmp_path)
    for start in range(0, 42, 10):
        indices = range(start, min(start + 10, 42))
        for row, image in read_images(tmp_path, table, indices):
            assert image == drawn[row.source]


def test_ids_are_unique_and_the_dataset_is_described(examples: Path) -> None:
    assert len({row.id for row in read_table(examples)}) == 42
    dataset = read_dataset(examples)
    assert dataset["name"] == "drawn_faces"
    assert dataset["labels"][3] == "happy"
    assert dataset["tfds_splits"] == {"train": 42}
    assert dataset["raw_digest"] == ""


def test_the_same_call_writes_the_same_bytes(examples: Path, tmp_path: Path) -> None:
    generate(tmp_path)
    assert file_digests(tmp_path) == file_digests(examples)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"options": {**OPTIONS, "seed": 1}}, {"shares": Shares(1, 0, 0)}]
)
def test_other_data_or_another_split_have_another_digest(
    examples: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    generate(tmp_path, **change)
    assert read_dataset(tmp_path)["digest"] != read_dataset(examples)["digest"]


def test_by_subject_nobody_is_on_two_sides(examples: Path, tmp_path: Path) -> None:
    counts = generate(tmp_path)
    sides = {(row.subject, row.split) for row in read_table(examples)}
    assert len(sides) == 6
    assert set(counts) == set(SPLITS)
    assert sum(counts.values()) == 42


def test_a_truncated_picture_passes_through(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: Callable[..., bytes]
) -> None:
    members = {f"happy/{n}.png": face_png("happy", n, 32) for n in range(3)}
    members["sad/broken.png"] = face_png("sad", 0, 32)[:100]
    examples = make_examples(tmp_path, members)
    table = read_table(examples)
    pictures = read_images(examples, table, range(4))
    assert {row.source: encoded for row, encoded in pictures} == members
    assert {row.source: row.label for row in table}["sad/broken.png"] == "sad"


def test_the_raw_digest_follows_the_archive(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: Callable[..., bytes]
) -> None:
    digests = {
        read_dataset(make_examples(tmp_path / str(n), {"sad/0.png": face_png("sad", n, 32)}))[
            "raw_digest"
        ]
        for n in range(2)
    }
    assert len(digests) == 2
    assert "" not in digests


def test_a_missing_raw_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"happy-or-sad\.zip.*not in"):
        generate(tmp_path / "out", name="happy_or_sad", options={}, raw_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "drawn_face"}, "did you mean drawn_faces"),
        ({"options": {"sise": 48}}, "did you mean size"),
        ({"method": "kfold"}, "method=kfold"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(tmp_path, **change)


def test_progress_is_told(tmp_path: Path) -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        generate(tmp_path)
    assert heard == ["20 images", "40 images"]
