import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders.catalog import DATASETS
from tfds_builders.ck_plus.ck_plus_dataset_builder import Builder, CkPlusConfig
from tfds_builders.drawn_faces.cohn_kanade import image_members, label_members
from tfds_builders.face_builder import Entry, Index

Members = dict[str, bytes]
Write = Callable[[Path, Members], Path]
LITTER = {".DS_Store": b"x", "cohn-kanade-images/S001/.DS_Store": b"x", "__MACOSX/._a.png": b"x"}
LABEL_LITTER = {"__MACOSX/Emotion/S001/001/._S001_001_00000003_emotion.txt": b"\0", **LITTER}
SUBJECTS, FRAMES = 3, 3
LABELLED = SUBJECTS * 4  # of seven sequences of a subject


@pytest.fixture(scope="session")
def drawn() -> tuple[Members, Members]:
    """The release's two archives, drawn: frames, and labels with their empty folders."""
    images = dict(image_members(SUBJECTS, FRAMES, (64, 49)))
    return images, dict(label_members(SUBJECTS, FRAMES))


@pytest.fixture(scope="session")
def drawn_zips(
    tmp_path_factory: pytest.TempPathFactory, write_zip: Write, drawn: tuple[Members, Members]
) -> Path:
    raw_dir = tmp_path_factory.mktemp("ck_plus")
    write_zip(raw_dir / "extended-cohn-kanade-images.zip", drawn[0] | LITTER)
    write_zip(raw_dir / "Emotion_labels.zip", drawn[1] | LABEL_LITTER)
    return raw_dir


@pytest.fixture(scope="class")
def dummy_data(request: pytest.FixtureRequest, drawn_zips: Path) -> None:
    request.cls.EXAMPLE_DIR = drawn_zips


@pytest.mark.usefixtures("dummy_data")
class CkPlusTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = {"train": LABELLED + SUBJECTS}  # noqa: RUF012 as TFDS declares it
    BUILDER_CONFIG_NAMES_TO_TEST = [CkPlusConfig()]  # noqa: RUF012


def records(raw_dir: Path, data_dir: Path) -> dict[str, dict[str, Any]]:
    """The dataset's examples by source, each with the image's bytes as they are in the record."""
    builder = Builder(data_dir=data_dir, raw_dir=raw_dir)
    builder.download_and_prepare()
    undecoded = builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    return {example["source"].decode(): example for example in tfds.as_numpy(undecoded)}


def frames(lengths: Mapping[str, int]) -> Members:
    """So many frames of each sequence, without pictures in them."""
    return {frame(name, n + 1): b"" for name, length in lengths.items() for n in range(length)}


def frame(sequence: str, number: int) -> str:
    return f"cohn-kanade-images/{sequence}/{sequence.replace('/', '_')}_{number:08d}.png"


def label(sequence: str, number: int) -> str:
    return f"Emotion/{sequence}/{sequence.replace('/', '_')}_{number:08d}_emotion.txt"


@pytest.fixture
def index(tmp_path: Path, write_zip: Write) -> Callable[..., Index]:
    """Indexes the members of the two zips, with these options."""

    def make(images: Members, labels: Members, **options: Any) -> Index:
        write_zip(tmp_path / "extended-cohn-kanade-images.zip", images)
        write_zip(tmp_path / "Emotion_labels.zip", labels)
        config = CkPlusConfig(**options)
        builder = Builder(data_dir=tmp_path / "data", raw_dir=tmp_path, config=config)
        return builder.index(builder.raw_files())

    return make


def test_zip_and_folders_give_the_same_records(
    tmp_path: Path, write_folder: Write, drawn: tuple[Members, Members], drawn_zips: Path
) -> None:
    for members in (drawn[0] | LITTER, drawn[1]):
        write_folder(tmp_path, {name: x for name, x in members.items() if not name.endswith("/")})
    (tmp_path / "Emotion/S001/005").mkdir()

    from_zip = records(drawn_zips, tmp_path / "data1")

    assert from_zip == records(tmp_path, tmp_path / "data2")
    assert {source: example["image"] for source, example in from_zip.items()} == {
        source: drawn[0][source] for source in from_zip
    }
    labels = Counter(example["label"] for example in from_zip.values())
    # Each subject has four of the seven emotions, one further on than the subject before.
    assert labels == {0: 3, 1: 3, 2: 3, 3: 2, 4: 1, 6: 1, 7: 2}
    peak = from_zip["cohn-kanade-images/S002/007/S002_007_00000003.png"]
    assert (peak["label"], peak["subject"]) == (7, b"S002")


def test_sizes_and_colours_are_kept(drawn: tuple[Members, Members], drawn_zips: Path) -> None:
    builder = Builder(data_dir=drawn_zips / "data", raw_dir=drawn_zips)
    raw_files = builder.raw_files()
    entries = builder.index(raw_files).splits["train"]

    shapes = {
        cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED).shape
        for image in builder.read(raw_files, entries)
    }

    assert shapes == {(49, 64), (48, 64, 3)}
    assert [entry.source for entry in entries] == sorted(entry.source for entry in entries)


@pytest.mark.parametrize("peaks", [1, 2, 5])
@pytest.mark.parametrize(("neutral", "chosen"), [("none", 0), ("one_per_subject", 3), ("all", 21)])
def test_every_file_is_read_or_counted(
    index: Callable[..., Index],
    drawn: tuple[Members, Members],
    neutral: str,
    chosen: int,
    peaks: int,
) -> None:
    found = index(
        drawn[0] | LITTER | {"README.txt": b"", "cohn-kanade-images/S001/001/a.mp4": b""},
        drawn[1] | LABEL_LITTER | {"README.txt": b""},
        neutral=neutral,
        peaks=peaks,
    )
    entries = found.splits["train"]
    read_peaks = LABELLED * min(peaks, FRAMES - 1)

    assert len(entries) == read_peaks + chosen
    assert len({entry.source for entry in entries}) == len(entries)
    assert sum(entry.label == "neutral" for entry in entries) == chosen
    counts = {
        "frames between the first one and the peak": LABELLED * (FRAMES - 1) - read_peaks,
        "frames of a sequence without a label": (21 - LABELLED) * (FRAMES - 1),
        "first frames not chosen as neutral": 21 - chosen,
        "files that are neither frame nor label": 3,
    }
    assert found.left_out == {reason: count for reason, count in counts.items() if count}
    assert len(entries) + sum(found.left_out.values()) == len(drawn[0]) + 3


def test_the_last_frames_are_the_peaks_and_never_the_first(index: Callable[..., Index]) -> None:
    lengths = {"S005/001": 5, "S005/002": 3, "S005/003": 1, "S005/004": 1}
    labels = {label("S005/001", 5): b"3.0", label("S005/002", 3): b"1", label("S005/003", 1): b"7"}

    found = index(frames(lengths), labels, peaks=3, neutral="all")

    assert found.splits["train"] == [
        Entry(frame("S005/001", 1), "neutral", "S005"),
        *(Entry(frame("S005/001", number), "disgust", "S005") for number in (3, 4, 5)),
        Entry(frame("S005/002", 1), "neutral", "S005"),
        *(Entry(frame("S005/002", number), "anger", "S005") for number in (2, 3)),
        Entry(frame("S005/003", 1), "surprise", "S005"),
        Entry(frame("S005/004", 1), "neutral", "S005"),
    ]
    assert found.notes == (
        "The last 3 frames would reach the first frame of S005/002, S005/003: the first one is no "
        "peak, unless it is the only one.",
    )


def test_numbers_may_have_gaps_and_start_late(index: Callable[..., Index]) -> None:
    images = {frame("S130/009", number): b"" for number in (4, 5, 9, 12)}

    found = index(images, {label("S130/009", 9): b"5"})

    assert found.splits["train"] == [
        Entry(frame("S130/009", 4), "neutral", "S130"),
        Entry(frame("S130/009", 12), "happy", "S130"),
    ]
    assert found.notes == (
        "The label is not of the last frame in S130/009: the last is the peak.",
        "The frames do not start at 1 in S130/009: the first there is is neutral.",
    )


def test_a_note_names_five_sequences_at_most(index: Callable[..., Index]) -> None:
    names = [f"S001/{number:03d}" for number in range(7)]

    found = index(frames(dict.fromkeys(names, 3)), {label(name, 2): b"5" for name in names})

    assert "S001/000, S001/001, S001/002, S001/003, S001/004 and 2 more:" in found.notes[0]


def test_folders_around_the_layout_are_no_matter(index: Callable[..., Index]) -> None:
    images = {f"CK+/release/{name}": b"" for name in frames({"S005/001": 4})}

    found = index(images, {f"CK+/{label('S005/001', 4)}": b"   6.0000000e+00\r\n"})

    assert [entry.label for entry in found.splits["train"]] == ["neutral", "sadness"]
    assert all(entry.source in images for entry in found.splits["train"])


def neutral_sources(found: Index) -> set[str]:
    return {entry.source for entry in found.splits["train"] if entry.label == "neutral"}


def test_one_neutral_frame_of_each_subject_whatever_else_there_is(
    index: Callable[..., Index],
) -> None:
    subjects = [f"S{number:03d}" for number in range(40)]
    names = {f"{subject}/{number:03d}": 3 for subject in subjects for number in range(1, 7)}
    labels = {label("S005/001", 3): b"3"}

    chosen = neutral_sources(index(frames(names), labels))
    fewer = {name: length for name, length in names.items() if name[:4] not in ("S000", "S020")}
    unlabelled = index(frames(names), {label("S039/006", 3): b"3"}, peaks=2)

    assert len(chosen) == 40
    assert {source.split("/")[1] for source in chosen} == set(subjects)
    assert {source.split("/")[2] for source in chosen} == {f"{n:03d}" for n in range(1, 7)}
    assert neutral_sources(index(frames(fewer), labels)) == {
        source for source in chosen if source.split("/")[1] not in ("S000", "S020")
    }
    assert neutral_sources(unlabelled) == chosen
    assert neutral_sources(index(frames(names), labels, seed=123)) == chosen
    assert 20 < len(neutral_sources(index(frames(names), labels, seed=124)) - chosen) < 40


@pytest.mark.parametrize(
    ("content", "emotion"),
    [
        (b"   3.0000000e+00\n", "disgust"),
        (b"0.0", "neutral"),
        (b"7", "surprise"),
        (b"2.e-00\r\n", "contempt"),
    ],
)
def test_a_label_is_one_number(index: Callable[..., Index], content: bytes, emotion: str) -> None:
    found = index(frames({"S005/001": 9}), {label("S005/001", 9): content}, neutral="none")

    assert found.splits["train"] == [Entry(frame("S005/001", 9), emotion, "S005")]


WANTED = "give one number from 0 (neutral) to 7 (surprise), such as 3.0000000e+00"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "b''"),
        (b"happy", "b'happy'"),
        (b"nan", "b'nan'"),
        (b"3.5", "b'3.5'"),
        (b"3.0000000e+01", "b'3.0000000e+01'"),
        (b"9", "b'9'"),
        (b"-1", "b'-1'"),
        (b"1 2", "b'1 2'"),
        (b"\xff\xfe3\0", r"b'\xff\xfe3\x00'"),
        (b"3" + b" " * 64, "b'3                   '..., 65 bytes"),
        (b"3\n" * 500_000, r"b'3\n3\n3\n3\n3\n3\n3\n3\n3\n3\n'..., 1,000,000 bytes"),
    ],
)
def test_a_bad_label_is_named(index: Callable[..., Index], content: bytes, shown: str) -> None:
    name = label("S005/001", 9)

    with pytest.raises(ValueError, match=f"^{re.escape(f'{name}: holds {shown}; {WANTED}')}$"):
        index(frames({"S005/001": 9}), {name: content})


IMAGES = frames({"S005/001": 2})
LABELS = {label("S005/001", 2): b"3"}
NO_FRAME = "is no frame such as S005/001/S005_001_00000011.png; name it so, or remove it"
NO_LABEL = "is no label such as S005/001/S005_001_00000011_emotion.txt; name it so, or remove it"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *(
            (name, f"{name}: {NO_FRAME}")
            for name in (
                "cohn-kanade-images/S005/001/S006_001_00000001.png",
                "cohn-kanade-images/S005/001/S005_002_00000001.png",
                "cohn-kanade-images/S005/001/S005_001_1.png",
                "cohn-kanade-images/S005/001/copy of S005_001_00000001.PNG",
                "cohn-kanade-images/S005/001/more/S005_001_00000001.png",
                "cohn-kanade-images/S5/001/S5_001_00000001.png",
                "S005_001_00000001.png",
            )
        ),
        (
            "b/S005/001/S005_001_00000002.png",
            f"{frame('S005/001', 2)}: is the frame of b/S005/001/S005_001_00000002.png; "
            "remove one of them",
        ),
    ],
)
def test_a_bad_image_name_is_named(index: Callable[..., Index], name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        index(IMAGES | {name: b""}, LABELS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *(
            (name, f"{name}: {NO_LABEL}")
            for name in (
                "Emotion/S005/001/S006_001_00000002_emotion.txt",
                "Emotion/S005/001/S005_001_2_emotion.txt",
                "FACS/S005/001/S005_001_00000002_facs.txt",
                "S005_001_00000002_emotion.txt",
            )
        ),
        (
            label("S005/001", 1),
            f"{label('S005/001', 2)}: a second label beside {label('S005/001', 1)}; remove one",
        ),
        (
            label("S006/001", 1),
            f"{label('S006/001', 1)}: a label, but S006/001 has no frames; get the images again, "
            "or remove the label",
        ),
    ],
)
def test_a_bad_label_name_is_named(index: Callable[..., Index], name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        index(IMAGES, LABELS | {name: b"3"})


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ({"a.txt": b""}, LABELS, r"images\.zip: has no frame such as S005/.*; get it again$"),
        (IMAGES, {"a.txt": b""}, r"labels\.zip: has no label such as S005/.*; get it again$"),
    ],
)
def test_archives_without_a_frame_or_label_are_named(
    index: Callable[..., Index], images: Members, labels: Members, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        index(images, labels)


def test_damaged_frames_are_the_business_of_the_reader(
    tmp_path: Path, index: Callable[..., Index]
) -> None:
    """A truncated PNG is read as it is; a member that the zip cannot give back is named."""
    pictures = dict.fromkeys(IMAGES, b"no picture")
    entries = index(pictures, LABELS).splits["train"]
    builder = Builder(data_dir=tmp_path / "data", raw_dir=tmp_path)
    images = builder.raw_files()[0]

    assert list(builder.read(builder.raw_files(), entries)) == [b"no picture"] * 2

    with zipfile.ZipFile(images) as archive:
        start = archive.getinfo(frame("S005/001", 2)).header_offset
    content = bytearray(images.read_bytes())
    content[content.index(b"no picture", start)] ^= 255
    images.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{frame('S005/001', 2)}: cannot be read from"):
        list(builder.read(builder.raw_files(), entries))


def test_labels_are_those_of_the_release() -> None:
    assert [DATASETS["ck_plus"].labels[n] for n in (0, 2, 7)] == ["neutral", "contempt", "surprise"]


def test_other_options_have_another_name() -> None:
    options = ({}, {"peaks": 3}, {"neutral": "all"}, {"neutral": "none"}, {"seed": 7})

    assert len({CkPlusConfig(**values).name for values in options}) == 5


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("peaks", 0),
        ("peaks", 1.0),
        ("peaks", True),
        ("seed", -1),
        ("seed", "123"),
        ("neutral", "first"),
        ("neutral", None),
        ("neutral", ["all"]),
    ],
)
def test_an_impossible_value_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{option}: is .*; give "):
        CkPlusConfig(**{option: value})
