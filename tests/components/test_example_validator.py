import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.examples import SPLITS, Example, read_table, write_examples
from components.common.files import read_json
from components.common.findings import DROPPABLE, KINDS
from components.common.measurements import Measurement, write_measurements
from components.common.near_duplicates import NearPair
from components.common.pictures.images import decode_image, encode_png
from components.common.splits import Shares
from components.example_gen import Split, generate_examples
from components.example_validator import (
    Anomalies,
    InvalidExamplesError,
    find_anomalies,
    validate_examples,
)
from components.statistics_gen import generate_statistics

LABELS = ["happy", "sad"]
BITS = 4
WARN = dict.fromkeys(KINDS, "warn")
EXPRESSIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]

Planted = tuple[Example, Measurement]


def look(number: int, differing_bits: int = 0) -> str:
    """A perceptual hash far from those of other numbers, or near to that of its own."""
    bits = int(hashlib.sha256(str(number).encode()).hexdigest()[:16], 16)
    return f"{bits ^ (2**differing_bits - 1):016x}"


def picture(
    number: int, split: str = "train", label: str = "", subject: str = "", **measured: object
) -> Planted:
    """The row and the measurement of a picture that is sound where nothing else is said."""
    label = label or LABELS[number % 2]
    row = Example(f"id{number}", split, label, subject, f"{label}/{number}.png")
    sound = Measurement(row.id, 48, 48, 100.0, 50.0, str(number), look(number), 1, "")
    return row, sound._replace(**measured)


def broken(number: int, split: str = "train") -> Planted:
    row, _ = picture(number, split)
    return row, Measurement(row.id, 0, 0, 0.0, 0.0, "", "", 0, "truncated PNG")


# What is sound: six pictures of each class in train, and four to judge by.
SOUND = [
    *(picture(n) for n in range(12)),
    *(picture(n, "validation") for n in (12, 13)),
    *(picture(n, "test") for n in (14, 15)),
]


def anomalies_of(
    planted: Sequence[Planted],
    policies: Mapping[str, str] = WARN,
    *,
    least: int = 1,
    labels: Sequence[str] = LABELS,
    sound: Sequence[Planted] = SOUND,
) -> Anomalies:
    rows, measurements = zip(*sound, *planted, strict=True)
    near = [
        NearPair(first, second, apart)
        for first, second in combinations(sorted({m.phash for m in measurements} - {""}), 2)
        if (apart := (int(first, 16) ^ int(second, 16)).bit_count()) <= BITS
    ]
    return find_anomalies(rows, measurements, near, labels, least, 1.0, {**WARN, **policies})


def counts(found: Anomalies) -> dict[str, int]:
    return {kind: len(of_kind) for kind, of_kind in found.findings.items()}


def dropped(found: Anomalies) -> list[str]:
    return [entry["id"] for entry in found.quarantined]


def test_sound_examples_have_no_anomaly() -> None:
    assert anomalies_of([]) == Anomalies([], [], [], {})


def test_no_examples_have_no_anomaly_but_missing_classes() -> None:
    found = find_anomalies([], [], [], LABELS, 1, 1.0, WARN)
    assert counts(found) == {"missing_class": 2}


# Of each kind that can be dropped: the picture that goes, and the text.
PLANTED: dict[str, tuple[Planted, str]] = {
    "undecodable": (broken(20), "happy/20.png: truncated PNG"),
    "blank": (picture(20, std=0.25), "happy/20.png: standard deviation 0.25"),
    "no_face": (picture(20, has_face=0), "happy/20.png"),
    "size_outlier": (
        picture(20, width=96, height=50),
        "happy/20.png: 96x50, usual is 48x48",
    ),
    "brightness_outlier": (picture(20, mean=180.0), "happy/20.png: mean brightness 180"),
    "conflicting_labels": (
        picture(20, label="sad", sha256="14", phash=look(14)),
        "happy/14.png (happy) and sad/20.png (sad)",
    ),
    "duplicate_across_splits": (
        picture(20, sha256="14", phash=look(14)),
        "happy/14.png (test) and happy/20.png (train)",
    ),
    "duplicate": (
        picture(20, sha256="0", phash=look(0)),
        "happy/0.png (train) and happy/20.png (train)",
    ),
    "near_duplicate_across_splits": (
        picture(20, phash=look(14, 4)),
        "happy/14.png (test) and happy/20.png (train), 4 bits apart",
    ),
    "near_duplicate": (
        picture(20, phash=look(0)),
        "happy/0.png (train) and happy/20.png (train), 0 bits apart",
    ),
}


def test_every_droppable_kind_is_planted() -> None:
    assert tuple(PLANTED) == DROPPABLE


@pytest.mark.parametrize("kind", DROPPABLE)
@pytest.mark.parametrize("policy", ["error", "warn", "drop"])
def test_the_policy_is_followed(kind: str, policy: str) -> None:
    planted, text = PLANTED[kind]
    said = f"{kind.replace('_', ' ')}: {text}"
    found = anomalies_of([planted], {kind: policy})
    assert counts(found)[kind] == 1
    if policy == "error":
        cure = f"; go on without them by --set example_validator.policies.{kind}=drop"
        assert found.errors == [said + cure]
    else:
        assert found.errors == []
        assert (f"{said}; 1 left out" if policy == "drop" else said) in found.warnings
    quarantined = {"id": "id20", "split": "train", "source": planted[0].source}
    assert found.quarantined == (
        [{**quarantined, "reason": f"{kind}: {text}"}] if policy == "drop" else []
    )


@pytest.mark.parametrize("kind", DROPPABLE)
def test_nothing_is_dropped_from_test_but_what_cannot_be_decoded(kind: str) -> None:
    row, measured = PLANTED[kind][0]
    found = anomalies_of([(row._replace(split="test"), measured)], dict.fromkeys(DROPPABLE, "drop"))
    assert all(entry["split"] != "test" for entry in found.quarantined) or kind == "undecodable"
    assert (dropped(found) == ["id20"]) == (kind == "undecodable")


def test_what_nothing_can_be_dropped_for_says_its_own_cure() -> None:
    found = anomalies_of(
        [picture(n, split, subject="ann") for n, split in ((20, "train"), (21, "test"))],
        {"subject_across_splits": "error", "missing_class": "error"},
        labels=[*LABELS, "shy"],
    )
    assert found.errors == [
        "subject across splits: ann is in train and test: set split.method=subject",
        "missing class: class 'shy' has no image in train: add some, or change the split",
    ]


@pytest.mark.parametrize("order", permutations(SPLITS))
@pytest.mark.parametrize("near", [True, False])
def test_train_goes_before_validation_and_validation_before_test(
    order: Sequence[str], near: bool
) -> None:
    same = {"phash": look(99)} if near else {"phash": look(99), "sha256": "same"}
    planted = [picture(20 + 2 * n, split, **same) for n, split in enumerate(order)]
    kind = "near_duplicate_across_splits" if near else "duplicate_across_splits"
    warned, without = anomalies_of(planted), anomalies_of(planted, {kind: "drop"})
    assert counts(warned) == {kind: 3}
    # What goes is no reason for another to go: both go because of the one in test.
    assert counts(without) == {kind: 2}
    assert {entry["split"] for entry in without.quarantined} == {"train", "validation"}
    assert all("(test) and" in finding.text for finding in without.findings[kind])


def test_a_dropped_picture_is_no_reason_to_drop_another() -> None:
    # The middle one is like both, which are not like one another.
    looks = [look(99), look(99, 4), f"{int(look(99), 16) ^ 0b11111111:016x}"]
    planted = [picture(20 + 2 * n, phash=phash) for n, phash in enumerate(looks)]
    assert counts(anomalies_of(planted)) == {"near_duplicate": 2}
    found = anomalies_of(planted, {"near_duplicate": "drop"})
    assert dropped(found) == ["id22"]
    assert counts(found) == {"near_duplicate": 1}


def test_a_picture_twice_in_test_stays_and_takes_its_train_copies_away() -> None:
    same = {"sha256": "same", "phash": look(99)}
    planted = [picture(20 + 2 * n, split, **same) for n, split in enumerate(("test",) * 2)]
    policies = {"duplicate": "drop", "duplicate_across_splits": "drop"}
    found = anomalies_of([*planted, picture(30, "train", **same)], policies)
    assert counts(found) == {"duplicate_across_splits": 1, "duplicate": 1}
    assert dropped(found) == ["id30"]


def test_an_exact_duplicate_is_not_counted_as_a_near_one_too() -> None:
    same = {"sha256": "same", "phash": look(99)}
    found = anomalies_of([picture(20, **same), picture(22, **same), picture(24, **same)])
    assert counts(found) == {"duplicate": 2}


@pytest.mark.parametrize(("policy", "duplicates"), [("warn", {"duplicate": 1}), ("drop", {})])
def test_a_blank_picture_that_goes_is_no_duplicate_and_of_no_class(
    policy: str, duplicates: dict[str, int]
) -> None:
    blank = {"std": 0.0, "sha256": "blank", "phash": "8000000000000000", "label": "shy"}
    found = anomalies_of(
        [picture(20, **blank), picture(21, **blank)], {"blank": policy}, labels=[*LABELS, "shy"]
    )
    missing = {"missing_class": 1} if policy == "drop" else {}
    assert counts(found) == {"blank": 2, **duplicates, **missing}
    assert dropped(found) == (["id20", "id21"] if policy == "drop" else [])


def test_undecodable_pictures_are_not_blank_nor_duplicates_nor_of_a_class() -> None:
    planted = [broken(20), broken(22), broken(24, "test")]
    sound = [each for each in SOUND if each[0].label == "sad"]
    found = anomalies_of(planted, {"undecodable": "drop"}, sound=sound)
    assert counts(found) == {"undecodable": 3, "missing_class": 1}
    assert dropped(found) == ["id20", "id22", "id24"]
    assert found.warnings[0] == "undecodable: happy/20.png: truncated PNG (and 2 more); 3 left out"


def test_the_worst_comes_first() -> None:
    stds, sizes, means = (0.5, 0.1, 0.9), (96, 200, 10), (190.0, 255.0, 0.0)
    found = anomalies_of(
        [
            *(picture(20 + n, std=std) for n, std in enumerate(stds)),
            *(picture(30 + n, width=size) for n, size in enumerate(sizes)),
            *(picture(40 + n, mean=mean) for n, mean in enumerate(means)),
        ]
    )
    first = {kind: [f.text.split(".")[0] for f in of] for kind, of in found.findings.items()}
    assert first == {
        "blank": ["sad/21", "happy/20", "happy/22"],
        "size_outlier": ["happy/32", "sad/31", "happy/30"],
        "brightness_outlier": ["sad/41", "happy/42", "happy/40"],
    }


def test_the_nearest_duplicates_come_first_and_are_the_ones_that_are_said() -> None:
    found = anomalies_of([picture(20, phash=look(14, 4)), picture(22, phash=look(15, 1))])
    texts = [finding.text for finding in found.findings["near_duplicate_across_splits"]]
    assert [text.rpartition(", ")[2] for text in texts] == ["1 bits apart", "4 bits apart"]
    assert found.warnings == [f"near duplicate across splits: {texts[0]} (and 1 more)"]


def test_what_would_go_but_is_in_test_is_counted_as_kept() -> None:
    found = anomalies_of([picture(20, "test", std=0.0)], {"blank": "drop"})
    assert found.warnings == ["blank: happy/20.png: standard deviation 0.00; 0 left out"]


def test_what_varies_as_a_whole_has_no_outliers() -> None:
    varied = [
        picture(n, mean=40.0 + 10 * n, width=40 + 2 * n, height=70 - 2 * n) for n in range(16)
    ]
    assert anomalies_of([], sound=varied) == Anomalies([], [], [], {})


def test_a_tiny_class_is_a_warning_that_counts_train_alone() -> None:
    found = anomalies_of([picture(20)], least=7)
    assert found.warnings == ["tiny class: class 'sad' has only 6 images in train"]


def test_labels_that_only_look_different_are_named() -> None:
    found = anomalies_of([], labels=[*LABELS, "Happy ", "", "SAD"])
    assert [f.text for f in found.findings["label_names"]] == [
        "'happy', 'Happy '",
        "'sad', 'SAD'",
        "''",
    ]


def test_unknown_subjects_are_not_the_same_one_and_each_known_one_counts_once() -> None:
    found = anomalies_of(
        [
            *(picture(20 + n, SPLITS[n % 3], subject="ann") for n in range(6)),
            *(picture(30 + n, "test", subject="bob") for n in range(3)),
        ]
    )
    (finding,) = found.findings["subject_across_splits"]
    assert finding.text.startswith("ann is in train and validation and test")
    assert len(finding.rows) == 3


def test_kinds_come_in_their_order_and_counts_add_up() -> None:
    planted = [
        (row._replace(id=f"{row.id}-{kind}"), measured)
        for kind, ((row, measured), _) in reversed(PLANTED.items())
    ]
    planted += [picture(60, "test", subject="ann"), picture(61, subject="ann")]
    policies = {kind: ("error", "warn", "drop")[n % 3] for n, kind in enumerate(DROPPABLE)}
    found = anomalies_of(planted, policies, labels=[*LABELS, "Sad", "shy"], least=20)
    assert list(found.findings) == list(KINDS)
    assert len(found.errors) + len(found.warnings) == len(KINDS)
    assert len(found.errors) == sum(policy == "error" for policy in policies.values())
    assert len(set(dropped(found))) == len(found.quarantined)


@pytest.mark.parametrize("labels", [["sad"], ["a", "b", "A", "B", "", "sad"]])
def test_an_error_stops_the_run_and_everything_is_written(
    tmp_path: Path, labels: list[str], beam: dict[str, str]
) -> None:
    rows, measurements = zip(*(picture(n, "test") for n in (1, 3)), strict=True)
    write_examples(tmp_path, rows, {"name": "made", "labels": labels})
    write_measurements(tmp_path / "measurements.csv", measurements)
    with pytest.raises(InvalidExamplesError) as stopped:
        validate_examples(
            tmp_path,
            tmp_path,
            tmp_path / "out",
            min_class_size=3,
            blank_std=1.0,
            near_duplicate_bits=BITS,
            policies=dict.fromkeys(KINDS, "error"),
            beam=beam,
        )
    written = read_json(tmp_path / "out" / "anomalies.json")
    assert str(stopped.value) == "; ".join(
        [*written["errors"], f"look at {tmp_path / 'out' / 'anomalies.html'}"]
    )
    assert (tmp_path / "out" / "anomalies.html").exists()
    assert written["findings"]["missing_class"]["count"] == len(labels)


def re_encoded(encoded: bytes, suffix: str = ".png", *how: int) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    return bytes(cv2.imencode(suffix, pixels, how)[1])


@pytest.fixture(scope="module")
def clean(face_png: Callable[..., bytes]) -> dict[str, bytes]:
    """Faces of the seven classes as FER2013 has them, in its own three splits."""
    usages = ["Training"] * 3 + ["PublicTest", "PrivateTest"]
    return {
        f"{'train' if usage == 'Training' else 'test'}/{label}/{usage}_{n}.png": face_png(
            label, 10 * place + n, 64
        )
        for place, label in enumerate(EXPRESSIONS)
        for n, usage in enumerate(usages)
    }


@pytest.fixture(scope="module")
def planted(
    clean: dict[str, bytes], face_png: Callable[..., bytes], noise: Callable[..., NDArray[np.uint8]]
) -> dict[str, bytes]:
    own = {label: clean[f"test/{label}/PrivateTest_4.png"] for label in EXPRESSIONS}
    brighter = np.minimum(decode_image(own["fear"]), 250) + np.uint8(5)
    smaller = cv2.resize(decode_image(own["happy"]), (58, 58), interpolation=cv2.INTER_AREA)
    return clean | {
        "train/angry/Training_exact.png": re_encoded(
            own["angry"], ".png", cv2.IMWRITE_PNG_COMPRESSION, 9
        ),
        "train/disgust/Training_jpeg.jpg": re_encoded(
            own["disgust"], ".jpg", cv2.IMWRITE_JPEG_QUALITY, 80
        ),
        "train/fear/Training_brighter.png": encode_png(brighter),
        "train/happy/Training_smaller.png": encode_png(smaller),
        "train/sad/Training_angry.png": clean["train/angry/Training_0.png"],
        "train/sad/Training_blank.png": encode_png(np.full((64, 64, 3), 120, np.uint8)),
        "train/sad/Training_noise.png": encode_png(noise(0, 64, 64, 3)),
        "train/sad/Training_cut.png": face_png("sad", 90, 64)[:500],
        "train/sad/Training_large.png": face_png("sad", 91, 160),
    }


Validate = Callable[..., Anomalies]


@pytest.fixture
def validate(tmp_path: Path, beam: dict[str, str]) -> Validate:
    """From raw files in a zip to anomalies; the folder `anomalies` holds what was written."""

    def call(name: str, members: Mapping[str, bytes], **changed: object) -> Anomalies:
        zip_name = {"fer2013": "fer2013.zip"}.get(name, "mine.zip")
        with zipfile.ZipFile(tmp_path / zip_name, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        arguments = {
            "options": {},
            "split": Split("official", Shares(0.7, 0.15, 0.15), seed=0),
            "policies": {**WARN, "undecodable": "drop"},
            **changed,
        }
        policies = arguments.pop("policies")
        generate_examples(
            tmp_path / "examples",
            name=name,
            raw_dir=tmp_path,
            datasets=tmp_path / "datasets",
            beam=beam,
            **arguments,  # type: ignore[arg-type]
        )
        generate_statistics(tmp_path / "examples", tmp_path / "statistics", beam=beam)
        return validate_examples(
            tmp_path / "examples",
            tmp_path / "statistics",
            tmp_path / "anomalies",
            min_class_size=2,
            blank_std=2.0,
            near_duplicate_bits=BITS,
            policies=policies,  # type: ignore[arg-type]
            beam=beam,
        )

    return call


def test_clean_pictures_have_no_anomaly(
    tmp_path: Path, validate: Validate, clean: dict[str, bytes]
) -> None:
    found = validate("fer2013", clean, policies=dict.fromkeys(KINDS, "error"))
    assert found == Anomalies([], [], [], {})
    assert read_json(tmp_path / "anomalies" / "anomalies.json")["findings"] == {}
    assert "Nothing was found" in (tmp_path / "anomalies" / "anomalies.html").read_text()


def test_what_was_planted_among_real_pictures_is_found_and_nothing_else(
    tmp_path: Path, validate: Validate, planted: dict[str, bytes]
) -> None:
    found = validate("fer2013", planted)
    table = read_table(tmp_path / "examples")
    names = {
        kind: {tuple(table[i].source for i in finding.rows) for finding in of_kind}
        for kind, of_kind in found.findings.items()
    }
    assert names == {
        "undecodable": {("train/sad/Training_cut.png",)},
        "blank": {("train/sad/Training_blank.png",)},
        "no_face": {("train/sad/Training_noise.png",)},
        "size_outlier": {("train/sad/Training_large.png",)},
        "conflicting_labels": {("train/angry/Training_0.png", "train/sad/Training_angry.png")},
        "duplicate_across_splits": {
            ("test/angry/PrivateTest_4.png", "train/angry/Training_exact.png")
        },
        "duplicate": {("train/angry/Training_0.png", "train/sad/Training_angry.png")},
        "near_duplicate_across_splits": {
            ("test/disgust/PrivateTest_4.png", "train/disgust/Training_jpeg.jpg"),
            ("test/fear/PrivateTest_4.png", "train/fear/Training_brighter.png"),
            ("test/happy/PrivateTest_4.png", "train/happy/Training_smaller.png"),
        },
    }
    assert [entry["source"] for entry in found.quarantined] == ["train/sad/Training_cut.png"]
    written = read_json(tmp_path / "anomalies" / "anomalies.json")
    id_of = {row.source: row.id for row in table}
    for kind, pairs in names.items():
        of_kind = written["findings"][kind]
        assert (of_kind["count"], of_kind["policy"]) == (
            len(pairs),
            "drop" if kind == "undecodable" else "warn",
        )
        ids = {tuple(each["ids"]) for each in of_kind["found"]}
        assert ids == {tuple(id_of[source] for source in pair) for pair in pairs}


def test_the_first_three_errors_are_named_and_where_the_rest_is(
    tmp_path: Path, validate: Validate, planted: dict[str, bytes]
) -> None:
    with pytest.raises(InvalidExamplesError) as stopped:
        validate("fer2013", planted, policies=dict.fromkeys(KINDS, "error"))
    said = str(stopped.value).split("; ")
    kinds = [text.partition(":")[0] for text in said]
    assert kinds[0:6:2] == ["undecodable", "blank", "no face"]
    assert said[1] == "go on without them by --set example_validator.policies.undecodable=drop"
    assert said[6:] == ["and 5 more", f"look at {tmp_path / 'anomalies' / 'anomalies.html'}"]
    assert len(read_json(tmp_path / "anomalies" / "anomalies.json")["errors"]) == 8


def test_a_person_on_two_sides_is_found_unless_the_split_is_by_subject(
    validate: Validate, face_png: Callable[..., bytes]
) -> None:
    people = {f"{label}/p{n}_{label}.png": face_png(label, n, 64) for n in range(8)
              for label in LABELS[n % 2 :][:1]}  # fmt: skip
    ann = {f"happy/ann_{n}.png": face_png("happy", 50 + n, 64) for n in range(8)}
    options = {"source": "mine.zip", "subject_pattern": "^([a-z0-9]+)_"}
    shares = Shares(0.5, 0.25, 0.25)
    split = Split("stratified", shares, seed=0)
    found = validate("labelled_faces", people | ann, options=options, split=split)
    (finding,) = found.findings["subject_across_splits"]
    assert finding.text.startswith("ann is in ")
    assert "set split.method=subject" in finding.text


@pytest.mark.parametrize(("judged", "others"), [("test", ["validation"]), ("validation", [])])
def test_nothing_is_taken_from_the_split_that_is_judged(judged: str, others: list[str]) -> None:
    sound = [planted for planted in SOUND if planted[0].split in ("train", judged, *others)]
    drop = dict.fromkeys(("blank", "duplicate", "near_duplicate", "no_face"), "drop")
    planted = [
        picture(20, judged, std=0.0),
        picture(21, judged, has_face=0),
        *(picture(n, judged, "sad", sha256="twin", phash=look(22)) for n in (22, 23)),
        picture(24, judged, phash=look(22, 2)),
        picture(25, "train", std=0.0),
    ]
    found = anomalies_of(planted, drop, sound=sound)
    assert dropped(found) == ["id25"]
    assert counts(found) == {"blank": 2, "no_face": 1, "duplicate": 1, "near_duplicate": 1}
