from pathlib import Path

import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels import frozen_part
from tuning.hypermodels.transfer import build
from tuning.space import default_values, with_fixed
from tuning.task import Task

PICTURES = Task((32, 32, 3), 8, steps=15, epochs=20)
SMALL = {"backbone": "mobilenet_v3", "weights": "random"}


def test_names_and_defaults_of_the_hyperparameters() -> None:
    assert default_values(lambda hp: build(hp, PICTURES)) == {
        "backbone": "vgg16",
        "weights": "imagenet",
        "fine_tune": False,
        "units": 0,
        "dropout": 0.0,
        "learning_rate": 1e-3,
    }


def test_a_backbone_that_is_trained_too_takes_small_steps() -> None:
    values = default_values(with_fixed(lambda hp: build(hp, PICTURES), SMALL | {"fine_tune": True}))
    assert values["learning_rate"] == 1e-5


@pytest.mark.parametrize(("features", "parameters"), [(512, 4_104), (2_048, 16_392)])
def test_the_head_is_that_of_the_experiment(features: int, parameters: int) -> None:
    model = build(kt.HyperParameters(), PICTURES._replace(image_shape=(features,)))
    assert model.count_params() == parameters
    assert model.output_shape == (None, 8)


def test_a_frozen_backbone_is_the_part_below() -> None:
    values = SMALL | {"fine_tune": False}
    backbone = frozen_part("transfer", values, PICTURES.image_shape)
    assert backbone.output_shape == (None, 576)
    assert frozen_part("transfer", SMALL | {"fine_tune": True}, PICTURES.image_shape) is None
    assert frozen_part("emoji_cnn", {}, PICTURES.image_shape) is None


def test_fine_tuned_all_of_it_is_trained(tmp_path: Path) -> None:
    hp = kt.HyperParameters()
    fixed = SMALL | {"fine_tune": True, "learning_rate": 1e-3}
    model = with_fixed(lambda hp: build(hp, PICTURES), fixed)(hp)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.train_on_batch(pixels, np.eye(8)[:2])
    changed = [
        not np.array_equal(old, new)
        for old, new in zip(before, model.trainable_weights, strict=True)
    ]
    assert sum(changed) > len(changed) // 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict_on_batch(pixels), model.predict_on_batch(pixels), atol=1e-6
    )
