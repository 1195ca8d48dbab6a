"""An MLflow server of the test's own, and what stands before it and fails when it is told to."""

import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from deploy.flink.processes import free_ports

Fault = Literal["", "fails", "hangs", "slow", "loses answers"]

SLOW = 1.2
"""Seconds until a slow server answers."""


@contextmanager
def mlflow_server(backend: str, artifacts: Path, log: Path) -> Iterator[str]:
    """Starts `mlflow server` on a free port and gives its address."""
    (port,) = free_ports(1)
    options = ["--backend-store-uri", backend, "--artifacts-destination", str(artifacts)]
    command = [sys.executable, "-m", "mlflow", "server", *options]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=file, stderr=file, cwd=log.parent
        )
        try:
            wait_until_it_answers(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(1200):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    raise AssertionError(f"mlflow server does not answer:\n{log.read_text()[-2000:]}")


class Front:
    """Passes requests on to a server, or fails; down until it is started."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        (self.port,) = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"
        self.fault: Fault = ""
        self.failed = threading.Event()
        self.released = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = False  # What was asked is passed on before it is stopped.
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.released.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = front.fault
            if fault in ("hangs", "slow"):
                front.released.wait(60 if fault == "hangs" else SLOW)
            status, answer = 500, b"it failed"
            if fault != "fails":
                status, answer = self._ask(body)
            if fault == "loses answers":
                status, answer = 500, b"its answer is lost"
            if status == 500:
                front.failed.set()
            with suppress(OSError):  # The client may be gone.
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
            request = urllib.request.Request(
                front.backend + self.path, body or None, headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return response.status, response.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, format: str, *_: object) -> None:
            pass

    return Handler
