"""The demo page's server, asked over HTTP; the model behind it is the tiny one of a real server."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from deploy.demo import app
from deploy.demo.app import MAX_PICTURE_BYTES, MAX_PIXELS, application
from tests.deploy.golden import face as drawn_face
from tests.deploy.golden import photograph

RECIPE: dict[str, Any] = {"height": 4, "width": 4, "channels": 1}
MANIFEST = {"model": "faces", "labels": ["happy", "sad", "neutral"], "recipe": RECIPE}
CROPPING = MANIFEST | {"recipe": RECIPE | {"face_crop": {"min_size": 30}}}
LARGE = cv2.imencode(".png", np.zeros((1536, 2049), np.uint8))[1].tobytes()


def ask(manifest: dict[str, Any], url: str, scenario: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with TestClient(TestServer(application(manifest, url))) as client:
            return await scenario(client)

    return asyncio.run(main())


def post(manifest: dict[str, Any], url: str, body: bytes) -> tuple[int, dict[str, Any]]:
    async def scenario(client: Any) -> tuple[int, dict[str, Any]]:
        response = await client.post("/faces", data=body)
        return response.status, await response.json()

    return ask(manifest, url, scenario)


def test_a_picture_is_answered_by_the_model_server(
    server: Any, images: list[bytes], signatures: Any
) -> None:
    status, answer = post(MANIFEST, server.url, images[0])
    assert status == 200
    assert (answer["width"], answer["height"], answer["version"]) == (4, 4, "7")
    (face,) = answer["faces"]
    expected = signatures["serving_default"](image_bytes=np.array(images[:1], dtype=object))
    assert face["label"] == expected["label"].numpy()[0].decode()
    assert face["box"] is None
    np.testing.assert_array_equal(
        np.float32([*face["probabilities"].values()]), expected["probabilities"][0]
    )


def test_each_face_has_its_box(
    server: Any, monkeypatch: pytest.MonkeyPatch, images: list[bytes]
) -> None:
    boxes = [(1, 2, 30, 40), (50, 2, 30, 40)]
    monkeypatch.setattr(app, "cut_faces", lambda *_: list(zip(boxes, images, strict=False)))
    picture = cv2.imencode(".png", np.zeros((60, 90, 3), np.uint8))[1].tobytes()
    _, answer = post(CROPPING, server.url, picture)
    assert [face["box"] for face in answer["faces"]] == [list(box) for box in boxes]
    assert (answer["width"], answer["height"]) == (90, 60)


def test_the_boxes_are_of_the_picture_as_the_browser_shows_it(
    server: Any, monkeypatch: pytest.MonkeyPatch, images: list[bytes]
) -> None:
    cut = app.cut_faces
    # The tiny model takes no picture of another size than its own.
    monkeypatch.setattr(app, "cut_faces", lambda *of: [(box, images[0]) for box, _ in cut(*of)])
    wall = Image.new("RGB", (150, 240), (128, 128, 128))
    wall.paste(drawn_face(), (40, 110))
    answers = [post(CROPPING, server.url, photograph(wall, turn, "PNG"))[1] for turn in (1, 6)]
    assert {(answer["width"], answer["height"]) for answer in answers} == {(150, 240)}
    (box,), (phones_box,) = ([face["box"] for face in answer["faces"]] for answer in answers)
    assert phones_box == box


def test_no_picture_is_stored(
    server: Any, images: list[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = app.cut_faces
    monkeypatch.setattr(app, "cut_faces", lambda *of: [(box, images[0]) for box, _ in cut(*of)])
    monkeypatch.setattr(tempfile, "tempdir", None)  # Which is remembered from TMPDIR.
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert Path(tempfile.gettempdir()) == tmp_path
    picture = photograph(drawn_face(), 1, "PNG") + b" " * 2**21  # Not too small for a file.
    assert [post(CROPPING, server.url, sent)[0] for sent in (picture, b"no picture")] == [200, 422]
    assert list(tmp_path.rglob("*")) == []


def test_the_answer_says_how_long_it_took(
    server: Any, images: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Mock(perf_counter=Mock(side_effect=[1.0, 1.25, 1.75]))
    monkeypatch.setattr(app, "time", clock)
    _, answer = post(MANIFEST, server.url, images[0])
    assert answer["milliseconds"] == {"faces": 250.0, "model": 500.0}


def test_the_model_servers_address_needs_no_scheme(server: Any, images: list[bytes]) -> None:
    status, answer = post(MANIFEST, server.url.removeprefix("http://"), images[0])
    assert (status, answer["version"]) == (200, "7")


def test_no_face_is_no_error(server: Any) -> None:
    gray = cv2.imencode(".png", np.full((60, 90, 3), 128, np.uint8))[1].tobytes()
    status, answer = post(CROPPING, server.url, gray)
    assert (status, answer["faces"]) == (200, [])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"no picture", 422, "no picture: wanted JPEG, PNG or BMP"),
        (b"", 422, "no picture: wanted JPEG, PNG or BMP"),
        (b" " * (MAX_PICTURE_BYTES + 1), 413, "the picture is over 16 MB"),
        (LARGE, 413, "the picture has 3,147,264 pixels: scale it down to 3,145,728"),
    ],
    ids=["text", "nothing", "too many bytes", "too many pixels"],
)
def test_what_is_no_picture_is_said(server: Any, body: bytes, status: int, says: str) -> None:
    assert post(MANIFEST, server.url, body) == (status, {"error": says})


def test_pictures_are_looked_at_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Barrier(2, timeout=0.2)

    def together(*_: Any) -> bool:
        with suppress(BrokenBarrierError):
            two.wait()
        return not two.broken

    async def scenario(client: Any) -> list[bool]:
        responses = await asyncio.gather(*(client.post("/faces", data=b"x") for _ in range(2)))
        return [await response.json() for response in responses]

    monkeypatch.setattr(app, "ask", together)
    assert ask(MANIFEST, "", scenario) == [False, False]


def test_a_model_server_that_is_gone_is_said(images: list[bytes]) -> None:
    status, answer = post(MANIFEST, "http://127.0.0.1:1", images[0])
    assert status == 502
    assert "no server answers" in answer["error"]


def test_a_model_server_with_other_labels_is_said(server: Any, images: list[bytes]) -> None:
    status, answer = post(MANIFEST | {"labels": ["sad", "happy"]}, server.url, images[0])
    assert status == 502
    assert "does not know the labels sad, happy in this order" in answer["error"]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    async def scenario(client: Any) -> Any:
        page = await client.get("/")
        model = await client.get("/model")
        script = await client.get("/static/page.js")
        return page.headers, await page.text(), await model.json(), script.status

    headers, page, model, script = ask(MANIFEST, "", scenario)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "://" not in page
    assert model == {
        "model": "faces",
        "labels": ["happy", "sad", "neutral"],
        "max_pixels": MAX_PIXELS,
    }
    assert script == 200
