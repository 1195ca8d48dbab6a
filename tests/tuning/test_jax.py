"""`python -m tuning` where there is JAX and no TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.tuning.jobs import JOB
from tuning.sweep.archive import pack_job
from tuning.training.batches import Arrays

ROOT = Path(__file__).parents[2]
JAX = Path(sys.prefix) / "jax"
"""`make install` puts it there, apart: TensorFlow imports a JAX that it finds, 2 s a process."""

MAIN = """\
import runpy, sys

class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTensorFlow())

import keras

fit = keras.Model.fit

def watched(model, *arguments, **options):
    print("compiled:", model.jit_compile)
    return fit(model, *arguments, **options)

keras.Model.fit = watched
runpy.run_module("tuning", run_name="__main__", alter_sys=True)
"""


@pytest.mark.skipif(not JAX.exists(), reason="JAX is not installed: make install")
def test_an_augmented_network_is_searched_and_trained_compiled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = Arrays(rng.integers(0, 256, (32, 8, 8, 1), dtype=np.uint8), np.arange(32) % 3)
    job = JOB._replace(
        hypermodel="expression_net",
        image_shape=(8, 8, 1),
        classes=3,
        max_trials=1,
        batch_size=16,
        precision="auto",
        fixed={"augment": "affine", "stages": 3, "width": 16, "convolutions": 1},
    )
    pack_job(tmp_path / "tiny.zip", job, arrays, arrays)
    finished = subprocess.run(
        [sys.executable, "-c", MAIN, "tiny.zip", "--train-best", "1"],
        cwd=tmp_path,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, JAX))),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    compiled = [line for line in finished.stdout.splitlines() if line.startswith("compiled: ")]
    assert compiled == ["compiled: True"] * 2  # the trial, and its training in full
    (row,) = json.loads((tmp_path / "tiny" / "best_history.json").read_text())
    assert np.isfinite(row["val_loss"])
    assert (tmp_path / "tiny" / "results.zip").exists()
