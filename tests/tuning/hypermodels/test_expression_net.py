from collections import Counter
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels.expression_net import build, momentum_for
from tuning.space import default_values
from tuning.task import Task

TASK = Task((48, 48, 1), 7, steps=10, epochs=2)


def model_of(task: Task = TASK, **values: Any) -> keras.Model:
    hp = kt.HyperParameters()
    hp.values.update(values)
    return build(hp, task)


def kinds(model: keras.Model) -> Counter[str]:
    return Counter(type(layer).__name__ for layer in model.layers)


def test_names_and_defaults_of_the_hyperparameters() -> None:
    assert default_values(lambda hp: build(hp, TASK)) == {
        "stages": 3,
        "width": 24,
        "convolutions": 1,
        "kernel": 3,
        "residual": False,
        "squeeze_excite": False,
        "depthwise": False,
        "head": "dense",
        "dropout": 0.2,
        "augment": "flip",
        "label_smoothing": 0.0,
        "mixup": 0.0,
        "optimizer": "adamw",
        "schedule": "cosine",
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
    }


# Convolutions without bias, four numbers a channel of BatchNormalization, the head.
PLAIN = 9 * (24 + 24 * 48 + 48 * 96) + 4 * (24 + 48 + 96) + 96 * 7 + 7


@pytest.mark.parametrize(
    ("values", "parameters"),
    [
        ({}, PLAIN),
        (
            {"stages": 4, "width": 16, "kernel": 5},
            25 * (16 + 16 * 32 + 32 * 64 + 64 * 128) + 4 * (16 + 32 + 64 + 128) + 128 * 7 + 7,
        ),
        ({"convolutions": 2}, PLAIN + 9 * (24**2 + 48**2 + 96**2) + 4 * (24 + 48 + 96)),
        # A shortcut of 1x1 convolutions, normalized.
        ({"residual": True}, PLAIN + 24 + 24 * 48 + 48 * 96 + 4 * (24 + 48 + 96)),
        # Two dense layers with bias, by way of an eighth of the channels, of four or more.
        (
            {"squeeze_excite": True},
            PLAIN + sum(2 * w * n + w + n for w, n in ((24, 4), (48, 6), (96, 12))),
        ),
        # A filter a channel, then 1x1 convolutions; not for the gray picture.
        (
            {"depthwise": True},
            PLAIN - 9 * (24 * 48 + 48 * 96) + 9 * (24 + 48) + 24 * 48 + 48 * 96,
        ),
        # 6x6 pixels are left of 48x48.
        ({"head": "dense"}, PLAIN - 96 * 7 + 36 * 96 * 256 + 4 * 256 + 256 * 7),
    ],
)
def test_hyperparameters_give_the_architecture(values: dict[str, Any], parameters: int) -> None:
    assert model_of(**{"head": "average", **values}).count_params() == parameters


def test_all_at_once_is_a_network_too() -> None:
    values = {"convolutions": 2, "residual": True, "squeeze_excite": True, "depthwise": True}
    model = model_of(Task((20, 20, 3), 2, steps=1, epochs=1), **values, stages=4, head="dense")
    assert model.output_shape == (None, 2)


def test_regularization_is_what_was_asked_for() -> None:
    model = model_of(dropout=0.4, label_smoothing=0.1, learning_rate=1e-3, schedule="constant")
    assert [x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)] == [0.4]
    assert model.loss.label_smoothing == 0.1
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("augment", "layers"),
    [
        ("none", set()),
        ("flip", {"RandomFlip"}),
        ("affine", {"RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom"}),
    ],
)
def test_augmentation_is_of_train_alone(augment: str, layers: set[str]) -> None:
    model = model_of(augment=augment, dropout=0.0)
    assert {kind for kind in kinds(model) if kind.startswith("Random")} == layers
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 1)).astype(np.float32)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling))
    seen = keras.Model(model.input, first.output)
    unchanged = pixels / 127.5 - 1
    np.testing.assert_allclose(seen.predict_on_batch(pixels), unchanged, atol=1e-5)
    np.testing.assert_allclose(seen(pixels, training=False), unchanged, atol=1e-5)
    if augment == "affine":
        assert np.abs(np.asarray(seen(pixels, training=True)) - unchanged).max() > 0.1


def test_the_moving_averages_keep_up_with_the_epochs() -> None:
    assert momentum_for(26) ** 26 == pytest.approx(0.01)
    assert momentum_for(10_000) == 0.99
    model = model_of(TASK._replace(steps=26))
    momenta = {x.momentum for x in model.layers if isinstance(x, keras.layers.BatchNormalization)}
    assert momenta == {momentum_for(26)}
