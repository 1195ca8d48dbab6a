"""The demo page in a real browser; what its server answers is made up."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from deploy.demo import app
from deploy.demo.app import MAX_PIXELS, application
from tests.chromium import chromium
from tests.deploy.golden import face, photograph

ANSWER = {
    "width": 97,
    "height": 97,
    "version": "7",
    "milliseconds": {"faces": 12.3, "model": 45.6},
    "faces": [
        {
            "box": [10, 10, 70, 70],
            "label": "happy",
            "score": 0.75,
            "probabilities": {"happy": 0.75, "sad": 0.25},
        }
    ],
}
ELSEWHERE = "page.example"
"""This machine, as a browser sees another one."""
PATIENCE = 30_000
"""Milliseconds; each wait ends when what it waits for is there."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the page; its server has a thread of its own, since the browser's has a loop already."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(application({"model": "faces", "labels": ["happy", "sad"]}, ""))

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The pictures that the page sends."""
    pictures: list[bytes] = []

    def answer(encoded: bytes, *_: Any) -> dict[str, Any]:
        pictures.append(encoded)
        return ANSWER

    monkeypatch.setattr(app, "ask", answer)
    return pictures


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1") as browser:
        yield browser


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    yield page
    context.close()


def test_a_picture_is_sent_as_it_is(page: Any, asked: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "face.jpg").write_bytes(photograph(face(), 6))
    page.get_by_label("Choose a picture").set_input_files(tmp_path / "face.jpg")
    page.get_by_role("table", name="The face").wait_for()
    assert asked == [photograph(face(), 6)]


def test_a_photograph_too_large_for_the_server_is_sent_smaller_and_upright(
    page: Any, asked: list[bytes], tmp_path: Path
) -> None:
    wall = Image.new("RGB", (3000, 4000), "blue")
    wall.paste("red", (0, 0, 3000, 2000))
    (tmp_path / "phone.jpg").write_bytes(photograph(wall, 6))  # It lies on its side.
    page.get_by_label("Choose a picture").set_input_files(tmp_path / "phone.jpg")
    page.get_by_role("table", name="The face").wait_for()
    (sent,) = (Image.open(io.BytesIO(encoded)) for encoded in asked)
    assert 0.99 * MAX_PIXELS < sent.width * sent.height <= MAX_PIXELS
    assert sent.width / sent.height == pytest.approx(3 / 4, abs=0.001)
    assert not sent.getexif()
    top, bottom = np.asarray(sent)[[100, -100], 100].astype(int)
    assert np.abs(top - (254, 0, 0)).max() < 5
    assert np.abs(bottom - (0, 0, 254)).max() < 5


def test_a_picture_can_be_dropped(page: Any, asked: list[bytes]) -> None:
    picture = photograph(face(), 1)
    drop = page.evaluate_handle(
        """(bytes) => {
          const dropped = new DataTransfer();
          dropped.items.add(new File([Uint8Array.from(bytes)], "face.jpg"));
          return dropped;
        }""",
        [*picture],
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": drop})
    assert page.locator("#drop.over").count() == 1
    page.dispatch_event("#drop", "drop", {"dataTransfer": drop})
    page.get_by_role("table", name="The face").wait_for()
    assert asked == [picture]
    assert page.get_by_alt_text("Your picture").is_visible()
    assert page.locator("#drop.over").count() == 0


@pytest.mark.usefixtures("asked")
def test_the_version_and_how_long_it_took_are_shown(page: Any) -> None:
    page.get_by_label("Choose a picture").set_input_files(
        {"name": "face.jpg", "mimeType": "image/jpeg", "buffer": photograph(face(), 1)}
    )
    page.get_by_role("table", name="The face").wait_for()
    assert page.inner_text("#facts") == "Version 7; 12 ms to find the faces, 46 ms for the answer."


def test_a_page_that_gets_no_camera_says_why_and_what_to_do(browser: Any, address: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address.replace("127.0.0.1", ELSEWHERE))
        camera = page.get_by_role("button", name="Use the camera")
        camera.click()
        assert page.inner_text("#error") == (
            "browsers lend the camera only to pages on localhost or by https: "
            "open this one so, or drop a picture on it"
        )
        assert camera.get_attribute("aria-pressed") == "false"
