"""A real server while its versions and its config change."""

import base64
import io
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from components.common.files import file_digests, write_json

SECONDS = 60
POLL = "--file_system_poll_wait_seconds=0.1"


@pytest.fixture
def folder(base_path: Path, tmp_path: Path) -> Path:
    """A base path of one's own, with the tiny model as version 7."""
    shutil.copytree(base_path / "7", tmp_path / "faces" / "7")
    return tmp_path / "faces"


@pytest.fixture
def server(folder: Path, start_server: Callable[..., Any]) -> Iterator[Any]:
    with start_server(folder, POLL) as server:
        yield server


def publish(folder: Path, number: int, *, tampered: bool = False) -> None:
    """As the Pusher does: whole, under its name at once, with a manifest."""
    incoming = folder / ".incoming"
    shutil.copytree(folder / "7", incoming)
    write_json(incoming / "mien_manifest.json", {"files": file_digests(incoming)})
    if tampered:
        (incoming / "saved_model.pb").write_bytes(b"")
    incoming.rename(folder / str(number))


def metrics(server: Any) -> str:
    return requests.get(f"{server.url}/monitoring/prometheus/metrics", timeout=SECONDS).text


def statuses(server: Any) -> dict[str, str]:
    answer = requests.get(server.model_url, timeout=SECONDS).json()
    return {one["version"]: one["state"] for one in answer["model_version_status"]}


def wait_until(server: Any, expected: dict[str, str]) -> None:
    """Asks again until it is so; the test's own time limit ends it."""
    for _ in range(10_000):
        if statuses(server) == expected:
            return
    raise AssertionError(statuses(server))


def test_a_new_version_is_swapped_in_without_a_failed_request(
    server: Any, folder: Path, images: list[bytes]
) -> None:
    body = {"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}
    over = threading.Event()

    def ask(_: int) -> set[int]:
        with requests.Session() as session:
            seen = set()
            while not over.is_set():
                answer = session.post(f"{server.model_url}:predict", json=body, timeout=SECONDS)
                seen.add(answer.status_code)
            return seen

    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask, number) for number in range(4)]
        try:
            publish(folder, 8)
            wait_until(server, {"8": "AVAILABLE", "7": "END"})
        finally:
            over.set()
    assert [future.result() for future in asked] == [{200}] * 4


def test_what_was_taken_is_answered_before_it_ends(server: Any) -> None:
    page = io.BytesIO()
    Image.new("L", (3_000, 3_000)).save(page, "PNG")
    body = {"instances": [{"b64": base64.b64encode(page.getvalue()).decode()}]}

    def ask(_: int) -> int:
        return requests.post(f"{server.model_url}:predict", json=body, timeout=SECONDS).status_code

    with ThreadPoolExecutor(12) as clients:
        asked = [clients.submit(ask, number) for number in range(12)]
        while ":mien:rows_waiting 0.0" in metrics(server):
            assert not all(future.done() for future in asked)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(SECONDS) == 0
    answers = [future for future in asked if not future.exception()]
    # The tiny model does not resize, and says so of a picture when it is decoded.
    assert {future.result() for future in answers} == {400}


def test_a_tampered_version_is_refused_and_the_one_before_is_served(
    server: Any, folder: Path
) -> None:
    publish(folder, 8, tampered=True)
    wait_until(server, {"8": "END", "7": "AVAILABLE"})
    refused = requests.get(f"{server.model_url}/versions/8", timeout=SECONDS).json()
    (status,) = refused["model_version_status"]
    assert "is not the file that mien_manifest.json describes" in status["status"]["error_message"]
    assert requests.get(f"{server.url}/v2/health/ready", timeout=SECONDS).ok


CONFIG = """
model_config_list {{
  config {{ name: "faces" base_path: "{folder}" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 7 versions: 8 }} }}
    version_labels {{ key: "stable" value: 7 }} version_labels {{ key: "canary" value: 8 }} }}
  config {{ name: "smiles" base_path: "{folder}" model_platform: "tensorflow" }}
}}
"""


def test_a_config_is_reloaded_by_grpc_with_labels_and_another_model(
    server: Any, folder: Path
) -> None:
    publish(folder, 8)
    config = text_format.Parse(CONFIG.format(folder=folder), ModelServerConfig())
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = ModelServiceStub(channel)
        response = stub.HandleReloadConfigRequest(
            ReloadConfigRequest(config=config), timeout=SECONDS
        )
        with pytest.raises(grpc.RpcError) as refused:
            stub.HandleReloadConfigRequest(ReloadConfigRequest(), timeout=SECONDS)
        config.model_config_list.config[0].model_version_policy.specific.versions.append(99)
        with pytest.raises(grpc.RpcError) as missing:
            stub.HandleReloadConfigRequest(ReloadConfigRequest(config=config), timeout=SECONDS)
    assert missing.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert missing.value.details() == "faces version 99 is not served"
    assert response.status.error_code == 0
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    for label, version in (("stable", "7"), ("canary", "8")):
        url = f"{server.model_url}/labels/{label}/metadata"
        assert requests.get(url, timeout=SECONDS).json()["model_spec"]["version"] == version
    assert requests.get(f"{server.url}/v1/models/smiles", timeout=SECONDS).ok


def test_models_config_and_batching_parameters_are_read_at_start(
    folder: Path, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "models.config").write_text(CONFIG.format(folder=folder))
    (tmp_path / "batching.txt").write_text("max_batch_size { value: 16 }")
    flags = ("--model_config_file=", "--batching_parameters_file=")
    paths = (tmp_path / "models.config", tmp_path / "batching.txt")
    with start_server(folder, *map("{}{}".format, flags, paths), "--enable_batching") as server:
        assert statuses(server) == {"7": "AVAILABLE"}
        assert requests.get(f"{server.model_url}/labels/stable", timeout=SECONDS).ok


def test_a_recorded_request_that_cannot_be_answered_refuses_the_version(
    folder: Path, refused_start: Callable[..., str]
) -> None:
    records = folder / "7" / "assets.extra" / "tf_serving_warmup_requests"
    records.parent.mkdir()
    log = PredictionLog()
    log.predict_log.request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([b"no picture"]))
    with tf.io.TFRecordWriter(str(records)) as writer:
        writer.write(log.SerializeToString())
    assert "cannot warm up" in refused_start(folder, "--port=0", "--rest_api_port=0")
