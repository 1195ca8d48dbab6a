"""How the server starts, refuses to start, and ends."""

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.file_system_storage_path_source_pb2 import (
    FileSystemStoragePathSourceConfig,
)

from deploy.server.errors import StartError
from deploy.server.servable import Servable
from deploy.server.versions import candidates, verify

Refused = Callable[..., str]
Policy = FileSystemStoragePathSourceConfig.ServableVersionPolicy


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A version directory as the Pusher writes it, with files that no one will load."""
    folder = tmp_path / "3"
    (folder / "variables").mkdir(parents=True)
    contents = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    (folder / "mien_manifest.json").write_text(json.dumps({"files": files}))
    return folder


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_a_taken_port_is_named_with_its_flag(
    refused_start: Refused, version: Path, taken_port: int, flag: str
) -> None:
    ports = {"--port": 0, "--rest_api_port": 0, flag: taken_port}
    line = refused_start(version.parent, *(f"{name}={port}" for name, port in ports.items()))
    assert f"127.0.0.1:{taken_port}" in line
    assert f"with {flag} " in line


def test_a_base_path_without_a_version_is_refused(refused_start: Refused, tmp_path: Path) -> None:
    assert "holds no version" in refused_start(tmp_path)


def test_a_tampered_file_is_refused(refused_start: Refused, version: Path) -> None:
    (version / "variables/variables.index").write_bytes(b"INDEX")
    assert "variables/variables.index is not the file" in refused_start(version.parent)


def test_a_missing_base_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no folder"):
        candidates(tmp_path / "nowhere", Policy())


def test_the_highest_number_is_the_newest_version(version: Path) -> None:
    newest = version.rename(version.parent / "10")
    for name in ("9", "11.partial", "latest", "²"):
        (version.parent / name).mkdir()
    (version.parent / "12").write_text("no folder")
    found, wanted = candidates(version.parent, Policy())
    assert (next(iter(found.items())), wanted) == ((10, newest), 1)


@pytest.mark.parametrize(
    ("policy", "numbers", "wanted"),
    [
        ("latest { num_versions: 2 }", [10, 9, 3], 2),
        ("all {}", [10, 9, 3], 3),
        ("specific { versions: 3 versions: 9 }", [9, 3], 2),
    ],
)
def test_a_policy_says_which_versions_are_wanted(
    version: Path, policy: str, numbers: list[int], wanted: int
) -> None:
    for name in ("9", "10"):
        (version.parent / name).mkdir()
    found, count = candidates(version.parent, text_format.Parse(policy, Policy()))
    assert ([*found], count) == (numbers, wanted)


def test_a_whole_version_verifies(version: Path) -> None:
    verify(version)
    (version / "mien_manifest.json").unlink()
    verify(version)  # a SavedModel of another origin has none


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_a_missing_file_is_refused(version: Path, name: str) -> None:
    (version / name).unlink()
    with pytest.raises(StartError, match=name):
        verify(version)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": {"saved_model.pb": {}}}'])
def test_a_broken_manifest_is_refused(version: Path, text: str) -> None:
    (version / "mien_manifest.json").write_text(text)
    with pytest.raises(StartError, match=r"mien_manifest\.json"):
        verify(version)


def test_what_is_no_saved_model_is_refused(version: Path) -> None:
    with pytest.raises(StartError, match="cannot be loaded, push the model again"):
        Servable.load("faces", version)


def test_missing_variables_are_refused(base_path: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base_path / "7", tmp_path / "7"))
    (folder / "variables/variables.index").unlink()
    with pytest.raises(StartError, match="cannot be loaded"):
        Servable.load("faces", folder)


def test_a_model_that_cannot_be_loaded_ends_the_server_without_a_traceback(
    version: Path,
) -> None:
    run = [sys.executable, "-m", "deploy.server", "--model_name=faces", "--port=0"]
    finished = subprocess.run(
        [*run, f"--model_base_path={version.parent}", "--rest_api_port=0"],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("deploy.server: ")


def test_a_port_that_is_none_is_refused(refused_start: Refused, version: Path) -> None:
    assert "--rest_api_port" in refused_start(version.parent, "--rest_api_port=99999")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(
    start_server: Any, base_path: Path, number: signal.Signals
) -> None:
    with start_server(base_path) as server:
        server.process.send_signal(number)
        assert server.process.wait(60) == 0


def test_the_flags_are_explained() -> None:
    run = [sys.executable, "-m", "deploy.server", "--help"]
    usage = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert "--model_base_path" in usage


def test_it_ends_with_the_process_that_started_it(base_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.server", "--model_name=m", "--stop_at_end_of_stdin"]
    command += [f"--model_base_path={base_path}", "--port=0", "--rest_api_port=0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline().startswith("serving ")
        process.stdin.close()  # as the system does for a killed parent
        assert process.wait(timeout=30) == 0
