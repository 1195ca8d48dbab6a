"""What a network does to a server: many clients, slow ones, vanished ones, and nonsense."""

import base64
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

SECONDS = 60

FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["instances", "inputs", "signature_name", "b64", "examples", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def connect(server: Any) -> socket.socket:
    where = urlsplit(server.url)
    return socket.create_connection((where.hostname, where.port), timeout=SECONDS)


def metric(server: Any, name: str) -> float:
    page = requests.get(f"{server.url}/monitoring/prometheus/metrics", timeout=SECONDS).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found
    return float(found[1])


def body(images: list[bytes]) -> bytes:
    instances = [{"b64": base64.b64encode(image).decode()} for image in images]
    return json.dumps({"instances": instances}).encode()


def head(content: bytes) -> bytes:
    return (
        "POST /v1/models/faces:predict HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode()


@pytest.fixture
def unharmed(server: Any, images: list[bytes]) -> Iterator[None]:
    """After the test the server answers as before it, and nothing waits."""
    yield
    url = f"{server.model_url}:predict"
    assert requests.post(url, data=body(images), timeout=SECONDS).status_code == 200
    assert metric(server, ":mien:rows_waiting") == 0
    assert server.process.poll() is None


@pytest.mark.usefixtures("unharmed")
def test_a_thousand_connections_keep_no_one_from_an_answer(
    server: Any, images: list[bytes]
) -> None:
    content = body(images)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(server)) for _ in range(1_000)]
        for connection in connections[::10]:
            connection.sendall(head(content) + content)
        for connection in connections[::10]:
            assert connection.recv(64).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("unharmed")
def test_a_slow_client_is_waited_for_and_holds_up_no_other(
    server: Any, images: list[bytes]
) -> None:
    content = body(images)
    with connect(server) as slow:
        slow.sendall(head(content) + content[:10])
        other = requests.post(f"{server.model_url}:predict", data=content, timeout=SECONDS)
        assert other.status_code == 200
        slow.sendall(content[10:])
        assert slow.recv(64).startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("unharmed")
def test_who_hangs_up_leaves_nothing_behind(server: Any, images: list[bytes]) -> None:
    content = body(images)
    requests.post(f"{server.model_url}:predict", data=content, timeout=SECONDS)
    before = metric(server, "process_open_fds")
    for sent in (head(content), head(content) + content[:100], head(content) + content):
        for _ in range(50):
            with connect(server) as connection:
                connection.sendall(sent)
    requests.post(f"{server.model_url}:predict", data=content, timeout=SECONDS)
    for _ in range(1_000):  # until it has seen the last of them go
        if metric(server, "process_open_fds") <= before + 5:
            break
    assert metric(server, "process_open_fds") <= before + 5


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("verb", ["predict", "classify", "regress"])
def test_no_json_is_more_than_a_bad_request(server: Any, verb: str) -> None:
    with requests.Session() as session:

        @FUZZ
        @given(JSON)
        def ask(value: Any) -> None:
            content = json.dumps(value)
            answer = session.post(f"{server.model_url}:{verb}", data=content, timeout=SECONDS)
            assert answer.status_code in (200, 400), (content, answer.text)

        ask()


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("path", ["/v1/models/faces:predict", "/v2/models/faces/infer"])
def test_no_bytes_are_more_than_a_bad_request(server: Any, path: str) -> None:
    with requests.Session() as session:

        @FUZZ
        @given(st.binary(max_size=200))
        def ask(content: bytes) -> None:
            answer = session.post(f"{server.url}{path}", data=content, timeout=SECONDS)
            assert answer.status_code == 400, (content, answer.text)

        ask()


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("method", ["Predict", "Classify", "Regress", "GetModelMetadata"])
def test_no_message_breaks_the_grpc_service(server: Any, method: str) -> None:
    allowed = {
        grpc.StatusCode.OK,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
    model = b"\n\x07\n\x05faces"  # model_spec { name: "faces" }
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")

        @FUZZ
        @given(st.binary(max_size=100), st.booleans())
        def ask(content: bytes, with_model: bool) -> None:
            answer = call.future(model + content if with_model else content, timeout=SECONDS)
            # gRPC's own words of bytes that are no such message.
            is_none = "DecodeError" in answer.details() or "Error parsing" in answer.details()
            assert is_none or answer.code() in allowed, (content, answer.details())

        ask()


TENSORS = st.builds(
    lambda dtype, sizes, content, strings, floats: TensorProto(
        dtype=dtype,
        tensor_shape={"dim": [{"size": size} for size in sizes]},
        tensor_content=content,
        string_val=strings,
        float_val=floats,
    ),
    st.sampled_from([0, 1, 3, 7, 9, 10, 20, 101]),
    st.lists(st.sampled_from([-1, 0, 1, 3, 48, 33_000_000, 2**40]), max_size=4),
    st.binary(max_size=16),
    st.lists(st.binary(max_size=8), max_size=3),
    st.lists(st.floats(width=32), max_size=3),
)


@pytest.mark.usefixtures("unharmed")
def test_no_tensor_takes_longer_than_its_bytes_are_worth(server: Any) -> None:
    allowed = {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
    with grpc.insecure_channel(server.grpc_address) as channel:
        predict = PredictionServiceStub(channel).Predict

        @FUZZ
        @given(st.sampled_from(["", "predict_pixels", "named"]), TENSORS)
        def ask(signature: str, tensor: TensorProto) -> None:
            spec = ModelSpec(name="faces", signature_name=signature)
            names = {"": "image_bytes", "predict_pixels": "pixels", "named": "signal"}
            request = PredictRequest(model_spec=spec, inputs={names[signature]: tensor})
            answer = predict.future(request, timeout=5)
            assert answer.code() in allowed, (request, answer.details())

        ask()


@pytest.mark.usefixtures("unharmed")
def test_no_inference_request_is_more_than_a_bad_one(server: Any) -> None:
    keys = ["inputs", "outputs", "parameters", "name", "shape", "datatype", "data", "id"]
    values = st.recursive(
        st.none() | st.integers() | st.sampled_from(["image_bytes", "BYTES", "label", "x"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=5)
        ),
        max_leaves=15,
    )
    with requests.Session() as session:

        @FUZZ
        @given(st.dictionaries(st.sampled_from(keys), values, max_size=4))
        def ask(body: dict[str, Any]) -> None:
            url = f"{server.url}/v2/models/faces/infer"
            answer = session.post(url, json=body, timeout=SECONDS)
            assert answer.status_code in (200, 400), (body, answer.text)

        ask()
