import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.runs import MIEN

TINY = """\
extends: drawn_faces
dataset: {options: {images_per_class: 18, subjects: 12, size: 64}}
split: {train: 0.5, seed: 1}
example_validator: {min_class_size: 2}
transform: {height: 24, width: 24, face_crop: {min_size: 20}}
tuner: {max_trials: 3, epochs: 1, batch_size: 16}
trainer: {epochs: 3, patience: 3}
evaluator: {thresholds: {accuracy: 0.0, macro_f1: 0.0}, resamples: 20}
infra_validator: {examples: 4}
"""


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def mien() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `mien` as a user does, in a process of its own."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        options.setdefault("env", _without_mlflow())
        return subprocess.run(
            [MIEN, *map(str, arguments)], capture_output=True, text=True, timeout=600, **options
        )

    return run


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of processes that find no tracking server but the root's own."""
    return _without_mlflow()


def _without_mlflow() -> dict[str, str]:
    # `mlflow.set_tracking_uri` of a test before would name a server to all processes.
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}


@pytest.fixture(scope="session")
def tiny_root(
    mien: Callable[..., subprocess.CompletedProcess[str]],
    tiny_config: Path,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A pipeline root after one undisturbed run of the tiny config; tests only read it."""
    root = tmp_path_factory.mktemp("tiny") / "root"
    finished = mien("run", tiny_config, "--root", root, env=environment)
    assert finished.returncode == 0, finished.stderr + (root / "runs/latest/run.log").read_text()
    return root
