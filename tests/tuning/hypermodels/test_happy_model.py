import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels.happy_model import build
from tuning.space import default_values
from tuning.task import Task

HAPPY_HOUSE = Task((64, 64, 3), 2, steps=38, epochs=40)


def test_names_and_defaults_of_the_hyperparameters() -> None:
    assert default_values(lambda hp: build(hp, HAPPY_HOUSE)) == {
        "convolution": "7x7_pad_2",
        "blocks": 1,
        "filters": 32,
        "dropout": 0.0,
        "learning_rate": 1e-3,
    }


def test_it_is_the_network_of_the_experiment() -> None:
    model = build(kt.HyperParameters(), HAPPY_HOUSE)
    assert model.count_params() == 35_617
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 35_553
    parameters = {x.name: x.count_params() for x in model.layers if x.count_params()}
    assert parameters == {"conv0": 4_736, "bn0": 128, "fc": 30_753}
    assert model.get_layer("conv0").output.shape == (None, 62, 62, 32)
    assert model.get_layer("max_pool").output.shape == (None, 31, 31, 32)
    assert isinstance(model.optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize(
    ("convolution", "parameters"),
    [
        ("7x7_pad_3", 32 * (49 * 3 + 1) + 4 * 32 + 32 * 32 * 32 + 1),
        ("3x3_same", 32 * (9 * 3 + 1) + 4 * 32 + 32 * 32 * 32 + 1),
    ],
)
def test_the_experiments_variants_keep_the_size_of_the_picture(
    convolution: str, parameters: int
) -> None:
    hp = kt.HyperParameters()
    hp.values["convolution"] = convolution
    model = build(hp, HAPPY_HOUSE)
    assert model.get_layer("conv0").output.shape == (None, 64, 64, 32)
    assert model.count_params() == parameters


def test_hyperparameters_have_their_effect() -> None:
    hp = kt.HyperParameters()
    hp.values.update({"blocks": 2, "filters": 16, "dropout": 0.5, "learning_rate": 5e-4})
    model = build(hp, HAPPY_HOUSE)
    assert [model.get_layer(f"conv{n}").filters for n in range(2)] == [16, 32]
    assert next(x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)) == 0.5
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-4)
