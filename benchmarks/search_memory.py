"""Prints the memory of a process that searches, after every tenth trial: it stays flat.

    python benchmarks/search_memory.py [--trials 50] [--oracle random]

The trials are of emoji_cnn on 64 pictures of noise, 24 x 24, two epochs each. What counts is
the growth from the tenth trial on: before, the libraries fill their caches.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import psutil

from tuning.sweep.job import Job
from tuning.sweep.oracles import ORACLES
from tuning.sweep.search import search
from tuning.sweep.trials import Trial
from tuning.training.batches import Arrays

EVERY = 10


def print_memory(trial: Trial) -> None:
    """Prints the resident memory when a tenth trial has ended."""
    if trial.status != "RUNNING" and int(trial.id) % EVERY == 0:
        resident = psutil.Process().memory_info().rss / 2**20
        print(f"trial {trial.id:>3} {trial.status:10} {resident:8.1f} MiB", flush=True)


def main() -> None:
    """Runs the search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--oracle", choices=ORACLES, default="random")
    arguments = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (64, 24, 24, 1), dtype=np.uint8)
    arrays = Arrays(images, np.arange(len(images)) % 2)
    job = Job(
        hypermodel="emoji_cnn",
        image_shape=(24, 24, 1),
        classes=2,
        oracle=arguments.oracle,
        objective="val_loss",
        max_trials=arguments.trials,
        minutes=None,
        epochs=2,
        patience=None,
        batch_size=32,
        precision="float32",
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        search(job, arrays, arrays, Path(folder), print_memory)


if __name__ == "__main__":
    main()
