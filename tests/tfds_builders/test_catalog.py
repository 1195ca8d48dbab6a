import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfds_builders.catalog import (
    DATASETS,
    OptionError,
    find_raw_files,
    make_builder,
    raw_digest,
)

Write = Callable[[Path, dict[str, bytes]], Path]
MEMBERS = {"happy/a.png": b"A", "sad/b.png": b"B"}


def test_importing_the_catalog_imports_no_heavy_library() -> None:
    heavy = {"tensorflow", "tensorflow_datasets", "numpy", "cv2"}
    code = f"import sys, tfds_builders.catalog; assert not {heavy} & set(sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_has_a_builder_with_its_labels(
    tmp_path: Path, write_folder: Write, name: str
) -> None:
    raw_files = {file: b"" for files in DATASETS[name].raw_files[:1] for file in files}

    builder = make_builder(name, tmp_path / "data", write_folder(tmp_path, raw_files), {})

    assert builder.name == name
    label = builder.info.features["label"]
    assert (tuple(label.names) if label.num_classes else ()) == DATASETS[name].labels
    assert set(builder.info.features) == {"image", "label", "subject", "source"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("drawn_facse", {}, "did you mean drawn_faces?"),
        ("faces of mine", {}, "there are: ck_plus, drawn_faces"),
        ("drawn_faces", {"sise": 48}, "sise: unknown option of drawn_faces; did you mean size?"),
        ("drawn_faces", {"name": "x"}, "name: unknown option"),
        ("drawn_faces", {"size": 31}, "size: is 31; give a whole number from 32"),
    ],
)
def test_a_wrong_name_or_option_is_named(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make_builder(name, tmp_path, None, options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("labelled_faces", {"sorce": "faces.zip"}),
        ("labelled_faces", {"source": "../faces.zip"}),
        ("labelled_faces", {"source": 3}),
        ("ck_plus", {"peaks": 0}),
        ("happy_or_sad", {"size": 48}),
    ],
)
def test_a_wrong_option_is_said_before_a_missing_file(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    for raw_dir in (None, tmp_path):
        with pytest.raises(OptionError, match=f"^{next(iter(options))}: "):
            make_builder(name, tmp_path, raw_dir, options)


def test_a_dataset_without_options_says_so(tmp_path: Path, write_folder: Write) -> None:
    with pytest.raises(ValueError, match=r"size: unknown option of happy_or_sad; it has none"):
        make_builder("happy_or_sad", tmp_path, write_folder(tmp_path, MEMBERS), {"size": 48})


def test_the_first_complete_alternative_is_found(tmp_path: Path, write_folder: Write) -> None:
    write_folder(tmp_path, MEMBERS)
    assert find_raw_files("happy_or_sad", tmp_path) == [tmp_path / "happy", tmp_path / "sad"]

    (tmp_path / "happy-or-sad.zip").touch()
    assert find_raw_files("happy_or_sad", tmp_path) == [tmp_path / "happy-or-sad.zip"]


def test_missing_raw_files_are_named_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    with pytest.raises(FileNotFoundError, match=r"happy-or-sad\.zip, or happy and sad") as error:
        find_raw_files("happy_or_sad", tmp_path)
    assert str(tmp_path) in str(error.value)
    assert DATASETS["happy_or_sad"].how_to_get in str(error.value)

    with pytest.raises(FileNotFoundError, match="--raw-dir"):
        find_raw_files("happy_or_sad", None)


def test_a_dataset_that_needs_no_raw_files() -> None:
    assert find_raw_files("drawn_faces", None) == []
    assert raw_digest("drawn_faces", None) == ""


def test_the_digest_follows_names_and_contents_but_not_the_place(
    tmp_path: Path, write_folder: Write
) -> None:
    def digest(place: str, members: dict[str, bytes]) -> str:
        return raw_digest("happy_or_sad", write_folder(tmp_path / place, members))

    expected = digest("one", MEMBERS)

    assert digest("two", dict(reversed(MEMBERS.items()))) == expected
    assert digest("three", MEMBERS | {"happy/a.png": b"a"}) != expected
    assert digest("four", {"happy/c.png": b"A", "sad/b.png": b"B"}) != expected


def test_the_users_own_source_is_found(tmp_path: Path, write_folder: Write) -> None:
    write_folder(tmp_path, {"faces.zip": b"", "faces/happy/a.png": b"A"})

    def found(**options: Any) -> list[Path]:
        return find_raw_files("labelled_faces", tmp_path, options)

    assert found(source="faces.zip") == [tmp_path / "faces.zip"]
    assert found(source="faces/happy", min_count=3) == [tmp_path / "faces" / "happy"]
    assert found() == found(source="") == [tmp_path]
    assert find_raw_files("labelled_faces", tmp_path) == [tmp_path]


def test_a_missing_source_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"needs mine\.zip: not in ") as error:
        find_raw_files("labelled_faces", tmp_path, {"source": "mine.zip"})
    assert str(tmp_path) in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"needs mine\.zip: name their folder with --raw-d"):
        find_raw_files("labelled_faces", None, {"source": "mine.zip"})
    with pytest.raises(FileNotFoundError, match=r"needs its pictures: not in .*nowhere"):
        find_raw_files("labelled_faces", tmp_path / "nowhere")


def test_the_digest_of_a_folder_stays_when_it_is_moved_or_renamed(
    tmp_path: Path, write_folder: Write
) -> None:
    def digest(raw_dir: Path, **options: Any) -> str:
        return raw_digest("labelled_faces", raw_dir, options)

    folder = write_folder(tmp_path / "here" / "faces", MEMBERS)
    expected = digest(folder)
    assert digest(tmp_path / "here", source="faces") == expected
    moved = folder.rename(tmp_path / "other name")
    assert digest(moved) == expected
    assert digest(tmp_path, source="other name") == expected

    (moved / "happy").rename(moved / "joyful")
    assert digest(moved) != expected


def test_the_digest_of_a_zip_stays_when_it_is_renamed(tmp_path: Path, write_zip: Write) -> None:
    packed = write_zip(tmp_path / "faces.zip", MEMBERS)
    expected = raw_digest("labelled_faces", tmp_path, {"source": "faces.zip"})

    packed.rename(tmp_path / "mine.zip")
    assert raw_digest("labelled_faces", tmp_path, {"source": "mine.zip"}) == expected
    write_zip(tmp_path / "mine.zip", MEMBERS | {"sad/c.png": b"C"})
    assert raw_digest("labelled_faces", tmp_path, {"source": "mine.zip"}) != expected


def test_the_digest_follows_the_name_that_sources_are_made_of(
    tmp_path: Path, write_folder: Write
) -> None:
    one = raw_digest("fer2013", write_folder(tmp_path / "one", {"fer2013.csv": b"x"}))
    two = raw_digest("fer2013", write_folder(tmp_path / "two", {"icml_face_data.csv": b"x"}))
    assert one != two


def test_a_source_outside_of_the_raw_folder_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"source: \.\./x leads outside"):
        raw_digest("labelled_faces", tmp_path, {"source": "../x"})
