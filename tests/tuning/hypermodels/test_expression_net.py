import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels.expression_net import build
from tuning.search import default_values

SIZE = (16, 16, 1)


def test_names_and_defaults_of_the_hyperparameters() -> None:
    assert default_values(lambda hp: build(hp, SIZE, 7)) == {
        "stages": 3,
        "width": 24,
        "kernel": 3,
        "dropout": 0.2,
        "learning_rate": 2e-3,
    }


@pytest.mark.parametrize(
    ("values", "parameters"),
    [
        # Convolutions without bias, four numbers a channel of BatchNormalization, the head.
        ({}, 9 * (24 + 24 * 48 + 48 * 96) + 4 * (24 + 48 + 96) + 96 * 7 + 7),
        (
            {"stages": 4, "width": 16, "kernel": 5},
            25 * (16 + 16 * 32 + 32 * 64 + 64 * 128) + 4 * (16 + 32 + 64 + 128) + 128 * 7 + 7,
        ),
    ],
)
def test_hyperparameters_give_the_architecture(values: dict[str, int], parameters: int) -> None:
    hp = kt.HyperParameters()
    hp.values.update(values)
    model = build(hp, (48, 48, 1), 7)
    assert model.count_params() == parameters
    assert isinstance(model.optimizer, keras.optimizers.Adam)


@pytest.mark.parametrize(("classes", "columns"), [(2, 1), (7, 7)])
def test_it_learns_from_a_batch(classes: int, columns: int) -> None:
    model = build(kt.HyperParameters(), SIZE, classes)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SIZE), dtype=np.uint8)
    before = model.get_weights()
    loss, _ = model.train_on_batch(pixels, np.arange(4) % classes)
    assert np.isfinite(loss)
    assert model.predict(pixels, verbose=0).shape == (4, columns)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
