"""A tiny model of the form that mien pushes, and the embedded server that serves it."""

import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from deploy.flink.jars import CACHE, JarError, job_server_jar, missing_commands

MODEL = "faces"
VERSION = 7
SIZE = 4
LABELS = ("happy", "sad", "neutral")
START_SECONDS = 180
ROOT = Path(__file__).parents[2]


class TinyModel(tf.Module):
    """One dense layer over 4x4 gray pixels, with the signatures of a pushed model.

    `half_plus_three` and `named` are not a pushed model's: they are the examples of TF Serving's
    REST page, for its formats of one and of several tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        weights = np.random.default_rng(0).normal(size=(SIZE * SIZE, len(LABELS)))
        self.weights = tf.Variable(weights, dtype=tf.float32)
        self.labels = tf.constant(LABELS)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 1], tf.float32, "pixels")])
    def predict_pixels(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        flat = tf.reshape(pixels, [-1, SIZE * SIZE]) / 255
        probabilities = tf.nn.softmax(flat @ self.weights)
        return {
            "probabilities": probabilities,
            "label": tf.gather(self.labels, tf.argmax(probabilities, axis=1)),
            "score": tf.reduce_max(probabilities, axis=1),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def predict_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.predict_pixels(
            tf.map_fn(self.decode, image_bytes, fn_output_signature=tf.TensorSpec([SIZE, SIZE, 1]))
        )

    def decode(self, encoded: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(encoded, channels=1, expand_animations=False)
        return tf.ensure_shape(tf.cast(image, tf.float32), [SIZE, SIZE, 1])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        feature = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        images = tf.io.parse_example(inputs, feature)["image/encoded"]
        probabilities = self.predict_bytes(images)["probabilities"]
        top = tf.math.top_k(probabilities, len(LABELS))
        return {"classes": tf.gather(self.labels, top.indices), "scores": top.values}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half_plus_three(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x / 2 + 3}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        feature = {"x": tf.io.FixedLenFeature([], tf.float32)}
        return {"outputs": tf.io.parse_example(inputs, feature)["x"] / 2 + 3}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "tag"),
            tf.TensorSpec([None, None], tf.int64, "signal"),
        ]
    )
    def named(self, tag: tf.Tensor, signal: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"tag_bytes": tag, "total": tf.reduce_sum(signal, axis=1)}


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with two versions: the newest is served, the other is an empty folder."""
    base = tmp_path_factory.mktemp("serving") / MODEL
    (base / str(VERSION - 1)).mkdir(parents=True)
    model, folder = TinyModel(), str(base / str(VERSION))
    signatures = {
        "serving_default": model.predict_bytes,
        "predict_pixels": model.predict_pixels,
        "classify": model.classify,
        "half_plus_three": model.half_plus_three,
        "regress": model.regress,
        "named": model.named,
    }
    tf.saved_model.save(model, folder, signatures=signatures)
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(folder)
    updater.replace_method_name("classify", "tensorflow/serving/classify")
    updater.save()
    return base


@pytest.fixture(scope="session")
def signatures(base_path: Path) -> Any:
    """The same model in this process: what the server should answer."""
    model = tf.saved_model.load(str(base_path / str(VERSION)))
    # The functions hold the variables weakly, so the model must live as long.
    yield model.signatures
    del model


@pytest.fixture(scope="session")
def images() -> list[bytes]:
    """Three different pictures, as PNG."""
    pixels = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 1), dtype=np.uint8)
    return [tf.io.encode_png(each).numpy() for each in pixels]


@dataclass(frozen=True)
class RunningServer:
    """Where a server answers."""

    url: str
    grpc_address: str
    process: subprocess.Popen[str]

    @property
    def model_url(self) -> str:
        return f"{self.url}/v1/models/{MODEL}"


def command(base_path: Path, *flags: str) -> list[str]:
    name = [f"--model_name={MODEL}", f"--model_base_path={base_path}"]
    return [sys.executable, "-m", "deploy.server", *name, *flags]


@contextmanager
def running(base_path: Path, *flags: str) -> Iterator[RunningServer]:
    """Runs the server on free ports, and waits for its ready line."""
    process = subprocess.Popen(
        command(base_path, "--port=0", "--rest_api_port=0", *flags),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=_environment(),
    )
    try:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline() if readable else ""
        ready = r"serving .+ version \d+: REST (http://\S+), gRPC (\S+)\n"
        match = re.fullmatch(ready, line)
        assert match, f"not ready: {line!r}"
        yield RunningServer(match[1], match[2], process)
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="session")
def server(base_path: Path) -> Iterator[RunningServer]:
    with running(base_path) as server:
        yield server


@pytest.fixture(scope="session")
def start_server() -> Callable[..., Any]:
    """Starts a server of one's own, as a context manager."""
    return running


@pytest.fixture(scope="session")
def refused_start() -> Callable[..., str]:
    """Starts a server that must refuse to; returns the one line that it says."""

    def start(base_path: Path, *flags: str) -> str:
        finished = subprocess.run(
            command(base_path, *flags),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=_environment(),
            timeout=START_SECONDS,
        )
        assert finished.returncode == 1
        assert finished.stdout == ""
        assert finished.stderr.count("\n") == 1
        return finished.stderr

    return start


@pytest.fixture(scope="session")
def jar_or_skip() -> Callable[[Path], Path]:
    """Builds a job server's jar; where that cannot be had here, no fault of its pom, skips."""

    def build(pom: Path) -> Path:
        if missing := missing_commands():
            pytest.skip(f"needs {', '.join(missing)}")
        try:
            return job_server_jar(CACHE, pom)
        except JarError as error:
            if "Could not transfer" in str(error) or "Unknown host" in str(error):
                pytest.skip(str(error))
            raise

    return build
