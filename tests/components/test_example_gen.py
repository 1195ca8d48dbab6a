import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from components.common import progress
from components.common.examples import SPLITS, read_dataset, read_images, read_table
from components.common.files import file_digests
from components.common.splits import Shares, SplitError
from components.example_gen import Generated, Split, generate_examples
from tfds_builders import records
from tfds_builders.drawn_faces.drawn_faces_dataset_builder import Builder
from tfds_builders.drawn_faces.pictures import draw_png, stills

OPTIONS = {"images_per_class": 6, "subjects": 6, "size": 48}
BY_SUBJECT = Split("subject", Shares(0.5, 0.25, 0.25), seed=0)
ONE_WORKER = {"runner": "DirectRunner", "direct_num_workers": 1}
TWO_WORKERS = {"runner": "DirectRunner", "direct_num_workers": 2}

FacePng = Callable[..., bytes]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "IMAGES_A_SHARD", 15)


def generate(examples: Path, **changed: Any) -> Generated:
    """What is prepared is kept beside the examples."""
    arguments: dict[str, Any] = {
        "name": "drawn_faces",
        "options": OPTIONS,
        "raw_dir": None,
        "datasets": examples.parent / "datasets",
        "split": BY_SUBJECT,
        "beam": TWO_WORKERS,
    }
    return generate_examples(examples, **(arguments | changed))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In three shards, but not to be written to: others share what was prepared for it."""
    folder = tmp_path_factory.mktemp("drawn") / "examples"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(records, "IMAGES_A_SHARD", 15)
        generate(folder)
    return folder


@pytest.fixture
def datasets(examples: Path, tmp_path: Path) -> Path:
    """What was prepared for `examples`, to be changed."""
    return shutil.copytree(examples.parent / "datasets", tmp_path / "datasets")


@pytest.fixture
def nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("prepared again")

    monkeypatch.setattr(Builder, "read", read)


@pytest.fixture
def happy_house(tmp_path: Path, face_png: FacePng) -> Path:
    """Twenty faces to train on and eight to test on; train has a dataset that nobody asked for."""
    raw_dir = tmp_path / "raw"
    raw_dir.mkdir()
    for split, count in {"train": 20, "test": 8}.items():
        labels = [n % 2 for n in range(count)]
        encoded = [
            face_png("happy" if label else "sad", n + 100 * (split == "test"), 64)
            for n, label in enumerate(labels)
        ]
        with h5py.File(raw_dir / f"{split}_happy.h5", "w") as file:
            file[f"{split}_set_x"] = np.stack(
                [cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) for png in encoded]
            )
            file[f"{split}_set_y"] = labels
            if split == "train":
                file["poses"] = labels
    return raw_dir


def prepared_folder(datasets: Path, name: str = "drawn_faces") -> Path:
    (folder,) = (path for path in (datasets / name).iterdir() if path.is_dir())
    return folder


def shards(folder: Path) -> dict[str, os.stat_result]:
    return {path.name: path.stat() for path in folder.rglob("*.tfrecord*")}


def test_row_i_of_the_table_is_record_i_over_several_shards(examples: Path) -> None:
    drawn = {
        picture.source: (picture.label, picture.subject_name, draw_png(picture, 48, (0.8, 1.0), 0))
        for picture in stills(6, 6)
    }
    assert len(shards(examples)) == 3
    table = read_table(examples)
    whole = list(read_images(examples, table, range(42)))
    assert [row.source for row, _ in whole] == list(drawn)
    for row, image in whole:
        assert (row.label, row.subject, image) == drawn[row.source]
    for start in range(0, 42, 10):
        indices = range(start, min(start + 10, 42))
        assert list(read_images(examples, table, indices)) == whole[start : start + 10]


def test_tfds_reads_the_records_and_their_labels(examples: Path) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(examples / "records")
    assert builder.info.splits["train"].num_examples == 42
    name_of = builder.info.features["label"].int2str
    read = {
        example["source"].decode(): (name_of(example["label"]), example["image"].shape)
        for example in builder.as_dataset(split="train").as_numpy_iterator()
    }
    assert read == {row.source: (row.label, (48, 48, 3)) for row in read_table(examples)}


def test_ids_are_unique_and_the_dataset_is_described(examples: Path) -> None:
    assert len({row.id for row in read_table(examples)}) == 42
    dataset = read_dataset(examples)
    assert dataset["name"] == "drawn_faces"
    assert dataset["labels"][3] == "happy"
    assert dataset["tfds_splits"] == {"train": 42}
    assert dataset["raw_digest"] == ""
    assert (dataset["left_out"], dataset["notes"]) == ({}, [])


def test_one_worker_writes_the_bytes_of_two(examples: Path, tmp_path: Path) -> None:
    generate(tmp_path / "examples", beam=ONE_WORKER)
    assert file_digests(tmp_path / "examples") == file_digests(examples)


@pytest.mark.usefixtures("nothing_is_read")
@pytest.mark.parametrize(
    "split",
    [
        BY_SUBJECT,
        BY_SUBJECT._replace(seed=1),
        Split("stratified", Shares(0.5, 0.25, 0.25), seed=0),
        Split("", Shares(1, 0, 0), seed=0, folds=3, fold=1),
    ],
)
def test_another_split_prepares_nothing_again(examples: Path, tmp_path: Path, split: Split) -> None:
    datasets = examples.parent / "datasets"
    generate(tmp_path / "examples", split=split, datasets=datasets)
    prepared = shards(prepared_folder(datasets))
    taken = shards(tmp_path / "examples")
    assert {n: s.st_ino for n, s in taken.items()} == {n: s.st_ino for n, s in prepared.items()}
    same = read_dataset(tmp_path / "examples")["digest"] == read_dataset(examples)["digest"]
    assert same == (split == BY_SUBJECT)


@pytest.mark.parametrize("damage", ["shortened", "changed", "gone", "added", "unlisted"])
def test_what_was_prepared_and_then_damaged_is_prepared_again(
    examples: Path, datasets: Path, tmp_path: Path, damage: str
) -> None:
    folder = prepared_folder(datasets)
    shard = min((folder / "records").glob("*.tfrecord*"))
    content = shard.read_bytes()
    if damage == "shortened":
        shard.write_bytes(content[:-1])
    elif damage == "changed":
        shard.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    elif damage == "gone":
        shard.unlink()
    elif damage == "added":
        (folder / "records" / "more").touch()
    else:
        (folder / "prepared.json").write_text("{")
    generate(tmp_path / "examples")
    assert file_digests(tmp_path / "examples") == file_digests(examples)
    assert file_digests(folder) == file_digests(prepared_folder(examples.parent / "datasets"))


def test_a_killed_preparation_is_no_harm(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("components.common.preparing.write_metadata", killed)
        with pytest.raises(KeyboardInterrupt):
            generate(tmp_path / "examples")
    (part,) = (tmp_path / "datasets" / "drawn_faces").glob("*.part")
    (part / "records" / "litter").touch()
    generate(tmp_path / "again")
    assert file_digests(tmp_path / "again") == file_digests(examples)
    assert not part.exists()


@pytest.mark.usefixtures("nothing_is_read")
def test_where_nothing_can_be_linked_the_records_are_copied(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    generate(tmp_path / "examples", datasets=examples.parent / "datasets")
    assert file_digests(tmp_path / "examples") == file_digests(examples)
    assert {stat.st_nlink for stat in shards(tmp_path / "examples").values()} == {1}


def test_other_options_are_prepared_beside_the_first(datasets: Path, tmp_path: Path) -> None:
    before = file_digests(datasets)
    generate(tmp_path / "examples", options={**OPTIONS, "seed": 1})
    assert before.items() <= file_digests(datasets).items()
    assert len([path for path in (datasets / "drawn_faces").iterdir() if path.is_dir()]) == 2


def test_other_raw_files_are_prepared_anew(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: FacePng
) -> None:
    found = []
    for number in range(2):
        made = make_examples(tmp_path, {"sad/0.png": face_png("sad", number, 32)})
        ((_, image),) = read_images(made, read_table(made), [0])
        found.append((read_dataset(made)["raw_digest"], image))
        shutil.rmtree(made)
    assert [image for _, image in found] == [face_png("sad", number, 32) for number in range(2)]
    assert len({digest for digest, _ in found} - {""}) == 2


@pytest.mark.usefixtures("nothing_is_read")
def test_by_subject_nobody_is_on_two_sides(examples: Path, tmp_path: Path) -> None:
    counts, notes = generate(tmp_path / "examples", datasets=examples.parent / "datasets")
    table = read_table(tmp_path / "examples")
    assert len({(row.subject, row.split) for row in table}) == 6
    assert set(counts) == set(SPLITS)
    assert counts == Counter(row.split for row in table)
    assert notes == []


def test_official_splits_stay_and_train_gives_to_validation(
    tmp_path: Path, happy_house: Path
) -> None:
    counts, notes = generate(
        tmp_path / "examples",
        name="happy_house",
        options={},
        raw_dir=happy_house,
        split=Split("official", Shares(0.7, 0.2, 0.1), seed=0),
    )
    assert counts == {"train": 16, "validation": 4, "test": 8}
    assert notes == ["Not read in train_happy.h5: poses."]
    dataset = read_dataset(tmp_path / "examples")
    assert dataset["tfds_splits"] == {"test": 8, "train": 20}
    assert dataset["notes"] == notes
    table = read_table(tmp_path / "examples")
    for row, image in read_images(tmp_path / "examples", table, range(28)):
        file, _, number = row.source.partition(":")
        split = file.removesuffix("_happy.h5")
        assert (row.split == "test") == (split == "test")
        with h5py.File(happy_house / file) as raw:
            assert row.label == ("not_happy", "happy")[raw[f"{split}_set_y"][int(number)]]
            decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
            wanted = cv2.cvtColor(raw[f"{split}_set_x"][int(number)], cv2.COLOR_RGB2BGR)
        np.testing.assert_array_equal(decoded, wanted)


def test_over_the_folds_everything_is_tested_on_once(examples: Path, tmp_path: Path) -> None:
    tested: Counter[str] = Counter()
    for fold in range(3):
        folder = tmp_path / str(fold)
        split = Split("official", Shares(1, 0, 0), seed=0, folds=3, fold=fold)
        counts, _ = generate(folder, split=split, datasets=examples.parent / "datasets")
        assert counts == dict.fromkeys(("train", "validation", "test"), 14)
        tested.update(row.id for row in read_table(folder) if row.split == "test")
    assert tested == Counter(row.id for row in read_table(examples))


def test_what_is_left_out_and_merged_is_said(tmp_path: Path, face_png: FacePng) -> None:
    names = ["Happy/0.png", "Happy/1.png", "happy /2.png", "sad/0.png", "sad/1.png", "shy/0.png"]
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, face_png("happy", number, 32))
        archive.writestr("sad/readme.txt", "hello")
    counts, notes = generate(
        tmp_path / "examples",
        name="labelled_faces",
        options={"source": "mine.zip", "min_count": 2},
        raw_dir=tmp_path,
        split=Split("auto", Shares(1, 0, 0), seed=0),
    )
    dataset = read_dataset(tmp_path / "examples")
    assert counts == {"train": 5}
    assert dataset["labels"] == ["Happy", "sad"]
    assert dataset["left_out"] == {
        "files that are no pictures (.txt)": 1,
        "class shy has 1 picture, fewer than min_count 2": 1,
    }
    assert dataset["notes"] == ["label Happy: also written happy (1 time)"]
    assert sorted(notes) == [
        "1 left out: class shy has 1 picture, fewer than min_count 2",
        "1 left out: files that are no pictures (.txt)",
        "label Happy: also written happy (1 time)",
    ]


def test_a_truncated_picture_passes_through(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: FacePng
) -> None:
    members = {f"happy/{n}.png": face_png("happy", n, 32) for n in range(3)}
    members["sad/broken.png"] = face_png("sad", 0, 32)[:100]
    examples = make_examples(tmp_path, members)
    table = read_table(examples)
    pictures = read_images(examples, table, range(4))
    assert {row.source: encoded for row, encoded in pictures} == members
    assert {row.source: row.label for row in table}["sad/broken.png"] == "sad"


def test_a_damaged_member_is_named_and_nothing_is_kept(
    tmp_path: Path, make_examples: Callable[..., Path], face_png: FacePng
) -> None:
    make_examples(tmp_path / "whole", {"sad/0.png": face_png("sad", 0, 32)})
    archive = (tmp_path / "whole" / "happy-or-sad.zip").read_bytes()
    place = archive.index(b"IDAT") + 20
    damaged = archive[:place] + bytes([archive[place] ^ 255]) + archive[place + 1 :]
    (tmp_path / "happy-or-sad.zip").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"^sad/0\.png: cannot be read .*download the archive"):
        generate(tmp_path / "out", name="happy_or_sad", options={}, raw_dir=tmp_path)
    assert not list((tmp_path / "datasets" / "happy_or_sad").rglob("prepared.json"))


def test_a_missing_raw_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"happy-or-sad\.zip.*not in"):
        generate(tmp_path / "out", name="happy_or_sad", options={}, raw_dir=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "drawn_face"}, "did you mean drawn_faces"),
        ({"options": {"sise": 48}}, "did you mean size"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(tmp_path / "out", **change)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (BY_SUBJECT._replace(method="kfold"), "method=kfold"),
        (BY_SUBJECT._replace(method="official"), "no splits of its own; try auto"),
        (BY_SUBJECT._replace(folds=7), "kfold=7: there are only 6 subjects"),
    ],
)
def test_a_split_that_cannot_be_is_refused(
    examples: Path, tmp_path: Path, split: Split, message: str
) -> None:
    with pytest.raises(SplitError, match=message):
        generate(tmp_path / "out", split=split, datasets=examples.parent / "datasets")


def test_progress_is_told(tmp_path: Path) -> None:
    heard: list[str] = []
    with progress.listening(heard.append):
        generate(tmp_path / "examples")
    assert sorted(heard) == ["14/42 images (33%)", "28/42 images (67%)", "42/42 images (100%)"]
