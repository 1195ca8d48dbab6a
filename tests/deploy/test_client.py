import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest

from deploy.client import Prediction, ServerError, newest_version, predict

LABELS = ("happy", "sad", "neutral")
"""Of the model that the server has."""


def test_predictions_are_the_saved_models(
    server: Any, signatures: Any, images: list[bytes]
) -> None:
    predictions = predict(images, url=server.url, model="faces")
    outputs = signatures["serving_default"](image_bytes=np.array(images, dtype=object))
    assert [each.label.encode() for each in predictions] == outputs["label"].numpy().tolist()
    assert [np.float32(each.score) for each in predictions] == outputs["score"].numpy().tolist()
    np.testing.assert_array_equal(
        np.float32([each.probabilities for each in predictions]), outputs["probabilities"]
    )


def test_no_images_no_question() -> None:
    assert predict([], url="http://127.0.0.1:1", model="faces") == []


def test_no_server_is_said_with_the_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with pytest.raises(ServerError) as caught:
        predict([b"x"], url=url, model="faces")
    assert str(caught.value) == f"no server answers at {url}: start one with `mien serve`"


def test_a_server_that_is_silent_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ServerError, match=r"did not answer in 0\.1 s"):
            predict([b"x"], url=url, model="faces", timeout=0.1)


def test_an_unknown_model_is_named(server: Any) -> None:
    with pytest.raises(ServerError, match="has no model half: `mien serve half` starts one"):
        predict([b"x"], url=server.url, model="half")


def test_the_labels_that_the_model_has_change_nothing(server: Any, images: list[bytes]) -> None:
    known = predict(images, url=server.url, model="faces", labels=LABELS)
    assert known == predict(images, url=server.url, model="faces")


@pytest.mark.parametrize(
    "labels", [LABELS[:2], (*LABELS, "angry"), (*LABELS[1:], LABELS[0]), ("a", "b", "c")]
)
def test_a_version_with_other_labels_is_said(
    server: Any, images: list[bytes], labels: tuple[str, ...]
) -> None:
    with pytest.raises(ServerError) as caught:
        predict(images, url=server.url, model="faces", labels=labels)
    assert str(caught.value) == (
        f"version 7 of faces, which the server at {server.url} has, "
        f"does not know the labels {', '.join(labels)} in this order: "
        "push the version that is here there too, or give the url of a server that has it"
    )


def test_an_image_that_cannot_be_decoded_is_said(server: Any, images: list[bytes]) -> None:
    with pytest.raises(ServerError, match="cannot read an image") as caught:
        predict([images[0], b"no image"], url=server.url, model="faces")
    assert "\n" not in str(caught.value)


def test_images_that_are_too_large_are_said(server: Any) -> None:
    with pytest.raises(ServerError, match="too large"):
        predict([b" " * (32 * 2**20)], url=server.url, model="faces")


def test_large_images_go_a_few_at_a_time(server: Any, images: list[bytes]) -> None:
    # What follows the end of a PNG counts for nothing but its size.
    large = [image + b" " * 9 * 2**20 for image in images]
    predictions = predict(large, url=server.url, model="faces")
    assert predictions == predict(images, url=server.url, model="faces")


@pytest.mark.parametrize("form", ["{host}", "{host}/", "http://{host}", "http://{host}/"])
def test_an_address_may_be_without_its_scheme_and_with_a_slash(
    server: Any, images: list[bytes], form: str
) -> None:
    url = form.format(host=server.url.removeprefix("http://"))
    assert len(predict(images, url=url, model="faces")) == len(images)
    assert newest_version("faces", url=url) == "7"


def test_a_server_that_says_no_version_is_said(server: Any) -> None:
    with pytest.raises(ServerError, match="does not say which version it serves"):
        newest_version("half", url=server.url)


class Stranger(BaseHTTPRequestHandler):
    """A server of something else, and a proxy to nowhere."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_a_server_of_something_else_is_said() -> None:
    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        Thread(target=stranger.handle_request).start()
        url = f"http://127.0.0.1:{stranger.server_port}"
        with pytest.raises(ServerError, match="no model of mien"):
            predict([b"x"], url=url, model="faces")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """What HTTP_PROXY names, as on a company's machine."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Stranger) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.usefixtures("proxy")
def test_this_machine_is_asked_without_a_proxy(server: Any, images: list[bytes], host: str) -> None:
    url = server.url.replace("127.0.0.1", host)
    assert len(predict(images, url=url, model="faces")) == len(images)
    assert newest_version("faces", url=url) == "7"


@pytest.mark.usefixtures("proxy")
def test_another_machine_is_asked_by_the_proxy() -> None:
    with pytest.raises(ServerError, match="no model of mien"):
        predict([b"x"], url="faces.example:8501", model="faces")
    assert Stranger.asked[-1] == "http://faces.example:8501/v1/models/faces:predict"


def test_the_client_is_light() -> None:
    program = (
        "import sys, deploy.client, deploy.serve; "
        "print(sorted({'tensorflow', 'numpy', 'grpc', 'aiohttp'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "[]\n"


class Busy(BaseHTTPRequestHandler):
    """A server that refuses the first request, and then answers one of two rows at most."""

    asked: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(len(body["instances"]))
        row = {"label": "sad", "score": 0.5, "probabilities": [0.5, 0.5]}
        answer = json.dumps({"predictions": [row] * len(body["instances"])}).encode()
        self.send_response(429 if len(self.asked) == 1 else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_a_busy_server_is_asked_again_and_many_images_in_batches() -> None:
    with HTTPServer(("127.0.0.1", 0), Busy) as busy:
        Thread(target=busy.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{busy.server_port}"
        predictions = predict([b"x"] * 5, url=url, model="faces", batch_size=2)
        busy.shutdown()
    assert [each.label for each in predictions] == ["sad"] * 5
    assert Busy.asked == [2, 2, 2, 1]


def test_a_prediction_is_a_value() -> None:
    assert Prediction("sad", 0.5, (0.5, 0.5)) == Prediction("sad", 0.5, (0.5, 0.5))
