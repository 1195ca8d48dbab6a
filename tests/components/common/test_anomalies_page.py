import base64
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.anomalies_page import THUMBNAIL_SIDE, write_page
from components.common.examples import read_table
from components.common.findings import KINDS, Finding
from components.common.pictures.images import encode_png
from components.common.splits import Shares
from components.example_gen import Split, generate_examples

HOSTILE = "<script>alert(1)<!--"
POLICIES = dict.fromkeys(KINDS, "warn")
WIDE, BROKEN, FACE, HIDDEN = range(4)  # the sources, in order


@pytest.fixture(scope="module")
def examples(
    face_png: Callable[..., bytes],
    noise: Callable[..., NDArray[np.uint8]],
    beam: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Four pictures, three of whose names and label would be markup."""
    folder = tmp_path_factory.mktemp("hostile")
    with zipfile.ZipFile(folder / "mine.zip", "w") as archive:
        archive.writestr(
            f"{HOSTILE}/0'\"><img src=x onerror=alert(1)>.png", encode_png(noise(0, 2, 900, 3))
        )
        archive.writestr(f"{HOSTILE}/1.png", face_png("happy", 0)[:300])
        archive.writestr(f"{HOSTILE}/2&amp;.png", face_png("happy", 1, 200))
        archive.writestr("sad/3.png", face_png("sad", 2))
    generate_examples(
        folder / "examples",
        name="labelled_faces",
        options={"source": "mine.zip"},
        raw_dir=folder,
        datasets=folder / "datasets",
        split=Split("random", Shares(1, 0, 0), seed=0),
        beam=beam,
    )
    return folder / "examples"


@pytest.fixture
def page(examples: Path, tmp_path: Path) -> Callable[..., str]:
    def write(**findings: list[tuple[int, ...]]) -> str:
        table = read_table(examples)
        named = {
            kind: [Finding(kind, " and ".join(table[i].source for i in rows), rows) for rows in of]
            for kind, of in findings.items()
        }
        write_page(tmp_path / "page.html", examples, table, named, {**POLICIES, "blank": "drop"})
        return (tmp_path / "page.html").read_text()

    return write


def thumbnails(html: str) -> list[NDArray[np.uint8]]:
    encoded = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', html)
    jpegs = [np.frombuffer(base64.b64decode(each, validate=True), np.uint8) for each in encoded]
    return [cv2.imdecode(jpeg, cv2.IMREAD_COLOR) for jpeg in jpegs]


def test_it_needs_no_other_file_and_no_network(page: Callable[..., str]) -> None:
    html = page(blank=[(FACE,)], duplicate=[(FACE, HIDDEN)])
    assert "http://" not in html
    assert "https://" not in html
    assert not re.search(
        r"<link|<script|<iframe|@import|url\(|//\w", re.sub('"data:[^"]*"', "", html)
    )
    assert set(re.findall(r'src="(\w+:)', html)) == {"data:"}
    assert html.count("src=") == 3


def test_names_and_labels_are_text_and_no_markup(page: Callable[..., str]) -> None:
    html = page(no_face=[(BROKEN,), (FACE,)], near_duplicate=[(FACE, BROKEN)])
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;!--" in html
    assert "2&amp;amp;.png" in html
    assert len(re.findall(r"<img ", html)) == 2
    assert html.count('class="broken"') == 2


def test_thumbnails_are_the_pictures_made_small(page: Callable[..., str]) -> None:
    shapes = [image.shape for image in thumbnails(page(duplicate=[(FACE, HIDDEN)]))]
    assert shapes == [(THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)] * 2


def test_a_picture_of_two_lines_has_a_thumbnail_and_its_name_is_text(
    page: Callable[..., str],
) -> None:
    html = page(size_outlier=[(WIDE,)])
    ((height, width, _),) = [image.shape for image in thumbnails(html)]
    assert (height, width) == (1, THUMBNAIL_SIDE)
    assert html.count("<img ") == 1
    assert "onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(("count", "shown", "more"), [(24, 24, ""), (1300, 24, "and 1,276 more")])
def test_a_kind_shows_24_and_says_how_many_more(
    page: Callable[..., str], count: int, shown: int, more: str
) -> None:
    html = page(blank=[(FACE,)] * count, missing_class=[()])
    assert len(thumbnails(html)) == shown
    assert f"{count:,} {KINDS['blank']}" in html
    assert f"1 {KINDS['missing_class']}" in html
    assert ("more, in anomalies.json" in html) == bool(more)
    assert more in html


def test_each_kind_says_its_policy(page: Callable[..., str]) -> None:
    html = page(blank=[(FACE,)], duplicate=[(FACE, HIDDEN)])
    badges = re.findall(r'</h2> <span class="policy (\w+)">(\w+)<', html)
    assert badges == [("drop", "drop"), ("warn", "warn")]
    assert "Nothing was found" not in html


def test_clean_data_say_so(page: Callable[..., str]) -> None:
    html = page()
    assert "Nothing was found" in html
    assert "4 pictures" in html
    assert "<section" not in html
