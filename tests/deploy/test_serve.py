import platform
import sys
from pathlib import Path

import pytest

from deploy.serve import IMAGE, server_command

FLAGS = ["--model_name=faces", "--port=8500", "--rest_api_port=8501"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, of a machine that TF Serving's image is for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(programs: Path, name: str, status: int = 0) -> None:
    program = programs / name
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o755)


def test_the_embedded_server_is_there_always(programs: Path, tmp_path: Path) -> None:
    command = server_command("faces", tmp_path)
    assert command[:3] == [sys.executable, "-m", "deploy.server"]
    assert command[3:] == [
        "--model_name=faces",
        f"--model_base_path={tmp_path}",
        "--port=8500",
        "--rest_api_port=8501",
        "--host=127.0.0.1",
    ]


def test_docker_goes_before_the_embedded_server(programs: Path, tmp_path: Path) -> None:
    install(programs, "docker")
    command = server_command("faces", tmp_path, grpc_port=9000, rest_port=9001)
    assert command[:2] == ["docker", "run"]
    assert "127.0.0.1:9000:8500" in command
    assert "127.0.0.1:9001:8501" in command
    assert f"type=bind,source={tmp_path},target=/models/faces,readonly" in command
    flags = command[command.index(IMAGE) + 1 :]
    assert set(FLAGS) | {"--model_base_path=/models/faces"} == set(flags)


def test_docker_without_its_engine_is_passed_over(programs: Path, tmp_path: Path) -> None:
    install(programs, "docker", status=1)
    assert server_command("faces", tmp_path)[0] == sys.executable
    with pytest.raises(ValueError, match="engine does not answer: start it"):
        server_command("faces", tmp_path, server="docker")


def test_docker_is_passed_over_where_the_image_is_for_other_machines(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(programs, "docker")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert server_command("faces", tmp_path)[0] == sys.executable
    with pytest.raises(ValueError, match="for x86-64 and this is aarch64: use --server embedded"):
        server_command("faces", tmp_path, server="docker")


def test_tf_serving_goes_first_where_every_address_is_allowed(
    programs: Path, tmp_path: Path
) -> None:
    install(programs, "docker")
    install(programs, "tensorflow_model_server")
    command = server_command("faces", tmp_path, host="0.0.0.0")
    assert command[0] == "tensorflow_model_server"
    assert set(FLAGS) | {f"--model_base_path={tmp_path}"} == set(command[1:])


def test_tf_serving_is_not_opened_to_the_world_unasked(programs: Path, tmp_path: Path) -> None:
    install(programs, "tensorflow_model_server")
    assert server_command("faces", tmp_path)[0] == sys.executable
    with pytest.raises(ValueError, match=r"--host 0\.0\.0\.0"):
        server_command("faces", tmp_path, server="tf-serving")


@pytest.mark.parametrize("server", ["tf-serving", "docker"])
def test_a_server_that_is_not_there_is_said_with_the_cure(
    programs: Path, tmp_path: Path, server: str
) -> None:
    with pytest.raises(ValueError, match=r"not on PATH: install it, or use --server"):
        server_command("faces", tmp_path, server=server)
