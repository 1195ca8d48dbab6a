"""What a search makes of the machine that it runs on: precision, XLA, batch size."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tuning.training.batches import Batches

PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")

BATCH_SIZE = 32
"""Images a step where no GPU asks for more: Keras's own default."""


def has_gpu() -> bool:
    """Whether Keras computes on a GPU."""
    return any(device.startswith("gpu") for device in map(str.lower, _devices()))


def _devices() -> list[str]:
    if keras.backend.backend() == "tensorflow":
        # Keras's list would start the GPU, whose memory is for the workers of a sweep.
        devices = sys.modules["tensorflow"].config.list_physical_devices()
        return [device.device_type for device in devices]
    return keras.distribution.list_devices()


def resolve_precision(precision: str) -> str:
    """Keras's dtype policy; `auto` is half precision on a GPU, float32 elsewhere.

    JAX does not scale the loss as float16 needs it, and TensorFlow's kernels are made for float16.

    Args:
        precision: one of PRECISIONS.
    """
    if precision != "auto":
        return precision
    if not has_gpu():
        return "float32"
    return "mixed_bfloat16" if keras.backend.backend() == "jax" else "mixed_float16"


@contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Inside the block, models are built with this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(resolve_precision(precision))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def compile_for_device(model: Any) -> Any:
    """Sets whether a model is compiled with XLA: on JAX always, else on a GPU; returns it.

    On a CPU XLA made TensorFlow's training of fer_cnn slower, 14 images a CPU second against 25.

    Keras says of its random rotation, translation and zoom that XLA cannot compile them, which is
    so on TensorFlow. On JAX it can, and one such layer would have the whole model run op by op: 40
    times slower.
    """
    on_jax = keras.backend.backend() == "jax"
    if on_jax:
        for layer in model._flatten_layers():
            layer.supports_jit = True
    model.jit_compile = on_jax or has_gpu()
    return model


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a training ended for want of memory, on the host or on a device."""
    text = f"{type(error).__name__}: {error}"
    names = ("MemoryError", "ResourceExhaustedError", "RESOURCE_EXHAUSTED", "OutOfMemory")
    return isinstance(error, MemoryError) or any(name in text for name in names)


def largest_batch_size(
    build: Callable[[], Any], image_shape: tuple[int, ...], classes: int, *, limit: int
) -> int:
    """The largest batch that a GPU's memory holds, found by doubling; on a CPU BATCH_SIZE.

    Args:
        build: makes the compiled model.
        image_shape: height, width and channels of a picture, or how many features.
        classes: how many.
        limit: no larger one is tried, nor any below BATCH_SIZE.
    """
    size = BATCH_SIZE
    if has_gpu():
        while 2 * size <= limit and _fits(build, image_shape, classes, 2 * size):
            size *= 2
    return size


def _fits(build: Callable[[], Any], image_shape: tuple[int, ...], classes: int, size: int) -> bool:
    images = np.zeros((size, *image_shape), np.uint8)
    batch = Batches(images, np.zeros(size, np.int64), classes, batch_size=size)[0]
    keras.utils.clear_session()
    try:
        compile_for_device(build()).train_on_batch(*batch)
    except Exception as error:  # TensorFlow and JAX each have an error of their own for it
        if not is_out_of_memory(error):
            raise
        return False
    return True
