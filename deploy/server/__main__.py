"""Starts the embedded server: `python -m deploy.server --model_name=NAME --model_base_path=DIR`.

It takes the flags of `tensorflow_model_server`, and `--host`, and serves the newest version.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

# Both libraries read these when they are imported. gRPC would log a port that it cannot have, which
# this module says in a line of its own; TensorFlow, that it was built for many kinds of processors.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import grpc
from aiohttp import web

from components.common.quiet import output_to
from deploy.server.errors import StartError
from deploy.server.limits import MAX_MESSAGE_BYTES
from deploy.server.versions import newest_version

_GRACE_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status."""
    flags = _parse(argv)
    if flags.stop_at_end_of_stdin:
        threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
    # Ctrl-C ends it at once, with no traceback, while the model loads; later it is _stop_event's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        asyncio.run(_serve(flags, newest_version(flags.model_base_path)))
    except StartError as error:
        print(f"deploy.server: {error}", file=sys.stderr)
        return 1
    return 0


def _stop_at_end_of_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m deploy.server", description=__doc__)
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--model_base_path", required=True, type=Path)
    parser.add_argument("--port", type=int, default=8500, help="gRPC port, 0 for a free one")
    parser.add_argument("--rest_api_port", type=int, default=8501, help="0 for a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--stop_at_end_of_stdin",
        action="store_true",
        help="ends with the process that started it, however that one ends",
    )
    return parser.parse_args(argv)


async def _serve(flags: argparse.Namespace, folder: Path) -> None:
    # The ports before the model: a taken port is told at once, not after TensorFlow's import. Who
    # connects in between waits.
    rest_socket = _bind_rest(flags.host, flags.rest_api_port)
    grpc_server, grpc_port = _bind_grpc(flags.host, flags.port)
    try:
        runner = await _start(flags.model_name, folder, rest_socket, grpc_server)
        stop = _stop_event()
        print(
            f"serving {flags.model_name} version {int(folder.name)}: "
            f"REST http://{_address(flags.host, rest_socket.getsockname()[1])}, "
            f"gRPC {_address(flags.host, grpc_port)}",
            flush=True,
        )
        await stop.wait()
        await runner.cleanup()
    finally:
        await grpc_server.stop(_GRACE_SECONDS)


async def _start(
    name: str, folder: Path, rest_socket: socket.socket, grpc_server: grpc.aio.Server
) -> web.AppRunner:
    with output_to(Path(os.devnull)):
        # These three import TensorFlow.
        from deploy.server.grpc_service import add_services
        from deploy.server.rest import application
        from deploy.server.servable import Servable

        servable = Servable.load(name, folder)
    await add_services(grpc_server, servable)
    await grpc_server.start()
    runner = web.AppRunner(application(servable), access_log=None, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    await web.SockSite(runner, rest_socket).start()
    return runner


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _bind_rest(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise _taken(host, port, "--rest_api_port") from error


def _bind_grpc(host: str, port: int) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Else Linux lets two servers share a port, and each gets some of the requests.
            ("grpc.so_reuseport", 0),
        ]
    )
    try:
        return server, server.add_insecure_port(_address(host, port))
    except RuntimeError as error:
        raise _taken(host, port, "--port") from error


def _taken(host: str, port: int, flag: str) -> StartError:
    return StartError(
        f"cannot listen on {_address(host, port)}: the port is taken or the address is "
        f"not this machine's; choose another port with {flag} (0 for a free one) or another --host"
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
