"""Times the embedded server with 1, 8, 32 and 128 clients against the SavedModel in process.

    python benchmarks/serve_load.py [--version-dir ROOT/serving/NAME/1] [--seconds 5]

Without a version it exports a fer_cnn with random weights. Each request is one encoded 48x48
picture. The clients are coroutines of one process of their own, which shares the cores with the
server: on two cores their work counts as well. The best batch in process is what the server's rate
is divided by.
"""

import argparse
import asyncio
import base64
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from rich.console import Console
from rich.table import Table

CLIENTS = (1, 8, 32, 128)
BATCHES = (1, 8, 32, 64, 128)
NAME = "model"


class Load(NamedTuple):
    """Pictures a second, and milliseconds that half, and 99 of 100, of the calls took at most."""

    rate: float
    p50: float
    p99: float


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version-dir", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base_path = Path(folder) / NAME
        base_path.mkdir()
        version = arguments.version_dir or in_other_process(_export, Path(folder) / "exported")
        (base_path / "1").symlink_to(version.resolve())
        pictures = in_other_process(draw_pictures)
        in_process = in_other_process(_in_process, version, pictures, arguments.seconds)
        best = max(load.rate for load in in_process.values())
        with running_server(base_path) as (rest, grpc_address):
            asked = {
                (way, clients): in_other_process(
                    load_of, way, address, clients, pictures, arguments.seconds
                )
                for way, address in (("gRPC", grpc_address), ("REST", rest))
                for clients in CLIENTS
            }
    batches = {("in process", batch): load for batch, load in in_process.items()}
    _print(batches | asked, best)


def _print(loads: dict[tuple[str, int], Load], best: float) -> None:
    table = Table(box=None)
    for column in ("", "batch or clients", "pictures/s", "of the best", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for (way, clients), load in loads.items():
        share = f"{load.rate / best:.2f}"
        table.add_row(
            way, str(clients), f"{load.rate:.1f}", share, f"{load.p50:.1f}", f"{load.p99:.1f}"
        )
    Console().print(table)


def in_other_process(call: Callable[..., Any], *arguments: Any) -> Any:
    """So that TensorFlow's threads and memory go with it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def _export(folder: Path) -> Path:
    from components.common.export import export_saved_model
    from components.common.recipe import parse_recipe
    from tuning.hypermodels import get_hypermodel
    from tuning.space import build_with
    from tuning.task import Task

    task = Task((48, 48, 1), 7, steps=1, epochs=1)
    model = build_with(lambda hp: get_hypermodel("fer_cnn")(hp, task), {})
    recipe = parse_recipe({"height": 48, "width": 48, "channels": 1})
    warm_up = np.zeros((4, 48, 48, 1), np.uint8)
    export_saved_model(model, recipe, [f"class {n}" for n in range(7)], warm_up, folder)
    return folder


def draw_pictures() -> list[bytes]:
    """32 drawn faces, 48x48 gray, as PNG."""
    from components.common.pictures.images import decode_and_fit, encode_png
    from tfds_builders.drawn_faces.pictures import EXPRESSIONS, Picture, draw_png

    drawn = [
        draw_png(Picture(n, EXPRESSIONS[n % len(EXPRESSIONS)], 0, 0, 1.0), 96, (0.9, 1.0), seed=n)
        for n in range(32)
    ]
    return [encode_png(image) for image in decode_and_fit(drawn, 48, 48, 1)]


def _in_process(version: Path, pictures: list[bytes], seconds: float) -> dict[int, Load]:
    import tensorflow as tf

    model = tf.saved_model.load(str(version))
    predict = model.signatures["serving_default"]
    loads = {}
    for batch in BATCHES:
        encoded = tf.constant([pictures[n % len(pictures)] for n in range(batch)])
        predict(image_bytes=encoded)
        took: list[float] = []
        while sum(took) < seconds:
            began = time.perf_counter()
            predict(image_bytes=encoded)["score"].numpy()
            took.append(time.perf_counter() - began)
        loads[batch] = _load(took, batch * len(took) / sum(took))
    return loads


def _load(took: list[float], rate: float) -> Load:
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1e3
    return Load(rate, float(p50), float(p99))


@contextmanager
def running_server(base_path: Path) -> Iterator[tuple[str, str]]:
    """The embedded server for the length of a block; gives its REST and gRPC addresses."""
    flags = [f"--model_name={NAME}", f"--model_base_path={base_path}"]
    command = [sys.executable, "-m", "deploy.server", *flags, "--port=0", "--rest_api_port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        _, rest, _, grpc_address = line.rsplit(maxsplit=3)
        try:
            yield rest.rstrip(","), grpc_address
        finally:
            process.terminate()


def load_of(way: str, address: str, clients: int, pictures: list[bytes], seconds: float) -> Load:
    """So many clients' load on an address, by `gRPC` or `REST`."""
    run = {"gRPC": _ask_grpc, "REST": _ask_rest}[way]
    return asyncio.run(run(address, clients, pictures, seconds))


async def _clients(
    ask: Callable[[bytes], Awaitable[None]], clients: int, pictures: list[bytes], seconds: float
) -> Load:
    took: list[float] = []
    await asyncio.gather(*(ask(pictures[n % len(pictures)]) for n in range(clients)))
    began = time.perf_counter()

    async def client(number: int) -> None:
        while time.perf_counter() - began < seconds:
            sent = time.perf_counter()
            await ask(pictures[number % len(pictures)])
            took.append(time.perf_counter() - sent)

    await asyncio.gather(*map(client, range(clients)))
    return _load(took, len(took) / (time.perf_counter() - began))


async def _ask_grpc(address: str, clients: int, pictures: list[bytes], seconds: float) -> Load:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    async with grpc.aio.insecure_channel(address) as channel:
        stub = PredictionServiceStub(channel)

        async def ask(picture: bytes) -> None:
            request = PredictRequest()
            request.model_spec.name = NAME
            request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([picture]))
            await stub.Predict(request)

        return await _clients(ask, clients, pictures, seconds)


async def _ask_rest(address: str, clients: int, pictures: list[bytes], seconds: float) -> Load:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(picture: bytes) -> None:
            encoded = base64.b64encode(picture).decode()
            body = json.dumps({"instances": [{"b64": encoded}]}).encode()
            async with session.post(f"{address}/v1/models/{NAME}:predict", data=body) as response:
                response.raise_for_status()
                await response.read()

        return await _clients(ask, clients, pictures, seconds)


if __name__ == "__main__":
    main()
