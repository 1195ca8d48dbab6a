"""Times the training of fer_cnn on JAX against a bare JAX loop, and against the machine's matmul.

    KERAS_BACKEND=jax python benchmarks/train_fer_cnn.py [--images 28709] [--batch-size 512]

Prints images a second of three things, which take turns:

- mien: `tuning.training.fitting.fit`, as the search and the Trainer use it, pictures fed from the
  host, batches shuffled, a checkpoint an epoch (not timed);
- bare: the same network and optimizer in one jitted function, the pictures in device memory;
- the share of the arithmetic that a large matrix product of the same precision reaches here. The
  operations of a step are what XLA counts.

For a GPU. On two CPU cores: --images 256 --batch-size 64 --epochs 2, with no meaning but that it
runs.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np

from tuning.accelerator import dtype_policy, resolve_precision
from tuning.hypermodels import get_hypermodel
from tuning.space import build_with
from tuning.task import Task
from tuning.training.batches import Arrays
from tuning.training.fitting import fit
from tuning.training.rules import StoppingRule

CLASSES, SHAPE = 7, (48, 48, 1)
_MATMUL_SIDE = {"gpu": 8192, "cpu": 2048}


def main() -> None:
    """Takes the times and prints them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=28_709)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=6, help="the first, which compiles, is apart")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    arrays = Arrays(
        rng.integers(0, 256, (arguments.images, *SHAPE), dtype=np.uint8),
        rng.integers(0, CLASSES, arguments.images),
    )
    with dtype_policy(arguments.precision):
        build = _builder(arguments.images, arguments.batch_size, arguments.epochs)
        bare, operations = _bare(build, arrays, arguments.batch_size, arguments.epochs)
        mien = _mien(build, arrays, arguments.batch_size, arguments.epochs)
    peak = _matmul_rate(resolve_precision(arguments.precision))
    device = jax.devices()[0]
    print(f"{device.device_kind}, {resolve_precision(arguments.precision)}, {device.platform}")
    print(f"matrix product        {peak / 1e12:10.2f} Tflop/s")
    print(f"a step                {operations / 1e9 / arguments.batch_size:10.2f} Gflop an image")
    for name, rate in (("bare JAX loop", bare), ("mien", mien)):
        share = rate * operations / arguments.batch_size / peak
        print(f"{name:20}  {rate:10,.0f} images/s, {share:.2f} of the matrix product's rate")
    print(f"mien against bare     {mien / bare:10.2f}")


def _builder(images: int, batch_size: int, epochs: int) -> Callable[[], Any]:
    task = Task(SHAPE, CLASSES, steps=-(-images // batch_size), epochs=epochs)
    return lambda: build_with(lambda hp: get_hypermodel("fer_cnn")(hp, task), {})


def _mien(build: Callable[[], Any], arrays: Arrays, batch_size: int, epochs: int) -> float:
    rates: list[float] = []

    def on_epoch(row: Mapping[str, float]) -> None:
        rates.append(row["images_per_second"])

    with tempfile.TemporaryDirectory() as folder:
        fit(
            build,
            arrays,
            None,
            classes=CLASSES,
            epochs=epochs,
            batch_size=batch_size,
            seed=0,
            rule=StoppingRule(),
            checkpoints=Path(folder),
            on_epoch=on_epoch,
        )
    return statistics.median(rates[1:])


def _bare(
    build: Callable[[], Any], arrays: Arrays, batch_size: int, epochs: int
) -> tuple[float, float]:
    """Images a second, and the operations of a step."""
    model = build()
    model.optimizer.build(model.trainable_variables)
    images = jax.device_put(arrays.images)
    labels = jax.device_put(np.eye(CLASSES, dtype=np.float32)[arrays.labels])
    state = tuple(
        [jnp.array(variable.value) for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
        )
    )

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, images: Any, labels: Any, rows: Any) -> Any:
        trainable, others, of_optimizer = state

        def loss(trainable: Any) -> tuple[Any, Any]:
            predicted, new = model.stateless_call(trainable, others, images[rows], training=True)
            return keras.losses.categorical_crossentropy(labels[rows], predicted).mean(), new

        (_, others), gradients = jax.value_and_grad(loss, has_aux=True)(trainable)
        trainable, of_optimizer = model.optimizer.stateless_apply(
            of_optimizer, gradients, trainable
        )
        return trainable, others, of_optimizer

    steps = len(arrays.labels) // batch_size
    rows = jnp.arange(batch_size)
    operations = step.lower(state, images, labels, rows).compile().cost_analysis()["flops"]
    seconds = []
    for epoch in range(epochs):
        order = jax.random.permutation(jax.random.key(epoch), len(arrays.labels))
        began = time.perf_counter()
        for number in range(steps):
            rows = order[number * batch_size : (number + 1) * batch_size]
            state = step(state, images, labels, rows)
        jax.block_until_ready(state)
        seconds.append(time.perf_counter() - began)
    return steps * batch_size / statistics.median(seconds[1:]), operations


def _matmul_rate(precision: str, repeats: int = 10) -> float:
    """Operations a second of a large matrix product."""
    side = _MATMUL_SIDE[jax.devices()[0].platform]
    dtype = {"mixed_bfloat16": jnp.bfloat16, "mixed_float16": jnp.float16}.get(precision)
    matrix = jnp.ones((side, side), dtype or jnp.float32)
    multiply = jax.jit(lambda a: a @ a)
    multiply(matrix).block_until_ready()
    began = time.perf_counter()
    for _ in range(repeats):
        product = multiply(matrix)
    product.block_until_ready()
    return repeats * 2 * side**3 / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
