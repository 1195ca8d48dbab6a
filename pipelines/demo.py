"""`mien demo`: the page, and a model server of its own where none is named."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import UsageError

_READY = re.compile(r"serving .*: REST (http://\S+), gRPC \S+\n")


@contextmanager
def model_server(name: str, base_path: Path) -> Iterator[str]:
    """Runs the embedded server on free ports for the length of the block; gives its REST address.

    Raises:
        UsageError: it did not start; it has said why.
    """
    command = [
        *(sys.executable, "-m", "deploy.server"),
        f"--model_name={name}",
        f"--model_base_path={base_path}",
        "--port=0",
        "--rest_api_port=0",
        "--stop_at_end_of_stdin",
    ]
    pipe = subprocess.PIPE
    # In a session of its own Ctrl-C does not reach it: it ends with the block.
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as process:
        ready = _READY.fullmatch(process.stdout.readline() if process.stdout else "")
        if not ready:
            raise UsageError("the model server did not start")
        try:
            yield ready[1]
        finally:
            process.terminate()


def show_page(
    manifest: Mapping[str, Any],
    url: str,
    *,
    host: str,
    port: int,
    tell: Callable[[str], None],
) -> None:
    """Serves the demo page until Ctrl-C.

    Args:
        manifest: of the served model.
        url: the model server's REST address.
        host: the address to listen on.
        port: the page's.
        tell: is told once where the page is.
    """
    from aiohttp import web

    from deploy.demo.app import application

    where = f"http://{host}:{port}"
    web.run_app(
        application(manifest, url),
        host=host,
        port=port,
        print=lambda *_: tell(f"demo of {manifest['model']}: {where} (Ctrl-C ends it)"),
        access_log=None,
    )
