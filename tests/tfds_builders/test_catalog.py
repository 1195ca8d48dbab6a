import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfds_builders.catalog import DATASETS, find_raw_files, make_builder, raw_digest

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
    assert tuple(builder.info.features["label"].names) == DATASETS[name].labels
    assert set(builder.info.features) == {"image", "label", "subject", "source"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("drawn_facse", {}, "did you mean drawn_faces?"),
        ("faces of mine", {}, "there are: drawn_faces, happy_or_sad"),
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
