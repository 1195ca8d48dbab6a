import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders.catalog import DATASETS
from tfds_builders.face_builder import Index
from tfds_builders.fer2013.fer2013_dataset_builder import Builder

Write = Callable[[Path, dict[str, bytes]], Path]
Record = tuple[str, bytes]

LABELS = DATASETS["fer2013"].labels
REAL = Path(__file__).parents[4] / "shared" / "data"
PIXELS = " ".join(["7"] * 48 * 48)
HEADER = "emotion,pixels,Usage"
EXPECTED_SPLITS = {"train": 7, "validation": 3, "test": 2}
FIRST_LABELS = {
    "train": list(LABELS),
    "validation": ["angry", "disgust", "fear"],
    "test": ["happy", "sad"],
}
GET_IT = DATASETS["fer2013"].how_to_get
EMOTIONS = "0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral"
CLASSES = "angry, disgust, fear, happy, sad, surprise, neutral"


class Face(NamedTuple):
    usage: str
    label: str
    pixels: np.ndarray


@pytest.fixture(scope="session")
def faces(face_png: Callable[[str, int], bytes]) -> list[Face]:
    """Twelve faces, in the order of a table whose usages are mixed."""
    usages = ["Training", "PublicTest"] * 3 + ["Training"] * 4 + ["PrivateTest"] * 2
    counts: Counter[str] = Counter()
    labels = {"Training": LABELS, "PublicTest": LABELS, "PrivateTest": LABELS[3:]}
    drawn = []
    for number, usage in enumerate(usages):
        label = labels[usage][counts[usage]]
        counts[usage] += 1
        encoded = np.frombuffer(face_png(label, number), np.uint8)
        gray = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
        drawn.append(Face(usage, label, cv2.resize(gray, (48, 48))))
    return drawn


@pytest.fixture(scope="session")
def members(faces: list[Face]) -> dict[str, bytes]:
    """The faces as JPEG files, by name."""
    return {
        f"{'train' if face.usage == 'Training' else 'test'}/{face.label}/{face.usage}_{n}.jpg": (
            cv2.imencode(".jpg", face.pixels)[1].tobytes()
        )
        for n, face in enumerate(faces)
    }


@pytest.fixture(scope="session")
def table(faces: list[Face]) -> bytes:
    """The faces as fer2013.csv has them."""
    return written_table(faces, ["emotion", "pixels", "Usage"])


def written_table(faces: list[Face], columns: list[str], **how: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, **{"lineterminator": "\n"} | how)  # type: ignore[arg-type]
    writer.writerow(columns)
    for face in faces:
        pixels = " ".join(map(str, face.pixels.ravel()))
        fields = {"emotion": LABELS.index(face.label), "Usage": face.usage, "pixels": pixels}
        writer.writerow([fields[column.strip()] for column in columns])
    return text.getvalue().encode()


@pytest.fixture(scope="class")
def zip_of_folders(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_zip: Write,
    members: dict[str, bytes],
) -> None:
    request.cls.EXAMPLE_DIR = tmp_path_factory.mktemp("fer2013")
    write_zip(request.cls.EXAMPLE_DIR / "fer2013.zip", members)


@pytest.fixture(scope="class")
def csv_file(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, table: bytes
) -> None:
    request.cls.EXAMPLE_DIR = tmp_path_factory.mktemp("fer2013")
    (request.cls.EXAMPLE_DIR / "fer2013.csv").write_bytes(table)


@pytest.mark.usefixtures("zip_of_folders")
class ZipOfFoldersTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = EXPECTED_SPLITS


@pytest.mark.usefixtures("csv_file")
class CsvTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = EXPECTED_SPLITS


def indexed(raw_dir: Path) -> Index:
    builder = Builder(data_dir=raw_dir / "data", raw_dir=raw_dir)
    return builder.index(builder.raw_files())


def records(raw_dir: Path) -> dict[str, list[Record]]:
    """Label and picture of each entry, by split."""
    builder = Builder(data_dir=raw_dir / "data", raw_dir=raw_dir)
    raw_files = builder.raw_files()
    return {
        split: list(zip((e.label for e in entries), builder.read(raw_files, entries), strict=True))
        for split, entries in builder.index(raw_files).splits.items()
    }


def sources(raw_dir: Path) -> dict[str, list[str]]:
    return {split: [e.source for e in es] for split, es in indexed(raw_dir).splits.items()}


@pytest.mark.parametrize("name", ["fer2013.zip", "archive.zip"])
def test_zip_and_folders_give_the_same_records(
    tmp_path: Path, write_zip: Write, write_folder: Write, members: dict[str, bytes], name: str
) -> None:
    (tmp_path / "zipped").mkdir()
    write_zip(tmp_path / "zipped" / name, members)
    write_folder(tmp_path / "folders", members)

    from_zip = records(tmp_path / "zipped")

    assert from_zip == records(tmp_path / "folders")
    assert sources(tmp_path / "zipped") == sources(tmp_path / "folders")
    assert {split: sorted(label for label, _ in rows) for split, rows in from_zip.items()} == {
        split: sorted(labels) for split, labels in FIRST_LABELS.items()
    }
    assert {image for rows in from_zip.values() for _, image in rows} == set(members.values())


def test_the_folders_may_lie_below_others_in_the_zip(
    tmp_path: Path, write_zip: Write, members: dict[str, bytes]
) -> None:
    below = {f"a/train/{name}": content for name, content in members.items()}
    write_zip(tmp_path / "fer2013.zip", below | {"a/README.txt": b"", "fer2013.bib": b""})

    index = indexed(tmp_path)

    assert {entry.source for es in index.splits.values() for entry in es} == set(below)
    assert index.notes == ("Not read: a/README.txt, fer2013.bib.",)
    assert index.left_out == {}


def test_the_prefix_tells_the_split(
    tmp_path: Path, write_folder: Write, members: dict[str, bytes]
) -> None:
    splits = sources(write_folder(tmp_path, members))

    assert {split: len(names) for split, names in splits.items()} == EXPECTED_SPLITS
    assert all(name.startswith("train/") and "/Training_" in name for name in splits["train"])
    assert all("/PublicTest_" in name for name in splits["validation"])
    assert splits["test"] == ["test/happy/PrivateTest_10.jpg", "test/sad/PrivateTest_11.jpg"]


def test_a_split_without_pictures_is_left_out_and_noted(
    tmp_path: Path, write_folder: Write, members: dict[str, bytes]
) -> None:
    public = {name: content for name, content in members.items() if "Private" not in name}

    index = indexed(write_folder(tmp_path, public))

    assert list(index.splits) == ["train", "validation"]
    assert index.notes == ("There are no PrivateTest pictures, and so no split test.",)


def test_the_pixels_of_a_table_come_back(tmp_path: Path, table: bytes, faces: list[Face]) -> None:
    (tmp_path / "fer2013.csv").write_bytes(table)

    read = records(tmp_path)

    assert {split: [label for label, _ in rows] for split, rows in read.items()} == FIRST_LABELS
    train = [face.pixels for face in faces if face.usage == "Training"]
    for (_, image), pixels in zip(read["train"], train, strict=True):
        decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded, pixels)
    # Row 1 is the header.
    assert sources(tmp_path)["validation"] == [f"fer2013.csv:row {row}" for row in (3, 5, 7)]


@pytest.mark.parametrize(
    "how",
    [
        {"columns": ["emotion", " Usage", " pixels"]},
        {"columns": ["Usage", "pixels", "emotion"], "lineterminator": "\r\n"},
        {"columns": ["emotion", "pixels", "Usage"], "quoting": csv.QUOTE_ALL},
        {"columns": ["emotion", "pixels", "Usage"], "lineterminator": "\r"},
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_way_to_write_the_table_gives_the_same_records(
    tmp_path: Path, write_zip: Write, table: bytes, faces: list[Face], how: dict, mark: bytes
) -> None:
    for folder in ("plain", "other", "zipped"):
        (tmp_path / folder).mkdir()
    content = mark + written_table(faces, **how)
    (tmp_path / "plain" / "fer2013.csv").write_bytes(table)
    (tmp_path / "other" / "icml_face_data.csv").write_bytes(content)
    write_zip(tmp_path / "zipped" / "archive.zip", {"x/icml_face_data.csv": content})

    expected = records(tmp_path / "plain")

    assert records(tmp_path / "other") == expected
    assert records(tmp_path / "zipped") == expected
    assert sources(tmp_path / "zipped")["test"] == [
        "x/icml_face_data.csv:row 12",
        "x/icml_face_data.csv:row 13",
    ]


@pytest.mark.parametrize("zipped", [True, False])
def test_any_run_of_a_table_can_be_read(
    tmp_path: Path, write_zip: Write, table: bytes, zipped: bool
) -> None:
    if zipped:
        write_zip(tmp_path / "fer2013.zip", {"fer2013.csv": table})
    else:
        (tmp_path / "fer2013.csv").write_bytes(table)
    builder = Builder(data_dir=tmp_path / "data", raw_dir=tmp_path)
    raw_files = builder.raw_files()
    entries = builder.index(raw_files).splits["train"]
    images = list(builder.read(raw_files, entries))

    for run in (slice(2, 5), slice(6, 7), slice(None, None, -1), slice(0, 0)):
        assert list(builder.read(raw_files, entries[run])) == images[run]


def test_what_lies_beside_a_table_is_noted_or_counted(
    tmp_path: Path, write_zip: Write, table: bytes, members: dict[str, bytes]
) -> None:
    others = ("train.csv", "test.csv", "example_submission.csv", "README", "fer2013.bib", "z.txt")
    contents = {"fer2013.csv": table} | members | dict.fromkeys(others, b"x")
    write_zip(tmp_path / "archive.zip", contents)

    index = indexed(tmp_path)

    assert {split: len(entries) for split, entries in index.splits.items()} == EXPECTED_SPLITS
    assert index.splits["train"][0].source == "fer2013.csv:row 2"
    assert index.left_out == {"pictures beside fer2013.csv": 12}
    assert index.notes == (
        "Not read: README, example_submission.csv, fer2013.bib, test.csv, train.csv, 1 more.",
    )


def test_a_truncated_picture_is_read_as_it_is(
    tmp_path: Path, write_zip: Write, members: dict[str, bytes]
) -> None:
    name, content = next(iter(members.items()))
    write_zip(tmp_path / "fer2013.zip", members | {name: content[:100]})

    assert content[:100] in [image for _, image in records(tmp_path)["train"]]


NO_SPLIT = "begins with none of Training_, PublicTest_, PrivateTest_ and so has no split"
NO_FOLDER = "not in train/<class> or test/<class>; move or remove it"
BAD_NAMES = {
    "train/happy/im0.jpg": f"{NO_SPLIT}; rename or remove it",
    "train/happy/Training.jpg": f"{NO_SPLIT}; rename or remove it",
    "train/joy/Training_1.jpg": f"joy is no class of {CLASSES}; rename or remove it",
    "train/sad/PublicTest_1.jpg": "a PublicTest picture in train; move it to test, or remove it",
    "train/sad/PrivateTest_1.jpg": "a PrivateTest picture in train; move it to test, or remove it",
    "test/happy/Training_1.jpg": "a Training picture in test; move it to train, or remove it",
    "train/happy/notes.txt": "not a picture (jpg, png); remove it",
    "test/Training_1.jpg": NO_FOLDER,
    "train/happy/more/Training_1.jpg": NO_FOLDER,
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_picture_that_does_not_fit_in_is_named(
    tmp_path: Path,
    write_zip: Write,
    write_folder: Write,
    members: dict[str, bytes],
    name: str,
    zipped: bool,
) -> None:
    contents = members | {name: b"x"}
    if zipped:
        write_zip(tmp_path / "fer2013.zip", contents)
    else:
        write_folder(tmp_path, contents)

    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        records(tmp_path)
    assert str(error.value) == f"{name}: {BAD_NAMES[name]}"


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            {"train.csv": b"emotion,pixels\n", "test.csv": b"pixels\n"},
            "{zip}: has neither train/<class>/*.jpg nor fer2013.csv nor icml_face_data.csv, "
            f"but test.csv, train.csv. {GET_IT}",
        ),
        (
            {"fer2013.csv": b"", "a/icml_face_data.csv": b""},
            "a/icml_face_data.csv, fer2013.csv: all in {zip}; keep one of them",
        ),
        (
            {"train/sad/Training_1.jpg": b"", "images/train/sad/Training_1.jpg": b""},
            "{zip}: has pictures in ., images; keep one of these folders",
        ),
        (
            {"faces/happy/a.jpg": b""},
            "faces/happy/a.jpg: not in train/<class> or test/<class>; move or remove it",
        ),
        ({"__MACOSX/a.jpg": b""}, "{zip}: no files inside; get the dataset again"),
    ],
)
def test_a_zip_of_something_else_is_refused(
    tmp_path: Path, write_zip: Write, contents: dict[str, bytes], message: str
) -> None:
    path = write_zip(tmp_path / "archive.zip", contents)

    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        records(tmp_path)
    assert str(error.value) == message.format(zip=path)


GOOD = f"{HEADER}\n3,{PIXELS},Training\n"
DAMAGED = (
    "a picture has 2,304, whole numbers from 0 to 255; mend or remove the row, "
    "or get the file again"
)
BAD_TABLES = {
    "empty": ("", "fer2013.csv: no rows below a header; get the file again"),
    "header alone": (f"{HEADER}\n", "fer2013.csv: no rows below a header; get the file again"),
    "no header": (
        "3,7 7 7,Training\n",
        "fer2013.csv: its columns are 3, 7 7 7, Training; "
        "must be emotion, pixels, Usage; get the file again",
    ),
    "column missing": (
        "emotion,pixels\n3,7\n",
        "fer2013.csv: its columns are emotion, pixels; "
        "must be emotion, pixels, Usage; get the file again",
    ),
    "column twice": (
        "emotion,pixels,Usage,Usage\n",
        "fer2013.csv: its columns are emotion, pixels, Usage, Usage; "
        "must be emotion, pixels, Usage; get the file again",
    ),
    "web page": (
        "<html>" + "x" * 100,
        f"fer2013.csv: its columns are <html>{'x' * 54}...; "
        "must be emotion, pixels, Usage; get the file again",
    ),
    "field missing": (
        f"{GOOD}3,{PIXELS}\n",
        "fer2013.csv:row 3: has 2 of the fields emotion, pixels, Usage; "
        "mend or remove the row, or get the file again",
    ),
    "field too many": (
        f"{HEADER}\n3,{PIXELS},Training,x\n",
        "fer2013.csv:row 2: has 4 of the fields emotion, pixels, Usage; "
        "mend or remove the row, or get the file again",
    ),
    "blank line": (f"{GOOD}\n{GOOD}", "fer2013.csv:row 3: blank; remove the line"),
    "line of commas": (f"{GOOD}, ,\n", "fer2013.csv:row 3: blank; remove the line"),
    "emotion unknown": (
        f"{GOOD}7,{PIXELS},Training\n",
        f"fer2013.csv:row 3: emotion is '7'; must be one of {EMOTIONS}; mend or remove the row",
    ),
    "emotion in words": (
        f"{GOOD}happy,{PIXELS},Training\n",
        f"fer2013.csv:row 3: emotion is 'happy'; must be one of {EMOTIONS}; mend or remove the row",
    ),
    "emotion blank": (
        f"{GOOD},{PIXELS},Training\n",
        f"fer2013.csv:row 3: emotion is ''; must be one of {EMOTIONS}; mend or remove the row",
    ),
    "usage unknown": (
        f"{GOOD}3,{PIXELS},Test\n",
        "fer2013.csv:row 3: Usage is 'Test'; must be one of Training, PublicTest, PrivateTest; "
        "mend or remove the row",
    ),
    "open quote": (
        f'{GOOD}3,"{PIXELS},Training\n{GOOD}',
        "fer2013.csv:row 3: cannot be read (unexpected end of data); get the file again",
    ),
    "endless field": (
        f"{GOOD}3,{'7 ' * 70_000},Training\n",
        "fer2013.csv:row 3: cannot be read (field larger than field limit (131072)); "
        "get the file again",
    ),
    "pixel missing": (
        f"{GOOD}3,{PIXELS[:-2]},Training\n",
        f"fer2013.csv:row 3: has 2,303 pixels; {DAMAGED}",
    ),
    "pixel too many": (
        f"{GOOD}3,{PIXELS} 7,Training\n",
        f"fer2013.csv:row 3: has 2,305 pixels; {DAMAGED}",
    ),
    "no pixels": (f"{GOOD}3,,Training\n", f"fer2013.csv:row 3: has 0 pixels; {DAMAGED}"),
} | {
    f"pixel {value}": (
        f"{GOOD}3,{PIXELS[:-1]}{value},Training\n",
        f"fer2013.csv:row 3: has a pixel {value!r}; {DAMAGED}",
    )
    for value in ("256", "-1", "7.5", "1_0", "x", "\u0667", "\0")
}


@pytest.mark.parametrize("kind", BAD_TABLES)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_wrong_in_a_table_is_named(
    tmp_path: Path, write_zip: Write, kind: str, zipped: bool
) -> None:
    content, message = BAD_TABLES[kind]
    if zipped:
        write_zip(tmp_path / "fer2013.zip", {"fer2013.csv": content.encode()})
    else:
        (tmp_path / "fer2013.csv").write_bytes(content.encode())

    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        records(tmp_path)
    assert str(error.value) == message


def test_a_space_may_come_before_a_quote(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(GOOD)
    expected = records(tmp_path)
    path.write_text(f'emotion, "pixels", Usage\n3, "{PIXELS}", Training\n')

    assert records(tmp_path) == expected


def test_the_rows_before_a_damaged_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text(f"{GOOD}3,7 7,Training\n")
    builder = Builder(data_dir=tmp_path / "data", raw_dir=tmp_path)
    entries = builder.index(builder.raw_files()).splits["train"]
    images = builder.read(builder.raw_files(), entries)

    assert next(images).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="row 3: has 2 pixels"):
        next(images)


def test_a_table_that_changes_after_it_was_indexed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(GOOD)
    builder = Builder(data_dir=tmp_path / "data", raw_dir=tmp_path)
    entries = builder.index([path]).splits["train"]
    path.write_text(GOOD.replace("3,", "4,", 1))

    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        list(builder.read([path], entries))
    assert str(error.value) == "fer2013.csv:row 2: has changed while it was read; start again"


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(GOOD.encode("utf-16"))

    with pytest.raises(ValueError, match=r"^fer2013\.csv: no UTF-8 text"):
        records(tmp_path)


def test_the_real_pictures_are_all_there(tmp_path: Path) -> None:
    if not (REAL / "fer2013.zip").exists():
        pytest.skip("needs ../shared/data/fer2013.zip")
    builder = Builder(data_dir=tmp_path, raw_dir=REAL)
    index = builder.index(builder.raw_files())

    assert {split: len(entries) for split, entries in index.splits.items()} == {
        "train": 28_709,
        "validation": 3_589,
    }
    assert Counter(entry.label for entry in index.splits["train"]) == {
        "happy": 7215,
        "neutral": 4965,
        "sad": 4830,
        "fear": 4097,
        "angry": 3995,
        "surprise": 3171,
        "disgust": 436,
    }
    assert index.notes == ("There are no PrivateTest pictures, and so no split test.",)
    assert index.left_out == {}
