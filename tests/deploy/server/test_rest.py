"""The REST API, asked of a real server.

Shapes are those of https://www.tensorflow.org/tfx/serving/api_rest, error texts and status codes
those of tensorflow_serving/util/json_tensor.cc and model_servers/http_server.cc.
"""

import base64
import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

SECONDS = 60


def b64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def post(server: Any, body: Any, verb: str = "predict", version: str = "") -> requests.Response:
    return requests.post(f"{server.model_url}{version}:{verb}", json=body, timeout=SECONDS)


def answer(server: Any, body: Any, verb: str = "predict", version: str = "") -> Any:
    response = post(server, body, verb, version)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("application/json")
    return response.json()


def error(response: requests.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.json().keys() == {"error"}
    return response.json()["error"]


def assert_equal_outputs(row: dict[str, Any], expected: dict[str, Any], position: int) -> None:
    np.testing.assert_array_equal(
        np.float32(row["probabilities"]), expected["probabilities"][position]
    )
    assert row["label"] == expected["label"].numpy()[position].decode()
    assert np.float32(row["score"]) == expected["score"].numpy()[position]


def test_predict_bytes_is_what_the_saved_model_says(
    server: Any, signatures: Any, images: list[bytes]
) -> None:
    rows = answer(server, {"instances": [b64(image) for image in images]})["predictions"]
    expected = signatures["serving_default"](image_bytes=np.array(images, dtype=object))
    assert len(rows) == len(images)
    for position, row in enumerate(rows):
        assert_equal_outputs(row, expected, position)


def test_predict_pixels_is_what_the_saved_model_says(server: Any, signatures: Any) -> None:
    pixels = np.random.default_rng(2).uniform(0, 255, (2, 4, 4, 1)).astype(np.float32)
    body = {"signature_name": "predict_pixels", "instances": pixels.tolist()}
    rows = answer(server, body)["predictions"]
    expected = signatures["predict_pixels"](pixels=pixels)
    for position, row in enumerate(rows):
        assert_equal_outputs(row, expected, position)


def test_row_and_column_format_say_the_same(server: Any, images: list[bytes]) -> None:
    values = [b64(image) for image in images]
    rows = answer(server, {"instances": values})["predictions"]
    columns = answer(server, {"inputs": {"image_bytes": values}})["outputs"]
    assert {name: [row[name] for row in rows] for name in columns} == columns


def test_named_instances_and_a_bare_column_are_read_alike(server: Any, images: list[bytes]) -> None:
    values = [b64(image) for image in images]
    named = answer(server, {"instances": [{"image_bytes": value} for value in values]})
    assert named == answer(server, {"instances": values})
    column = answer(server, {"inputs": values})
    assert column == answer(server, {"inputs": {"image_bytes": values}})


@pytest.mark.parametrize("version", ["", "/versions/7"])
def test_the_documented_half_plus_three(server: Any, version: str) -> None:
    body = {"signature_name": "half_plus_three", "instances": [1.0, 2.0, 5.0]}
    assert answer(server, body, version=version) == {"predictions": [3.5, 4.0, 5.5]}


def test_one_output_goes_without_its_name_in_column_format_too(server: Any) -> None:
    body = {"signature_name": "half_plus_three", "inputs": [1, 2, 5]}
    assert answer(server, body) == {"outputs": [3.5, 4.0, 5.5]}


def test_several_named_tensors_and_binary_outputs(server: Any) -> None:
    rows = [{"tag": "foo", "signal": [1, 2]}, {"tag": b64(b"\xff"), "signal": [3, 4]}]
    assert answer(server, {"signature_name": "named", "instances": rows}) == {
        "predictions": [
            {"tag_bytes": b64(b"foo"), "total": 3},
            {"tag_bytes": b64(b"\xff"), "total": 7},
        ]
    }


def test_numbers_that_are_none_go_in_and_out(server: Any) -> None:
    values = [float("nan"), float("inf"), float("-inf")]
    # requests refuses to write them, as strict JSON does.
    body = '{"signature_name": "half_plus_three", "inputs": [NaN, Infinity, -Infinity]}'
    response = requests.post(f"{server.model_url}:predict", data=body, timeout=SECONDS)
    np.testing.assert_array_equal(response.json()["outputs"], values)


def test_float32_is_answered_in_as_few_digits_as_tf_serving_does(server: Any) -> None:
    body = '{"signature_name": "half_plus_three", "instances": [-5.6, -5.5]}'
    response = requests.post(f"{server.model_url}:predict", data=body, timeout=SECONDS)
    assert response.text == '{\n    "predictions": [0.200000048, 0.25\n    ]\n}'


def test_classify_gives_pairs_of_label_and_score(
    server: Any, signatures: Any, images: list[bytes]
) -> None:
    examples = [{"image/encoded": b64(image)} for image in images]
    body = {"signature_name": "classify", "examples": examples}
    results = answer(server, body, "classify")["results"]
    expected = signatures["serving_default"](image_bytes=np.array(images, dtype=object))
    for pairs, probabilities, label in zip(
        results, expected["probabilities"].numpy(), expected["label"].numpy(), strict=True
    ):
        assert pairs[0][0] == label.decode()
        assert [np.float32(score) for _, score in pairs] == sorted(probabilities, reverse=True)


def test_classify_reads_what_the_examples_share_from_context(
    server: Any, images: list[bytes]
) -> None:
    feature = {"image/encoded": b64(images[0])}
    body = {"signature_name": "classify", "examples": [feature, feature]}
    shared = {"signature_name": "classify", "context": feature, "examples": [{}, {"age": 3}]}
    assert answer(server, shared, "classify") == answer(server, body, "classify")


@pytest.mark.parametrize("version", ["", "/versions/7"])
def test_status_is_the_documented_one(server: Any, version: str) -> None:
    response = requests.get(server.model_url + version, timeout=SECONDS)
    assert response.status_code == 200
    assert response.json() == {
        "model_version_status": [
            {
                "version": "7",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


@pytest.mark.parametrize("version", ["", "/versions/7"])
def test_metadata_describes_the_signatures(server: Any, version: str) -> None:
    metadata = requests.get(f"{server.model_url}{version}/metadata", timeout=SECONDS).json()
    assert metadata["model_spec"] == {"name": "faces", "version": "7", "signature_name": ""}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"
    image = signatures["serving_default"]["inputs"]["image_bytes"]
    assert image["dtype"] == "DT_STRING"
    assert image["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    assert signatures["serving_default"]["outputs"].keys() == {"probabilities", "label", "score"}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "Could not find any versions of model half"),
        ("/versions/3", "Could not find version 3 of model half"),
        ("/metadata", "Servable not found for request: Latest(half)"),
    ],
)
def test_an_unknown_model_is_not_found(server: Any, path: str, says: str) -> None:
    url = f"{server.url}/v1/models/half{path}"
    assert error(requests.get(url, timeout=SECONDS), 404) == says


def test_regressing_by_a_signature_that_cannot_is_said(server: Any) -> None:
    body = {"examples": [{"x": 2.0}]}
    message = error(post(server, body, verb="regress"), 400)
    assert message.startswith('Signature "serving_default" cannot regress')


def test_regress_gives_a_value_an_example(server: Any) -> None:
    body = {"signature_name": "regress", "examples": [{"x": 2.0}, {"x": 5.0}]}
    assert post(server, body, verb="regress").json() == {"results": [4.0, 5.5]}


@pytest.mark.parametrize("path", ["", "/metadata"])
def test_an_unknown_label_is_a_bad_request(server: Any, path: str) -> None:
    url = f"{server.model_url}/labels/stable{path}"
    message = error(requests.get(url, timeout=SECONDS), 400)
    assert message == "Unrecognized servable version label: stable"


def test_a_picture_that_would_fill_the_memory_is_refused(server: Any) -> None:
    bomb = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(bomb, "PNG")
    response = post(server, {"instances": [b64(bomb.getvalue())]})
    assert "A picture is too large" in error(response, 400)


def test_pictures_that_would_fill_the_memory_together_are_refused(server: Any) -> None:
    page = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(page, "PNG")
    response = post(server, {"instances": [b64(page.getvalue())] * 3})
    assert "192,000,000 pixels; at most" in error(response, 400)


def test_a_long_string_among_numbers_costs_no_memory(server: Any) -> None:
    # numpy would make 2,000 strings of 100,000 characters of them: 800 MB.
    pixels = ["a" * 100_000, *["a"] * 2_000]
    response = post(server, {"signature_name": "predict_pixels", "instances": pixels})
    assert "it holds a string" in error(response, 400)


def test_a_compressed_body_is_inflated_and_no_further_than_a_body_may_be(
    server: Any, images: list[bytes]
) -> None:
    url, headers = f"{server.model_url}:predict", {"Content-Encoding": "gzip"}
    body = json.dumps({"instances": [b64(images[0])]}).encode()

    def send(compressed: bytes) -> requests.Response:
        return requests.post(url, data=compressed, headers=headers, timeout=SECONDS)

    assert send(gzip.compress(body)).status_code == 200
    assert "over 32 MiB" in error(send(gzip.compress(bytes(40 * 2**20))), 413)
    assert "cannot be inflated" in error(send(b"no gzip"), 400)


def test_base64_needs_no_padding(server: Any, images: list[bytes]) -> None:
    padded = base64.b64encode(images[0] + b"0" * (1 - len(images[0]) % 3)).decode()
    answers = (post(server, {"instances": [{"b64": text}]}) for text in (padded, padded.strip("=")))
    assert [each.status_code for each in answers] == [200, 200]


def test_one_bad_picture_costs_others_at_the_same_time_nothing(
    server: Any, images: list[bytes]
) -> None:
    def ask(number: int) -> int:
        picture = images[0] if number % 4 else b"no picture"
        return post(server, {"instances": [b64(picture)]}).status_code

    with ThreadPoolExecutor(32) as clients:
        statuses = list(clients.map(ask, range(64)))
    assert statuses == [200 if number % 4 else 400 for number in range(64)]


def test_predicting_with_an_unknown_model_is_the_documented_error(server: Any) -> None:
    url = f"{server.url}/v1/models/half:predict"
    response = requests.post(url, json={"instances": [1.0, 5.0]}, timeout=SECONDS)
    assert error(response, 404) == "Servable not found for request: Latest(half)"


def test_an_unknown_version_is_not_found(server: Any) -> None:
    message = error(post(server, {"instances": ["x"]}, version="/versions/6"), 404)
    assert message == "Servable not found for request: Specific(faces, 6)"


def test_a_version_over_64_bits_is_a_bad_request(server: Any) -> None:
    assert "version" in error(post(server, {}, version="/versions/99999999999999999999"), 400)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b'"x"', b"[" * 100_000, b'{"signature_name": 5}']
)
@pytest.mark.parametrize("verb", ["predict", "classify"])
def test_what_is_no_json_object_is_a_bad_request(server: Any, verb: str, body: bytes) -> None:
    error(requests.post(f"{server.model_url}:{verb}", data=body, timeout=SECONDS), 400)


PIXELS = {"signature_name": "predict_pixels"}
NAMED = {"signature_name": "named"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "'instances' or 'inputs'"),
        ({"instances": ["x"], "inputs": ["x"]}, "not both"),
        ({"instances": []}, "one value or more"),
        ({"instances": "x"}, "must be a list"),
        ({"instances": ["x"], "signature_name": "nope"}, '"nope" not found'),
        ({"inputs": {"pixels": ["x"]}}, "Missing named input: image_bytes"),
        ({"instances": [{"pixels": "x"}]}, "keys must be equal to: image_bytes"),
        ({"instances": [{"image_bytes": "x"}, "y"]}, "element: 1"),
        ({"instances": [5]}, "not of type string"),
        ({"instances": [{"b64": "not base64!"}]}, "base64"),
        ({"instances": [["x"], ["y", "z"]]}, "differ in length"),
        ({"instances": [["x"]]}, "shape"),
        ({**PIXELS, "instances": [[1, 2], [3]]}, "not of type float32"),
        ({**PIXELS, "instances": [["1"]]}, "not of type float32"),
        ({**PIXELS, "instances": [None]}, "not of type float32"),
        ({**PIXELS, "instances": [1e300]}, "does not fit"),
        ({**PIXELS, "instances": [[[[1.0]]]]}, "shape"),
        ({**NAMED, "instances": ["x"]}, "must name its tensors"),
        ({**NAMED, "inputs": {"tag": ["x"], "signal": [[1.5]]}}, "not of type int64"),
    ],
)
def test_inputs_that_do_not_fit_are_a_bad_request(server: Any, body: Any, says: str) -> None:
    assert says in error(post(server, body), 400)


def test_an_image_that_cannot_be_decoded_is_a_bad_request(server: Any) -> None:
    message = error(post(server, {"instances": [b64(b"no image")]}), 400)
    assert message.startswith("Unknown image file format.")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"signature_name": "classify"}, "'examples'"),
        ({"signature_name": "classify", "examples": []}, "'examples'"),
        ({"signature_name": "classify", "examples": ["x"]}, "object"),
        ({"signature_name": "classify", "examples": [{"a": [1, "x"]}]}, "feature: a"),
        ({"signature_name": "classify", "examples": [{}]}, "image/encoded"),
        ({"signature_name": "nope", "examples": [{}]}, "nope"),
        ({"signature_name": "\ud800", "examples": [{}]}, "no Unicode"),
        ({"signature_name": "classify", "examples": [{"\ud800": 1}]}, "no Unicode"),
        ({"examples": [{}]}, '"serving_default" cannot classify'),
    ],
)
def test_examples_that_do_not_fit_are_a_bad_request(server: Any, body: Any, says: str) -> None:
    assert says in error(post(server, body, "classify"), 400)


def test_a_body_over_32_mib_is_refused(server: Any) -> None:
    body = b" " * (32 * 2**20 + 1)
    response = requests.post(f"{server.model_url}:predict", data=body, timeout=SECONDS)
    assert "32 MiB" in error(response, 413)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/faces:guess", "/v1/x"])
def test_an_unknown_path_of_the_api_is_a_bad_request(server: Any, path: str) -> None:
    message = error(requests.get(server.url + path, timeout=SECONDS), 400)
    assert message == f"Malformed request: GET {path}"


def test_an_unknown_path_beside_the_api_is_not_found(server: Any) -> None:
    error(requests.get(f"{server.url}/", timeout=SECONDS), 404)
