"""Starts the embedded server: `python -m deploy.server --model_name=NAME --model_base_path=DIR`.

It takes the flags of `tensorflow_model_server`, and `--host`; it serves the newest version, and a
newer one as soon as there is one, or what `--model_config_file` says.
"""

import argparse
import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

# Both libraries read these when they are imported. gRPC would log a port that it cannot have, which
# this module says in a line of its own; TensorFlow, that it was built for many kinds of processors.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import grpc
from aiohttp import web
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from components.common.quiet import output_to
from deploy.server.configs import Batching, one_model, read_batching, read_models
from deploy.server.errors import StartError
from deploy.server.limits import MAX_CALLS_AT_ONCE, MAX_MESSAGE_BYTES, MAX_SECONDS_IDLE
from deploy.server.versions import candidates

if TYPE_CHECKING:
    from grpc_health.v1.health.aio import HealthServicer

    from deploy.server.serving import Serving

_GRACE_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status."""
    flags = _parse(argv)
    if flags.stop_at_end_of_stdin:
        threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
    _allow_connections()
    # Ctrl-C ends it at once, with no traceback, while the model loads; later it is _stop_event's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        config = _config(flags)
        for model in config.model_config_list.config:  # What is wrong is told before TensorFlow's
            candidates(Path(model.base_path), model.model_version_policy)  # import.
        batching = _batching(flags)
        asyncio.run(_serve(flags, config, batching))
    except StartError as error:
        print(f"deploy.server: {error}", file=sys.stderr)
        return 1
    return 0


def _allow_connections() -> None:
    """Raises the limit of open files, often 1,024, to what this process may have at the most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):  # macOS says that there is no limit, and has one.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop_at_end_of_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _config(flags: argparse.Namespace) -> ModelServerConfig:
    if flags.model_config_file:
        return read_models(flags.model_config_file)
    if not (flags.model_name and flags.model_base_path):
        raise StartError("say --model_name and --model_base_path, or --model_config_file")
    return one_model(flags.model_name, flags.model_base_path)


def _batching(flags: argparse.Namespace) -> Batching:
    path = flags.batching_parameters_file
    return read_batching(path) if path else Batching()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m deploy.server", description=__doc__)
    parser.add_argument("--model_name")
    parser.add_argument("--model_base_path", type=Path)
    parser.add_argument("--model_config_file", type=Path, help="several models, as text-proto")
    parser.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="how often new versions are looked for; 0: never",
    )
    parser.add_argument(
        "--enable_batching", nargs="?", const="true", help="taken; requests are always merged"
    )
    parser.add_argument("--batching_parameters_file", type=Path, help="as text-proto")
    parser.add_argument("--monitoring_config_file", help="taken; the metrics page is always there")
    parser.add_argument("--port", type=int, default=8500, help="gRPC port, 0 for a free one")
    parser.add_argument("--rest_api_port", type=int, default=8501, help="0 for a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--stop_at_end_of_stdin",
        action="store_true",
        help="ends with the process that started it, however that one ends",
    )
    return parser.parse_args(argv)


async def _serve(flags: argparse.Namespace, config: ModelServerConfig, batching: Batching) -> None:
    # The ports before the model: a taken port is told at once, not after TensorFlow's import. Who
    # connects in between waits.
    rest_socket = _bind_rest(flags.host, flags.rest_api_port)
    grpc_server, grpc_port = _bind_grpc(flags.host, flags.port)
    try:
        serving = await _load(config, batching)
        runner, healthy = await _listen(serving, rest_socket, grpc_server)
        stop = _stop_event()
        print(
            f"serving {serving.models}: "
            f"REST http://{_address(flags.host, rest_socket.getsockname()[1])}, "
            f"gRPC {_address(flags.host, grpc_port)}",
            flush=True,
        )
        logging.basicConfig(format="%(asctime)s %(message)s")  # to stderr, what is loaded later
        for line in (*serving.models.refused(), *serving.models.shortfalls()):
            logging.error(line)
        async with serving.watching(flags.file_system_poll_wait_seconds):
            await stop.wait()
        await healthy.enter_graceful_shutdown()
        # Both answer what they have taken; what comes now is refused.
        await asyncio.gather(runner.cleanup(), grpc_server.stop(_GRACE_SECONDS))
        serving.batcher.close()
    finally:
        await grpc_server.stop(None)


async def _load(config: ModelServerConfig, batching: Batching) -> "Serving":
    with output_to(Path(os.devnull)):
        # These import TensorFlow.
        from deploy.server.batching import Batcher
        from deploy.server.models import Models
        from deploy.server.monitoring import Monitor
        from deploy.server.serving import Serving
        from deploy.server.warm_up import load_warm

        models = Models(config, load_warm)
        await asyncio.to_thread(models.reconcile)
    if not models.names():
        raise StartError("; ".join(models.problems()))
    batcher = Batcher(batching)
    return Serving(models, batcher, Monitor(models.names, lambda: batcher.waiting))


async def _listen(
    serving: "Serving", rest_socket: socket.socket, grpc_server: grpc.aio.Server
) -> tuple[web.AppRunner, "HealthServicer"]:
    from deploy.server.grpc_service import add_services
    from deploy.server.rest import application

    healthy = await add_services(grpc_server, serving)
    await grpc_server.start()
    runner = web.AppRunner(
        application(serving),
        access_log=None,
        shutdown_timeout=_GRACE_SECONDS,
        handler_cancellation=True,  # Who hangs up waits no more.
        keepalive_timeout=MAX_SECONDS_IDLE,
        auto_decompress=False,  # aiohttp would inflate without an end.
    )
    await runner.setup()
    await web.SockSite(runner, rest_socket).start()
    return runner, healthy


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
        maximum_concurrent_rpcs=MAX_CALLS_AT_ONCE,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Else Linux lets two servers share a port, and each gets some of the requests.
            ("grpc.so_reuseport", 0),
        ],
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
