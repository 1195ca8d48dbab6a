"""`mien doctor`: what is installed, what this machine has, what is missing and how to get it."""

import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from components.common.quiet import output_to

PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-datasets",
    "apache-beam",
    "keras-tuner",
    "mlflow",
    "tensorflow-serving-api",
    "kfp",
    "opencv-python-headless",
    "mtcnn",
)

_LANDMARKS = "optional, 68 facial landmarks, for research only; run `make landmarks`"
OPTIONAL = {"dlib-bin": _LANDMARKS, "face-recognition-models": _LANDMARKS}

PROGRAMS = {
    "tensorflow_model_server": "optional; Google's Debian package, or the image tensorflow/serving",
    "dot": "optional, draws the network into the report; apt install graphviz",
    "docker": "optional, for the image tensorflow/serving; docs.docker.com/engine/install",
}


class Finding(NamedTuple):
    """A line of the doctor's report; `ok` is None for what is only good to know."""

    name: str
    ok: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """Yields the findings, the quick ones first."""
    supported = ("3.11", "3.12")
    python = platform.python_version()
    yield Finding("python", python.startswith(supported), f"{python} (3.11 and 3.12 are supported)")
    for package in PACKAGES:
        yield _package(package)
    for package, cure in OPTIONAL.items():
        found = _package(package)
        yield found if found.ok else Finding(package, None, f"missing: {cure}")
    for program, cure in PROGRAMS.items():
        path = shutil.which(program)
        yield Finding(program, True if path else None, path or f"not on PATH: {cure}")
    yield Finding("processor", None, f"{os.cpu_count()} cores, {platform.machine()}")
    yield _accelerators()


def _package(package: str) -> Finding:
    try:
        return Finding(package, True, version(package))
    except PackageNotFoundError:
        return Finding(package, False, "missing: run `make install`")


def _accelerators() -> Finding:
    with output_to(Path(os.devnull)):
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
    gpus = [device.name for device in devices]
    if gpus:
        return Finding("accelerators", True, ", ".join(gpus))
    cure = "with an NVIDIA card: pip install 'tensorflow[and-cuda]'"
    return Finding("accelerators", None, f"none found, training runs on the processor; {cure}")
