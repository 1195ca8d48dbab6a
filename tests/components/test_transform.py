import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common import beam as beam_module
from components.common import records
from components.common.balancing import Balance
from components.common.examples import (
    Example,
    read_dataset,
    read_images,
    read_table,
    write_examples,
)
from components.common.files import file_digests, read_json, write_json
from components.common.pictures import images, landmarks
from components.common.pictures.augmentation import Augmentation, augment, draw
from components.common.pictures.faces import FaceCrop
from components.common.recipe import Recipe, read_recipe
from components.common.records import load_split, read_shards
from components.example_validator import validate_examples
from components.statistics_gen import generate_statistics
from components.transform import (
    EmptyClassError,
    LostExamplesError,
    Rejection,
    count,
    transform,
)

# How many of each class the split of the drawn examples leaves in train.
TRAIN_CLASSES = {0: 2, 1: 4, 2: 2, 3: 3, 4: 2, 5: 1, 6: 4}
WHOLE = Recipe(24, 24, 1, None)
FLIP = Augmentation(horizontal_flip=True)
ALL = Augmentation(
    rotation=20,
    shift=0.1,
    zoom=0.2,
    horizontal_flip=True,
    brightness=0.1,
    contrast=0.2,
    cutout=0.2,
    seed=1,
)
OVERSAMPLE = Balance(copies=1, method="oversample")
Transform = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def run(beam: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Transform:
    """Transforms with nothing quarantined and nothing added, but for what is asked for."""
    nothing = tmp_path_factory.mktemp("anomalies")
    write_json(nothing / "anomalies.json", {"quarantined": []})

    def call(examples: Path, out: Path, anomalies: Path = nothing, **changed: Any) -> Any:
        arguments = {
            "recipe": WHOLE,
            "augmentation": Augmentation(),
            "balance": Balance(),
            "beam": beam,
        }
        return transform(examples, anomalies, out, **(arguments | changed))

    return call


@pytest.fixture(scope="module")
def transformed(
    drawn_examples: Path, run: Transform, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("transformed")
    run(drawn_examples, out, augmentation=ALL, balance=OVERSAMPLE)
    return out


def all_records(transformed: Path, split: str) -> list[records.Record]:
    shards = read_shards(transformed)[split]
    return [each for shard in shards for each in records.read_shard(transformed, shard)]


def test_every_example_is_there_with_its_pixels(
    drawn_examples: Path, tmp_path: Path, run: Transform
) -> None:
    counts = run(drawn_examples, tmp_path)
    table = read_table(drawn_examples)
    labels = read_json(tmp_path / "dataset.json")["labels"]
    pictures = read_images(drawn_examples, table, range(28))
    encoded = {row.id: content for row, content in pictures}
    for split in ("train", "validation", "test"):
        rows = {row.id: row for row in table if row.split == split}
        loaded = load_split(tmp_path, split)
        assert counts[split] == {"in": len(rows), "kept": len(rows), "rejected": {}, "copies": 0}
        assert sorted(loaded.ids) == sorted(rows)
        for index, example_id in enumerate(loaded.ids):
            row = rows[example_id]
            assert labels[loaded.labels[index]] == row.label
            assert (loaded.subjects[index], loaded.sources[index]) == (row.subject, row.source)
            picture = images.decode_image(encoded[example_id])
            np.testing.assert_array_equal(
                loaded.images[index], images.fit_image(picture, 24, 24, 1)
            )
    assert read_json(tmp_path / "counts.json") == counts
    assert read_recipe(tmp_path) == (WHOLE, labels)
    assert cv2.imread(str(tmp_path / "before_after.png")).std() > 0


def test_the_same_input_gives_the_same_bytes(
    drawn_examples: Path, transformed: Path, tmp_path: Path, run: Transform
) -> None:
    run(drawn_examples, tmp_path, augmentation=ALL, balance=OVERSAMPLE)
    assert file_digests(tmp_path) == file_digests(transformed)


def test_shards_make_no_difference_to_what_is_in_them(
    monkeypatch: pytest.MonkeyPatch,
    drawn_examples: Path,
    transformed: Path,
    tmp_path: Path,
    run: Transform,
) -> None:
    monkeypatch.setattr(beam_module, "IMAGES_A_SHARD", 4)
    run(drawn_examples, tmp_path, augmentation=ALL, balance=OVERSAMPLE)
    assert len(read_shards(tmp_path)["train"]) > 2
    for split in ("train", "validation", "test"):
        wanted, got = (Counter(all_records(folder, split)) for folder in (transformed, tmp_path))
        assert got == wanted


def test_oversampling_makes_train_classes_equal_and_leaves_the_rest(transformed: Path) -> None:
    counts = read_json(transformed / "counts.json")
    train = load_split(transformed, "train")
    assert Counter(train.labels[: counts["train"]["kept"]].tolist()) == TRAIN_CLASSES
    largest = 2 * max(TRAIN_CLASSES.values())  # each with its mirror image
    assert Counter(train.labels.tolist()) == dict.fromkeys(range(7), largest)
    assert len(train) == counts["train"]["kept"] + counts["train"]["copies"]
    for split in ("validation", "test"):
        assert counts[split]["copies"] == 0
        assert len(load_split(transformed, split)) == counts[split]["in"]


@pytest.mark.parametrize(
    "workers", [{"direct_running_mode": "multi_processing"}, {"direct_num_workers": 1}]
)
def test_the_workers_make_no_difference_to_a_byte(
    monkeypatch: pytest.MonkeyPatch,
    drawn_examples: Path,
    beam: dict[str, Any],
    tmp_path: Path,
    run: Transform,
    workers: dict[str, Any],
) -> None:
    monkeypatch.setattr(beam_module, "IMAGES_A_SHARD", 9)
    for name, options in (("here", beam), ("there", beam | workers)):
        run(drawn_examples, tmp_path / name, augmentation=ALL, balance=OVERSAMPLE, beam=options)
    assert file_digests(tmp_path / "here") == file_digests(tmp_path / "there")


def test_a_copy_is_drawn_from_its_examples_id_and_its_number(transformed: Path) -> None:
    train = {record.id: record for record in all_records(transformed, "train")}
    copies = [record for record in train.values() if "+" in record.id]
    assert copies
    for copy in copies:
        example_id, number = copy.id.split("+")
        original = train[example_id]
        pixels = augment(images.decode_png(original.encoded), draw(ALL, example_id, int(number)))
        np.testing.assert_array_equal(images.decode_png(copy.encoded), pixels)
        assert copy._replace(id=example_id, encoded=original.encoded) == original


def test_no_copy_of_a_validation_or_test_image_is_in_train(
    drawn_examples: Path, transformed: Path
) -> None:
    split_of = {row.id: row.split for row in read_table(drawn_examples)}
    for split in ("train", "validation", "test"):
        ids = [record.id for record in all_records(transformed, split)]
        assert {split_of[example_id.split("+")[0]] for example_id in ids} == {split}
        assert split == "train" or not any("+" in example_id for example_id in ids)


@pytest.mark.parametrize("images_a_shard", [2, 500])
def test_a_cap_leaves_out_train_examples_and_counts_them(
    monkeypatch: pytest.MonkeyPatch,
    drawn_examples: Path,
    tmp_path: Path,
    run: Transform,
    images_a_shard: int,
) -> None:
    monkeypatch.setattr(beam_module, "IMAGES_A_SHARD", images_a_shard)
    monkeypatch.setattr(beam_module, "LEAST_IMAGES_A_SHARD", 1)
    counts = run(drawn_examples, tmp_path, balance=Balance(method="cap", class_cap=2))
    wanted = {label: min(size, 2) for label, size in TRAIN_CLASSES.items()}
    train = load_split(tmp_path, "train")
    assert Counter(train.labels.tolist()) == wanted
    left_out = sum(TRAIN_CLASSES.values()) - sum(wanted.values())
    assert counts["train"]["rejected"] == {"over the class's cap": left_out}
    assert counts["train"]["kept"] == len(train)
    assert counts["test"]["rejected"] == counts["validation"]["rejected"] == {}
    with (tmp_path / "rejected.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == left_out
    listed = {shard["file"] for of_split in read_shards(tmp_path).values() for shard in of_split}
    assert {path.name for path in tmp_path.glob("*.tfrecord")} == listed


@pytest.mark.parametrize("kind", ["pixels", "scale_free"])
def test_landmarks_lie_beside_every_picture_its_copies_too(
    drawn_examples: Path, tmp_path: Path, run: Transform, kind: str
) -> None:
    pytest.importorskip("dlib")
    recipe = Recipe(64, 64, 1, None, kind)
    run(drawn_examples, tmp_path, recipe=recipe, augmentation=FLIP, balance=Balance(copies=1))
    for split in ("train", "validation", "test"):
        loaded = load_split(tmp_path, split)
        assert loaded.landmarks.shape == (len(loaded), 4 * landmarks.POINTS)
        for pixels, features in zip(loaded.images, loaded.landmarks, strict=True):
            np.testing.assert_array_equal(np.float32(landmarks.features(pixels, kind)), features)
    assert "landmarks_version" in read_json(tmp_path / "recipe.json")


def test_flipping_adds_exact_mirrors_to_train_alone(
    drawn_examples: Path, tmp_path: Path, run: Transform
) -> None:
    counts = run(drawn_examples, tmp_path, augmentation=FLIP, balance=Balance(copies=1))
    train = load_split(tmp_path, "train")
    kept = counts["train"]["kept"]
    assert counts["train"]["copies"] == kept
    originals = dict(zip(train.ids[:kept], train.images[:kept], strict=True))
    for example_id, mirrored in zip(train.ids[kept:], train.images[kept:], strict=True):
        original = originals.pop(example_id.split("+")[0])
        np.testing.assert_array_equal(mirrored, original[:, ::-1])
    assert originals == {}
    assert counts["test"]["copies"] == counts["validation"]["copies"] == 0


def test_no_two_examples_have_the_same_id(transformed: Path) -> None:
    ids = [r.id for split in read_shards(transformed) for r in all_records(transformed, split)]
    assert len(ids) == len(set(ids)) > 28


def test_pictures_without_a_face_may_stay_whole(
    odd_examples: Path, odd_anomalies: Path, tmp_path: Path, run: Transform
) -> None:
    recipe = Recipe(96, 96, 3, FaceCrop(if_none="whole_image"))
    counts = run(odd_examples, tmp_path, odd_anomalies, recipe=recipe)
    assert counts["train"]["rejected"] == {"undecodable": 1}
    train = load_split(tmp_path, "train")
    blank = train.images[train.sources.index("sad/blank.png")]
    np.testing.assert_array_equal(blank, np.full((96, 96, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def odd_examples(
    make_examples: Callable[..., Path],
    face_png: Callable[..., bytes],
    noise: Callable[..., NDArray[np.uint8]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Two faces, and what has no face: noise, a blank picture, a truncated one."""
    members = {
        "happy/face.png": face_png("happy", 0),
        "happy/noise.png": images.encode_png(noise(0, 96, 96, 3)),
        "sad/face.png": face_png("neutral", 1),
        "sad/blank.png": images.encode_png(np.full((96, 96, 3), 90, np.uint8)),
        "sad/cut.png": face_png("sad", 2)[:500],
    }
    return make_examples(tmp_path_factory.mktemp("odd"), members)


@pytest.fixture(scope="module")
def odd_anomalies(
    odd_examples: Path,
    policies: dict[str, str],
    beam: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    generate_statistics(odd_examples, folder / "s", beam=beam)
    validate_examples(
        odd_examples,
        folder / "s",
        folder / "anomalies",
        min_class_size=1,
        blank_std=0.0,
        near_duplicate_bits=4,
        policies=policies,
        beam=beam,
    )
    return folder / "anomalies"


def test_what_has_no_face_is_rejected_by_name_and_reason(
    odd_examples: Path, odd_anomalies: Path, tmp_path: Path, run: Transform
) -> None:
    counts = run(odd_examples, tmp_path, odd_anomalies, recipe=Recipe(32, 32, 1, FaceCrop()))
    no_face = "no face found"
    assert counts["train"]["in"] == 5
    assert counts["train"]["kept"] == 2
    assert counts["train"]["rejected"] == {no_face: 2, "undecodable": 1}
    with (tmp_path / "rejected.csv").open(newline="") as file:
        reasons = {row["source"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "happy/noise.png": no_face,
        "sad/blank.png": no_face,
        "sad/cut.png": "undecodable",
    }
    assert sorted(load_split(tmp_path, "train").sources) == ["happy/face.png", "sad/face.png"]


def test_a_picture_that_cannot_be_decoded_and_is_not_quarantined_is_named(
    odd_examples: Path, tmp_path: Path, run: Transform
) -> None:
    for recipe in (WHOLE, Recipe(32, 32, 1, FaceCrop())):
        with pytest.raises(images.UndecodableImageError, match=r"sad/cut\.png: "):
            run(odd_examples, tmp_path, recipe=recipe)


def test_a_quarantined_picture_of_many_pixels_is_not_decoded(
    make_examples: Callable[..., Path],
    face_png: Callable[..., bytes],
    tmp_path: Path,
    run: Transform,
) -> None:
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    members = {"happy/a.png": bomb, "happy/b.png": face_png("happy", 0), "sad/c.png": bomb}
    examples = make_examples(tmp_path / "raw", members | {"sad/d.png": face_png("sad", 1)})
    quarantined = [
        {"id": row.id, "reason": "undecodable: too large"}
        for row in read_table(examples)
        if row.source in ("happy/a.png", "sad/c.png")
    ]
    write_json(tmp_path / "anomalies" / "anomalies.json", {"quarantined": quarantined})
    counts = run(examples, tmp_path / "out", tmp_path / "anomalies")
    assert counts["train"]["rejected"] == {"undecodable": 2}
    write_json(tmp_path / "anomalies" / "anomalies.json", {"quarantined": []})
    with pytest.raises(images.UndecodableImageError, match=r"81,000,000 pixels, more than"):
        run(examples, tmp_path / "again", tmp_path / "anomalies")


def test_a_dataset_without_pictures_is_told_in_words(
    drawn_examples: Path, tmp_path: Path, run: Transform
) -> None:
    empty = tmp_path / "empty"
    shutil.copytree(drawn_examples, empty)
    write_examples(empty, [], read_dataset(drawn_examples))
    with pytest.raises(EmptyClassError, match="none of its 0 train images is left: it had none"):
        run(empty, tmp_path / "out")


def test_quarantined_images_are_left_out_without_a_crop_too(
    odd_examples: Path, odd_anomalies: Path, tmp_path: Path, run: Transform
) -> None:
    counts = run(odd_examples, tmp_path, odd_anomalies)
    assert counts["train"]["rejected"] == {"undecodable": 1}
    assert "sad/cut.png" not in load_split(tmp_path, "train").sources


def shard(count: int) -> records.Shard:
    return {"file": "x", "records": count, "sha256": ""}


def test_counts_add_up() -> None:
    table = [Example(str(n), "train" if n else "test", "a", "", "") for n in range(5)]
    written = {"train": [shard(2), shard(1)], "validation": [], "test": [shard(1)]}
    rejected = [Rejection("1", "train", "1.png", "no face")]
    counts = count(table, written, rejected)
    assert counts["train"] == {"in": 4, "kept": 3, "rejected": {"no face": 1}, "copies": 0}
    assert counts["test"]["kept"] == 1
    assert counts["validation"]["in"] == 0


@pytest.mark.parametrize("kept", [2, 4])
def test_counts_that_do_not_add_up_stop_the_run(kept: int) -> None:
    table = [Example(str(n), "train", "a", "", "") for n in range(4)]
    written = {"train": [shard(kept)], "validation": [], "test": []}
    rejected = [Rejection("1", "train", "1.png", "no face")]
    with pytest.raises(LostExamplesError, match=f"train: 4 images in, {kept} kept and 1 rejected"):
        count(table, written, rejected)


def test_a_class_that_loses_all_its_faces_stops_the_run(
    drawn_examples: Path, tmp_path: Path, run: Transform
) -> None:
    blind = Recipe(24, 24, 1, FaceCrop(min_size=95))
    with pytest.raises(EmptyClassError, match="train images is left: no face found"):
        run(drawn_examples, tmp_path, recipe=blind)
