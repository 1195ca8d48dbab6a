import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow_datasets as tfds

from tfds_builders.catalog import OptionError, make_builder
from tfds_builders.face_builder import Index
from tfds_builders.labelled_faces.config import LabelledFacesConfig
from tfds_builders.labelled_faces.labelled_faces_dataset_builder import Builder

FacePng = Callable[[str, int], bytes]
Members = dict[str, bytes]
Write = Callable[[Path, Members], Path]
REAL = Path(__file__).parents[4] / "shared" / "data"
EXPRESSIONS = ("happy", "sad", "fear")


@pytest.fixture(scope="session")
def folders(face_png: FacePng) -> Members:
    """A folder for each of three classes, two pictures in each."""
    return {f"{name}/s{n}_01.png": face_png(name, n) for name in EXPRESSIONS for n in range(2)}


@pytest.fixture(scope="session")
def with_table(face_png: FacePng) -> Members:
    """The same pictures in one folder, and a table in another that names them."""
    pictures = {
        f"images/s{n}_{name}.png": face_png(name, n) for name in EXPRESSIONS for n in range(2)
    }
    rows = [f"7,s{n}_{name}.png,{name},s{n}" for name in EXPRESSIONS for n in range(2)]
    table = "\n".join(["user.id,image,emotion,subject", *rows]).encode()
    return {"data/legend.csv": table, **pictures}


@pytest.fixture(scope="class")
def dummy_data(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_zip: Write,
    write_folder: Write,
    folders: Members,
    with_table: Members,
) -> None:
    raw_dir = tmp_path_factory.mktemp("labelled_faces")
    for name, members in (("folders", folders), ("table", with_table)):
        write_folder(raw_dir / name, members)
        write_zip(raw_dir / f"{name}.zip", members)
    request.cls.EXAMPLE_DIR = raw_dir


@pytest.mark.usefixtures("dummy_data")
class LabelledFacesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS = {"train": 6}  # noqa: RUF012 as TFDS declares it
    BUILDER_CONFIG_NAMES_TO_TEST = [  # noqa: RUF012
        LabelledFacesConfig(source=source)
        for source in ("folders", "folders.zip", "table", "table.zip")
    ]


def indexed(raw_dir: Path, **options: Any) -> Index:
    builder = make_builder("labelled_faces", Path("unused"), raw_dir, options)
    return builder.index(builder.raw_files())


def records(raw_dir: Path, data_dir: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """The examples by source, each with its label's name and the image's bytes."""
    builder = make_builder("labelled_faces", data_dir, raw_dir, options)
    builder.download_and_prepare()
    names = builder.info.features["label"].names
    undecoded = builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    return {
        example["source"].decode(): example | {"label": names[example["label"]]}
        for example in tfds.as_numpy(undecoded)
    }


@pytest.mark.parametrize("layout", ["folders", "with_table"])
def test_zip_and_folder_give_the_same_records(
    tmp_path: Path,
    write_zip: Write,
    write_folder: Write,
    request: pytest.FixtureRequest,
    layout: str,
) -> None:
    members = request.getfixturevalue(layout)
    (tmp_path / "zipped").mkdir()
    write_zip(tmp_path / "zipped" / "faces.zip", members)
    write_folder(tmp_path / "mine", members | {".DS_Store": b"", "__MACOSX/happy/._a.png": b""})

    from_zip = records(tmp_path / "zipped", tmp_path / "1", source="faces.zip")

    assert from_zip == records(tmp_path / "mine", tmp_path / "2")
    assert from_zip == records(tmp_path, tmp_path / "3", source="mine")
    images = {source: example["image"] for source, example in from_zip.items()}
    assert images == {name: image for name, image in members.items() if name.endswith(".png")}
    assert all(example["label"] in source for source, example in from_zip.items())


def test_the_labels_are_known_once_the_raw_files_are_read(
    tmp_path: Path, write_folder: Write, folders: Members
) -> None:
    builder = make_builder("labelled_faces", tmp_path / "data", write_folder(tmp_path, folders), {})
    assert builder.info.features["label"].num_classes is None

    builder.download_and_prepare()

    again = tfds.builder_from_directory(builder.data_dir)
    assert builder.info.features["label"].names == ["fear", "happy", "sad"]
    assert again.info.features["label"].names == ["fear", "happy", "sad"]


@pytest.mark.parametrize(
    "layout", ["folders", "with_table"], ids=["folder per class", "table beside pictures"]
)
def test_every_file_is_read_or_counted(
    tmp_path: Path, write_folder: Write, request: pytest.FixtureRequest, layout: str
) -> None:
    members = request.getfixturevalue(layout) | {"LICENSE": b"", "happy/notes.TXT": b""}
    members |= {"images/._x.png": b"", "sad/x.gif": b""}
    raw_dir = write_folder(tmp_path, members)

    index = indexed(raw_dir, labels=["sad", "fear"])

    assert index.left_out == {
        "files that are no pictures (no suffix)": 1,
        "files that are no pictures (.txt)": 1,
        "files that are no pictures (.gif)": 1,
        "files that are no pictures (hidden)": 1,
        "label happy is not among the labels asked for": 2,
    }
    table = sum(name.endswith(".csv") for name in members)
    assert len(index.splits["train"]) + sum(index.left_out.values()) + table == len(members)


def test_what_the_table_leaves_out_is_counted(tmp_path: Path, write_folder: Write) -> None:
    pictures = [f"p/{name}.jpg" for name in "abcdef"]
    table = b"pic,expression\nd.jpg,sad\na.jpg,sad\nb.jpg, \na.jpg,Sad\nc.jpg,fear\n"

    raw_dir = write_folder(tmp_path, {"t.csv": table, **dict.fromkeys(pictures, b"")})
    index = indexed(raw_dir, min_count=2)

    assert [entry.source for entry in index.splits["train"]] == ["p/a.jpg", "p/d.jpg"]
    assert index.left_out == {
        "pictures that the table does not name": 2,
        "rows that repeat an earlier row": 1,
        "no label": 1,
        "class fear has 1 picture, fewer than min_count 2": 1,
    }


def test_subjects_are_in_a_column_or_in_the_file_name(
    tmp_path: Path, write_folder: Write, with_table: Members, folders: Members
) -> None:
    write_folder(tmp_path / "table", with_table)
    write_folder(tmp_path / "folders", folders)

    def subjects(**options: Any) -> list[str]:
        return [entry.subject for entry in indexed(tmp_path, **options).splits["train"]]

    assert subjects(source="table") == ["s0"] * 3 + ["s1"] * 3
    assert subjects(source="table", subject_column="User.ID") == ["7"] * 6
    assert subjects(source="table", subject_pattern=r"^(s\d)_") == ["s0"] * 3 + ["s1"] * 3
    assert subjects(source="folders") == [""] * 6
    pattern = r"^(s)(?P<subject>\d+)_"
    assert subjects(source="folders", subject_pattern=pattern) == ["0", "1"] * 3


def test_a_subject_pattern_takes_the_place_of_a_column(tmp_path: Path, write_folder: Write) -> None:
    table = b"image,label,subject,person\na_1.png,happy,x,y\nb_1.png,sad,x,y\n"
    write_folder(tmp_path, {"a_1.png": b"", "b_1.png": b"", "t.csv": table})

    entries = indexed(tmp_path, subject_pattern="^(.+)_").splits["train"]

    assert [(entry.source, entry.subject) for entry in entries] == [
        ("a_1.png", "a"),
        ("b_1.png", "b"),
    ]


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ({}, {}, "RAW: no files inside; put the pictures there"),
        ({"a.txt": b""}, {}, "RAW: no picture (png, jpg, jpeg, bmp) inside; put them there"),
        (
            {"faces.ZIP": b"", "a/b.png": b""},
            {},
            "faces.ZIP: a zip in RAW; read it with source=faces.ZIP, or unpack it and take it away",
        ),
        (
            {"in/faces.zip": b"", "in/b.png": b""},
            {"source": "in"},
            "faces.zip: a zip in RAW/in; read it with source=in/faces.zip, or unpack it and take "
            "it away",
        ),
        (
            {"legend.csv": b""},
            {"source": "legend.csv"},
            "source: legend.csv is no zip and no folder; name the one that holds all",
        ),
        (
            {"a/b.png": b"", "c/d.png": b""},
            {"label_column": "emotion"},
            "label_column: there is no table (.csv) that could have it; add one",
        ),
        (
            {"a/ann_1.png": b"", "b/bob.png": b"", "c/cy.png": b""},
            {"subject_pattern": r"^(.+)_\d"},
            "b/bob.png: no subject, as for 2 of 3 pictures; let subject_pattern match it, or take "
            "these out",
        ),
        (
            {"a/1_ann.png": b"", "b/2_.png": b""},
            {"subject_pattern": r"_(.*)\."},
            "b/2_.png: no subject, as for 1 of 2 pictures; let subject_pattern match it, or take "
            "these out",
        ),
        (
            {"a.png": b"", "b.png": b"", "t.csv": b"file,class,person\na.png,x,\nb.png,y,bob\n"},
            {},
            "a.png: no subject, as for 1 of 2 pictures; fill it in, or take these out",
        ),
        (
            {"a.png": b"", "b.png": b"", "t.csv": b"file,class,who\na.png,x,\nb.png,y,\n"},
            {"subject_column": "who"},
            "a.png: no subject, as for 2 of 2 pictures; fill it in, or take these out",
        ),
    ],
)
def test_what_is_wrong_with_the_raw_files_is_named(
    tmp_path: Path, write_folder: Write, members: Members, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "raw").mkdir()

    with pytest.raises(ValueError) as error:  # noqa: PT011 as the whole message is compared
        indexed(write_folder(tmp_path / "raw", members), **options)

    assert str(error.value).replace(str(tmp_path / "raw"), "RAW") == message


def test_a_link_is_refused(tmp_path: Path, write_folder: Write) -> None:
    raw_dir = write_folder(tmp_path / "raw", {"a/b.png": b""})
    (raw_dir / "b").symlink_to("nowhere")

    with pytest.raises(ValueError, match=r"^b: a link in .*; put the file itself there"):
        indexed(raw_dir)


def test_the_catalog_tells_an_impossible_option_from_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^min_count: is 0"):
        indexed(tmp_path, min_count=0)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pictures are not here")
def test_the_real_pictures(tmp_path: Path) -> None:
    options = {"source": "facial_expressions.zip", "subject_pattern": r"^(.+)_\d+"}
    builder = make_builder("labelled_faces", tmp_path, REAL, options)

    index = builder.index(builder.raw_files())

    entries = index.splits["train"]
    assert Counter(entry.label for entry in entries) == {
        "neutral": 450,
        "happiness": 450,
        "DISGUST": 188,
        "surprise": 161,
        "SADNESS": 149,
        "anger": 115,
        "FEAR": 11,
        "contempt": 2,
    }
    assert len({entry.source for entry in entries}) == 1526
    assert len({entry.subject for entry in entries}) == 770
    assert index.left_out == {"files that are no pictures (no suffix)": 1}
    assert "label happiness: also written HAPPINESS (55 times)" in index.notes
    assert len(index.notes) == 7
    images = list(builder.read(builder.raw_files(), entries[::400]))
    with zipfile.ZipFile(REAL / "facial_expressions.zip") as archive:
        assert images == [archive.read(entry.source) for entry in entries[::400]]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pictures are not here")
def test_the_real_pictures_with_few_of_a_class_or_another_kind_of_name() -> None:
    source = "facial_expressions.zip"

    index = indexed(REAL, source=source, min_count=10)

    assert len(index.splits["train"]) == 1524
    assert "contempt" not in index.labels
    assert index.left_out["class contempt has 2 pictures, fewer than min_count 10"] == 2
    with pytest.raises(ValueError, match=r"facial-expressions_2868584k\.jpg: no subject, .* 1 of"):
        indexed(REAL, source=source, subject_pattern=r"^(.+)_\d+\.")
