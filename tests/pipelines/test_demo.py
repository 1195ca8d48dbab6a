"""`mien demo` as a person uses it: a real browser, a picture, and a camera that shows a face."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from components.common.pictures.images import decode_image
from deploy.flink.processes import free_ports
from tests.chromium import chromium
from tests.deploy.golden import photograph
from tests.pipelines.runs import MIEN
from tfds_builders.drawn_faces.pictures import Picture, draw_png

pytestmark = pytest.mark.xdist_group("tiny_run")

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PHONE = {"width": 390, "height": 844}
PATIENCE = 60_000
"""Milliseconds; each wait ends when what it waits for is there."""


def draw_face(seed: int) -> np.ndarray[Any, Any]:
    picture = Picture(seed, "happy", 0, 0, 1.0)
    return decode_image(draw_png(picture, 240, (0.9, 1.0), seed=3))[..., ::-1]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces, side by side."""
    path = tmp_path_factory.mktemp("pictures") / "two.png"
    cv2.imwrite(str(path), np.hstack([draw_face(0), draw_face(1)]))
    return path


@pytest.fixture(scope="module")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face below on a high wall, as a phone stores it: on its side."""
    wall = Image.new("RGB", (320, 560), (128, 128, 128))
    wall.paste(Image.fromarray(np.ascontiguousarray(draw_face(0)[..., ::-1])), (40, 300))
    path = tmp_path_factory.mktemp("phones") / "phone.jpg"
    path.write_bytes(photograph(wall, 6))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera sees: a face on a gray wall, in Motion JPEG."""
    wall = np.full((480, 640, 3), 128, np.uint8)
    wall[120:360, 200:440] = draw_face(0)
    path = tmp_path_factory.mktemp("film") / "face.mjpeg"
    path.write_bytes(cv2.imencode(".jpg", wall)[1].tobytes() * 10)
    return path


@pytest.fixture(scope="module")
def demo(tiny_root: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    command = [MIEN, "demo", "--root", str(tiny_root), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = re.match(r"demo of tiny: (http://\S+)", process.stdout.readline())
        assert ready
        yield ready[1]
        process.terminate()


@pytest.fixture(scope="module")
def browser(film: Path) -> Iterator[Any]:
    with chromium(*CAMERA, f"--use-file-for-fake-video-capture={film}") as browser:
        yield browser


@pytest.fixture
def page(browser: Any, demo: str) -> Iterator[Any]:
    context = browser.new_context(viewport=PHONE, permissions=["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(demo)
    yield page
    context.close()


def test_a_picture_shows_each_face_with_its_probabilities(page: Any, picture: Path) -> None:
    page.get_by_label("Choose a picture").set_input_files(picture)
    page.get_by_role("table", name="Face 2 from the left").wait_for()
    assert page.locator("#boxes rect").count() == 2
    table = page.get_by_role("table", name="Face 1 from the left")
    assert table.get_by_role("row").count() == 7
    assert re.fullmatch(r"Face 1: \w+, \d+ %; Face 2: \w+, \d+ %", page.inner_text("#status"))
    assert "Version 1" in page.inner_text("#facts")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_the_box_is_on_the_face_of_a_photograph_that_its_phone_stored_on_its_side(
    page: Any, phones: Path
) -> None:
    page.get_by_label("Choose a picture").set_input_files(phones)
    page.get_by_role("table", name="The face").wait_for()
    shown = page.evaluate("[picture.naturalWidth, picture.naturalHeight]")
    assert shown == [320, 560]
    assert page.locator("#boxes").get_attribute("viewBox") == "0 0 320 560"
    box = page.locator("#boxes rect")
    left, top, side = (float(box.get_attribute(name)) for name in ("x", "y", "width"))
    assert 40 < left < left + side < 280
    assert 300 < top < top + side < 540


def test_the_camera_shows_the_face_that_it_sees_until_it_is_stopped(page: Any) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("table", name="The face").wait_for()
    left, top = (float(page.locator("#boxes rect").get_attribute(name)) for name in "xy")
    assert 190 < left < 440
    assert 110 < top < 360
    # It is read aloud whenever it changes: numbers would at every frame.
    assert re.fullmatch(r"\w+", page.inner_text("#status"))
    page.get_by_role("button", name="Stop the camera").click()
    assert page.evaluate("document.querySelector('video').srcObject.active") is False


def test_the_keyboard_reaches_everything(page: Any) -> None:
    reached = []
    for _ in range(2):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["file", "camera"]


def test_what_is_no_picture_is_said_until_the_next_one_is_looked_at(
    page: Any, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.get_by_label("Choose a picture").set_input_files(tmp_path / "notes.png")
    alert = page.locator("#error:not(:empty)")
    alert.wait_for()
    assert alert.inner_text() == "no picture: wanted JPEG, PNG or BMP"
    page.route("**/faces", lambda _: None)  # Which now takes its time.
    page.get_by_label("Choose a picture").set_input_files(picture)
    assert page.inner_text("#status") == "Looking…"
    assert page.inner_text("#error") == ""
