from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from tensorflow.python.framework import config as tf_config

from tuning import accelerator
from tuning.accelerator import (
    compile_for_device,
    dtype_policy,
    is_out_of_memory,
    largest_batch_size,
    resolve_precision,
)
from tuning.heads import classify, compile_classifier

SHAPE = (4, 4, 1)


class ResourceExhaustedError(Exception):
    """As TensorFlow's is called, which `tuning` does not import."""


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_devices", lambda: ["gpu:0"])


@pytest.fixture
def not_deterministic() -> Iterator[None]:
    """As it is before the Tuner asks for it on a CPU: with it there is no XLA."""
    before = tf_config.is_op_determinism_enabled()
    tf_config.disable_op_determinism()
    yield
    if before:
        tf_config.enable_op_determinism()


def classifier() -> keras.Model:
    inputs = keras.Input(SHAPE)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    return compile_classifier(keras.Model(inputs, classify(x, 3)), "sgd")


def holding(most: int, tried: list[int]) -> Callable[[], Any]:
    """Makes models whose training needs more memory than there is, beyond so many images."""

    class Model:
        def train_on_batch(self, images: Any, labels: Any) -> None:
            assert images.shape[1:] == SHAPE
            assert images.dtype == np.uint8
            assert labels.shape == (len(images), 3)
            tried.append(len(images))
            if len(images) > most:
                raise ResourceExhaustedError("OOM when allocating tensor")

    return Model


@pytest.mark.parametrize(
    ("most", "limit", "found"),
    [(200, 1024, 128), (256, 1024, 256), (10_000, 512, 512), (10_000, 500, 256), (16, 1024, 32)],
)
@pytest.mark.usefixtures("on_gpu")
def test_the_batch_is_doubled_until_memory_or_the_limit_says_no(
    most: int, limit: int, found: int
) -> None:
    tried: list[int] = []
    assert largest_batch_size(holding(most, tried), SHAPE, 3, limit=limit) == found
    assert tried == [64 * 2**n for n in range(len(tried))]
    assert max(tried) <= limit


@pytest.mark.usefixtures("on_gpu")
def test_another_error_is_not_taken_for_a_full_memory() -> None:
    def build() -> Any:
        raise ValueError("these units do not fit")

    with pytest.raises(ValueError, match="do not fit"):
        largest_batch_size(build, SHAPE, 3, limit=1024)


def test_on_a_cpu_no_batch_is_tried() -> None:
    tried: list[int] = []
    assert largest_batch_size(holding(1, tried), SHAPE, 3, limit=1024) == 32
    assert tried == []


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (ResourceExhaustedError("OOM when allocating"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), True),
        (ValueError("shape (3, 4) and (5, 6)"), False),
    ],
)
def test_a_full_memory_is_known_by_its_error(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory


@pytest.mark.parametrize(
    ("devices", "backend", "policy"),
    [
        (["cpu:0"], "tensorflow", "float32"),
        (["GPU:0"], "tensorflow", "mixed_float16"),
        (["gpu:0", "gpu:1"], "jax", "mixed_bfloat16"),
    ],
)
def test_half_precision_is_for_gpus(
    monkeypatch: pytest.MonkeyPatch, devices: list[str], backend: str, policy: str
) -> None:
    monkeypatch.setattr(accelerator, "_devices", lambda: devices)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert resolve_precision("auto") == policy
    assert resolve_precision("mixed_bfloat16") == "mixed_bfloat16"


def test_a_precision_holds_for_the_block_alone() -> None:
    before = keras.config.dtype_policy().name
    with dtype_policy("mixed_bfloat16"):
        model = classifier()
    assert keras.config.dtype_policy().name == before
    assert model.layers[1].compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


@pytest.mark.usefixtures("on_gpu", "not_deterministic")
def test_tensorflow_compiles_for_a_gpu_with_xla() -> None:
    assert compile_for_device(classifier()).jit_compile


def test_tensorflow_does_not_compile_for_a_cpu() -> None:
    assert not compile_for_device(classifier()).jit_compile


@pytest.mark.usefixtures("not_deterministic")
def test_jax_compiles_what_keras_thinks_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def augmented() -> keras.Model:
        inputs = keras.Input(SHAPE)
        turned = keras.Model(inputs, keras.layers.RandomRotation(0.1)(inputs))
        x = keras.layers.Flatten()(turned(inputs))
        return compile_classifier(keras.Model(inputs, classify(x, 3)), "sgd")

    assert not augmented().jit_compile
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(accelerator, "_devices", lambda: ["cpu:0"])
    assert compile_for_device(augmented()).jit_compile
