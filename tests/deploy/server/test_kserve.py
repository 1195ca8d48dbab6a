"""KServe's protocol, asked of the real server."""

import base64
from typing import Any

import numpy as np
import pytest
import requests

SECONDS = 60


def infer(server: Any, body: Any, model: str = "faces") -> requests.Response:
    return requests.post(f"{server.url}/v2/models/{model}/infer", json=body, timeout=SECONDS)


def tensor(images: list[bytes], **more: Any) -> dict[str, Any]:
    data = [base64.b64encode(image).decode() for image in images]
    return {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [len(images)],
        "data": data,
        "parameters": {"content_type": "base64"},
    } | more


@pytest.mark.parametrize("path", ["health/live", "health/ready", "models/faces/ready"])
def test_it_is_ready(server: Any, path: str) -> None:
    assert requests.get(f"{server.url}/v2/{path}", timeout=SECONDS).status_code == 200


def test_an_unknown_model_is_not_ready(server: Any) -> None:
    assert requests.get(f"{server.url}/v2/models/half/ready", timeout=SECONDS).status_code == 404


def test_metadata_says_what_goes_in_and_out(server: Any) -> None:
    described = requests.get(f"{server.url}/v2/models/faces", timeout=SECONDS).json()
    assert described["versions"] == ["7"]
    assert described["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    probabilities = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    assert probabilities in described["outputs"]


def test_pictures_are_answered_as_the_saved_model_does(
    server: Any, images: list[bytes], signatures: Any
) -> None:
    answer = infer(server, {"id": "a", "inputs": [tensor(images)]}).json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("a", "faces", "7")
    outputs = {output["name"]: output for output in answer["outputs"]}
    expected = signatures["serving_default"](image_bytes=np.array(images, dtype=object))
    assert outputs["probabilities"]["shape"] == [3, 3]
    np.testing.assert_array_equal(
        np.float32(outputs["probabilities"]["data"]), expected["probabilities"].numpy().ravel()
    )
    assert outputs["label"]["data"] == [label.decode() for label in expected["label"].numpy()]


def test_another_signature_and_one_output_of_it(server: Any) -> None:
    pixels = {"name": "pixels", "datatype": "FP32", "shape": [1, 4, 4, 1], "data": [128.0] * 16}
    body = {
        "inputs": [pixels],
        "outputs": [{"name": "score"}],
        "parameters": {"signature_name": "predict_pixels"},
    }
    (output,) = infer(server, body).json()["outputs"]
    assert (output["name"], output["shape"]) == ("score", [1])
    assert 1 / 3 <= output["data"][0] <= 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "not as the protocol has it"),
        ({"inputs": [3]}, "not as the protocol has it"),
        ({"inputs": [tensor([b"x"], name="face")]}, "there is no input face"),
        ({"inputs": [tensor([b"x"], datatype="FP32")]}, "is of datatype BYTES"),
        ({"inputs": [tensor([b"x"], shape=[2])]}, "has 1 values, and the shape [2]"),
        ({"inputs": [tensor([b"x"], data=["?"])]}, "no base64"),
        ({"inputs": [tensor([b"x"])]}, "DecodeImage"),
    ],
)
def test_what_does_not_fit_is_a_bad_request(server: Any, body: Any, says: str) -> None:
    response = infer(server, body)
    assert response.status_code == 400
    assert says in response.json()["error"]
