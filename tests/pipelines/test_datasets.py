"""`mien datasets` as a user meets it: on faces of the user's own, and on drawn ones."""

import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pytest

from pipelines.datasets import Prepared, describe, last_prepared, wanted_files
from tests.pipelines.runs import read_run
from tfds_builders.catalog import DATASETS
from tfds_builders.drawn_faces.pictures import Picture, draw_png

pytestmark = pytest.mark.xdist_group("datasets")

Mien = Callable[..., subprocess.CompletedProcess[str]]
OPTIONS = (
    *("--set", "dataset.options.source=mine.zip"),
    *("--set", r"dataset.options.subject_pattern=^(.+)_\d+"),
    *("--set", "dataset.options.min_count=3"),
    *("--set", "split.method=stratified"),
    *("--set", "split.train=0.5"),
)


def draw(expression: str, number: int, size: int = 40) -> bytes:
    return draw_png(Picture(number, expression, 0, 0, 1.0), size, (0.9, 1.0), seed=1)


def pictures() -> dict[str, bytes]:
    """Eight happy, one of them spelled otherwise, eight sad, and what is to be left out."""
    happy = {f"faces/happy/ann{n % 4}_{n}.png": draw("happy", n) for n in range(7)}
    sad = {f"faces/sad/bob{n % 4}_{n}.png": draw("sad", n) for n in range(8)}
    others = {
        "faces/Happy/ann0_7.png": draw("happy", 7, size=56),
        "faces/fear/eve_0.png": draw("fear", 0),
        "faces/readme.txt": b"Faces of my own.",
    }
    return happy | sad | others | {"faces/sad/bob0_0.png": draw("sad", 0)[:600]}


class Shown(NamedTuple):
    """What a command printed, and what was there then."""

    raw_dir: Path
    root: Path
    stdout: str
    run: dict[str, Any]


@pytest.fixture(scope="module")
def prepared(
    mien: Mien, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Shown:
    """What `mien datasets prepare labelled_faces` says of a zip of the user's own."""
    raw_dir = tmp_path_factory.mktemp("raw")
    with zipfile.ZipFile(raw_dir / "mine.zip", "w") as archive:
        for name, content in pictures().items():
            archive.writestr(name, content)
    return prepare(mien, environment, raw_dir)


def prepare(mien: Mien, environment: dict[str, str], raw_dir: Path, *options: str) -> Shown:
    root = raw_dir / "root"
    folders = ("--raw-dir", raw_dir, "--root", root)
    finished = mien(
        "datasets", "prepare", "labelled_faces", *folders, *OPTIONS, *options, env=environment
    )
    assert finished.returncode == 0, finished.stderr
    return Shown(raw_dir, root, finished.stdout, read_run(root))


def rows(stdout: str) -> dict[str, list[str]]:
    """The lines of the table by their split."""
    lines = [line.split() for line in stdout.splitlines()]
    splits = ("split", "train", "validation", "test")
    return {line[0]: line[1:] for line in lines if line and line[0] in splits}


def test_preparing_ends_with_the_statistics(prepared: Shown) -> None:
    states = [step["state"] for step in prepared.run["steps"]]
    assert states == ["executed"] * 2 + ["skipped"] * 7
    assert (prepared.root / "datasets" / "labelled_faces").is_dir()


def test_what_was_prepared_is_shown(prepared: Shown) -> None:
    assert f"raw files: {prepared.raw_dir / 'mine.zip'}\n" in prepared.stdout
    table = rows(prepared.stdout)
    assert table.pop("split") == ["images", "subjects", "happy", "sad"]
    # How many subjects that are is up to the split.
    assert {split: (int(row[0]), *map(int, row[2:])) for split, row in table.items()} == {
        "train": (8, 4, 4),
        "validation": (4, 2, 2),
        "test": (4, 2, 2),
    }
    assert all(1 <= int(row[1]) <= 8 for row in table.values())
    assert "\nsizes: 40x40 (14), 56x56 (1)\n" in prepared.stdout
    assert "\ncannot be decoded: 1\n" in prepared.stdout
    (sheet,) = re.findall(r"^sample sheet: (.+)$", prepared.stdout, re.MULTILINE)
    assert Path(sheet).read_bytes().startswith(b"\x89PNG\r\n")
    assert cv2.imread(sheet).std() > 0


def test_what_was_left_out_or_merged_is_shown_and_is_in_run_json(prepared: Shown) -> None:
    assert re.findall(r"^left out: (.+)$", prepared.stdout, re.MULTILINE) == [
        "1 files that are no pictures (.txt)",
        "1 class fear has 1 picture, fewer than min_count 3",
    ]
    assert "\nlabel happy: also written Happy (1 time)\n" in prepared.stdout
    assert prepared.run["warnings"] == [
        "1 left out: files that are no pictures (.txt)",
        "1 left out: class fear has 1 picture, fewer than min_count 3",
        "label happy: also written Happy (1 time)",
    ]


def test_it_is_shown_again_with_where_its_files_are_or_how_to_say_it(
    mien: Mien, prepared: Shown
) -> None:
    show = ("datasets", "show", "labelled_faces", "--root", prepared.root, *OPTIONS)
    there = mien(*show, "--raw-dir", prepared.raw_dir)
    assert there.returncode == 0, there.stderr
    assert prepared.stdout.endswith(there.stdout)
    elsewhere = mien(*show)
    assert elsewhere.returncode == 0, elsewhere.stderr
    wanted = "raw files: labelled_faces needs mine.zip: name their folder with --raw-dir. "
    assert wanted in elsewhere.stdout
    assert rows(elsewhere.stdout) == rows(there.stdout)


def test_what_is_prepared_again_is_reused_and_shown(
    mien: Mien, prepared: Shown, environment: dict[str, str], tmp_path: Path
) -> None:
    shutil.copytree(prepared.raw_dir, tmp_path, symlinks=True, dirs_exist_ok=True)
    other = prepare(mien, environment, tmp_path, "--set", "split.train=1")
    assert set(rows(other.stdout)) == {"split", "train"}
    again = prepare(mien, environment, tmp_path)
    assert [step["state"] for step in again.run["steps"][:2]] == ["reused", "reused"]
    assert rows(again.stdout) == rows(prepared.stdout)


def test_what_is_not_prepared_says_how_it_is(mien: Mien, tmp_path: Path) -> None:
    mine = mien("datasets", "show", "labelled_faces", cwd=tmp_path)
    assert mine.returncode == 0, mine.stderr
    assert "labels: those in the raw files\n" in mine.stdout
    assert "not prepared yet: mien datasets prepare labelled_faces --raw-dir DIR\n" in mine.stdout
    drawn = mien("datasets", "show", "drawn_faces", cwd=tmp_path)
    assert "raw files: needs none\nlabels: angry, disgust, " in drawn.stdout
    assert "not prepared yet: mien datasets prepare drawn_faces\n" in drawn.stdout


def test_datasets_are_listed_with_their_files_and_whether_they_are_there(
    mien: Mien, tmp_path: Path
) -> None:
    (tmp_path / "fer2013.csv").touch()
    listed = mien("datasets", "list", "--raw-dir", tmp_path)
    assert listed.returncode == 0, listed.stderr
    cells = [line.split() for line in listed.stdout.splitlines() if line[0] != " "]
    lines = {line[0]: line for line in cells}
    assert list(lines) == ["dataset", *DATASETS]
    assert {name: lines[name][-1] for name in DATASETS} == {
        **dict.fromkeys(DATASETS, "no"),
        "drawn_faces": "yes",
        "fer2013": "yes",
        "labelled_faces": "yes",  # The folder itself.
    }
    assert "happy-or-sad.zip, or happy and sad" in listed.stdout
    assert mien("datasets").stdout == mien("datasets", "list").stdout != listed.stdout


@pytest.mark.parametrize("name", DATASETS)
def test_wanted_files_are_in_words_for_people(name: str) -> None:
    assert not set("{}[]'") & set(wanted_files(name))


def test_nothing_prepared_is_none(tmp_path: Path) -> None:
    assert last_prepared(tmp_path / "nowhere", "drawn_faces") is None


def test_many_sizes_are_cut_to_the_most_common() -> None:
    def of_split(sizes: dict[str, int], undecodable: int = 0) -> dict[str, object]:
        return {"sizes": sizes, "undecodable": undecodable}

    statistics = {
        "train": of_split({f"{side}x{side}": 1 for side in range(40, 47)}, undecodable=1_000),
        "test": of_split({"43x43": 4_999, "46x46": 1}, undecodable=234),
    }
    dataset = {
        "options": {},
        "left_out": {"rows that repeat an earlier row": 2_000},
        "notes": ["Read it all."],
    }
    assert list(describe(Prepared(dataset, statistics, Path("sheet.png")))) == [
        "sizes: 43x43 (5,000), 46x46 (2), 40x40 (1), 41x41 (1), 42x42 (1), 2 more",
        "cannot be decoded: 1,234",
        "left out: 2,000 rows that repeat an earlier row",
        "Read it all.",
        "sample sheet: sheet.png",
    ]
