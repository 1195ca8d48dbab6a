"""Which server `mien serve` starts, and by which command."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Server = Literal["auto", "embedded", "tf-serving", "docker"]

_BINARY = "tensorflow_model_server"
IMAGE = "tensorflow/serving:2.21.0"
_IMAGE_MACHINES = ("x86_64", "AMD64")
"""The only ones that it is built for."""
_EVERYWHERE = "0.0.0.0"
_DOCKER_SECONDS = 5.0


def server_command(
    model_name: str,
    base_path: Path,
    *,
    server: Server = "auto",
    host: str = "127.0.0.1",
    grpc_port: int = 8500,
    rest_port: int = 8501,
) -> list[str]:
    """Returns the command of a server for the versions under `base_path`.

    `auto` is the first that can be had of: `tensorflow_model_server`, if `host` is 0.0.0.0;
    Docker; the embedded server. `tensorflow_model_server` has no flag for the address, both its
    ports are open to every machine that can reach this one
    (https://github.com/tensorflow/serving/issues/1969), so it is never started for another
    `host`. Docker publishes the ports of its container on `host` alone.

    Raises:
        ValueError: the server that was asked for cannot be had; the message has the cure.
    """
    available, command = _SERVERS[_first_available(host) if server == "auto" else server]
    lack = available(host)
    if lack:
        raise ValueError(lack)
    return command(model_name, base_path, host, grpc_port, rest_port)


def _first_available(host: str) -> str:
    return next(name for name, (available, _) in _SERVERS.items() if not available(host))


def _lacks_tf_serving(host: str) -> str:
    if shutil.which(_BINARY) is None:
        return f"{_BINARY} is not on PATH: install it, or use --server docker or embedded"
    if host != _EVERYWHERE:
        return (
            f"{_BINARY} cannot listen on {host} alone: allow every address with "
            f"--host {_EVERYWHERE}, or use --server docker or embedded"
        )
    return ""


def _lacks_docker(_: str) -> str:
    if platform.machine() not in _IMAGE_MACHINES:
        return f"{IMAGE} is for x86-64 and this is {platform.machine()}: use --server embedded"
    if shutil.which("docker") is None:
        return "docker is not on PATH: install it, or use --server embedded"
    try:
        # The command alone says nothing: without the engine it starts no container.
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=_DOCKER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return "the docker engine does not answer: start it, or use --server embedded"
    return ""


def _lacks_nothing(_: str) -> str:
    return ""


def _tf_serving(
    model_name: str, base_path: Path, _: str, grpc_port: int, rest_port: int
) -> list[str]:
    return [_BINARY, *_flags(model_name, str(base_path.resolve()), grpc_port, rest_port)]


def _docker(
    model_name: str, base_path: Path, host: str, grpc_port: int, rest_port: int
) -> list[str]:
    inside = f"/models/{model_name}"
    return [
        *("docker", "run", "--rm"),
        "--init",  # As process 1 of the container the server would not hear SIGTERM.
        *("--publish", f"{host}:{grpc_port}:8500"),
        *("--publish", f"{host}:{rest_port}:8501"),
        *("--mount", f"type=bind,source={base_path.resolve()},target={inside},readonly"),
        *("--entrypoint", _BINARY),
        IMAGE,
        *_flags(model_name, inside, 8500, 8501),
    ]


def _embedded(
    model_name: str, base_path: Path, host: str, grpc_port: int, rest_port: int
) -> list[str]:
    flags = _flags(model_name, str(base_path.resolve()), grpc_port, rest_port)
    return [sys.executable, "-m", "deploy.server", *flags, f"--host={host}"]


def _flags(model_name: str, base_path: str, grpc_port: int, rest_port: int) -> list[str]:
    return [
        f"--model_name={model_name}",
        f"--model_base_path={base_path}",
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
    ]


Lack = Callable[[str], str]
Command = Callable[[str, Path, str, int, int], list[str]]

# In the order in which `auto` tries them.
_SERVERS: dict[str, tuple[Lack, Command]] = {
    "tf-serving": (_lacks_tf_serving, _tf_serving),
    "docker": (_lacks_docker, _docker),
    "embedded": (_lacks_nothing, _embedded),
}
