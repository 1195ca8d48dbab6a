"""The model server, run as a process for as long as it is needed.

By its command, since components know nothing of deploy.
"""

import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

START_SECONDS = 120.0
_READY = re.compile(r"serving .*: REST (http://\S+), gRPC (\S+)\n")


class ServerDidNotStartError(RuntimeError):
    """The server ended, or was not ready in time."""


class ModelServer(NamedTuple):
    """Where a server answers.

    Attributes:
        rest: the URL of its REST API.
        grpc: host and port.
    """

    rest: str
    grpc: str


@contextmanager
def model_server(name: str, base_path: Path, log: IO[str] | None = None) -> Iterator[ModelServer]:
    """Runs the embedded server on free ports of 127.0.0.1 for the length of the block.

    Not `tensorflow_model_server`, which takes the same flags but listens on every address.

    Args:
        name: under which the model is served.
        base_path: of its versions.
        log: a file that takes what the server says; None: it says it where this process does.

    Raises:
        ServerDidNotStartError: it has said why.
    """
    command = [
        *(sys.executable, "-m", "deploy.server"),
        f"--model_name={name}",
        f"--model_base_path={base_path}",
        "--port=0",
        "--rest_api_port=0",
        "--stop_at_end_of_stdin",  # and so with this process, however it ends
    ]
    pipe = subprocess.PIPE
    # In a session of its own Ctrl-C does not reach it: it ends with the block.
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=log, text=True, start_new_session=True
    ) as process:
        try:
            yield _wait_until_ready(process)
        finally:
            process.kill()  # It holds nothing that a slow goodbye would save.


def _wait_until_ready(process: subprocess.Popen[str]) -> ModelServer:
    assert process.stdout
    said, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    ready = _READY.fullmatch(process.stdout.readline() if said else "")
    if not ready:
        raise ServerDidNotStartError("the model server did not start")
    return ModelServer(*ready.groups())
