import keras
import keras_tuner as kt
import pytest

from tuning.hypermodels.emoji_cnn import build
from tuning.space import default_values
from tuning.task import Task

TASK = Task((24, 24, 1), 2, steps=10, epochs=2)


def test_names_and_defaults_of_the_hyperparameters() -> None:
    defaults = default_values(lambda hp: build(hp, TASK))
    assert defaults == {"filters": 16, "units": 512, "learning_rate": 1e-3}


def test_it_is_the_network_of_the_experiment() -> None:
    model = build(kt.HyperParameters(), Task((150, 150, 3), 2, steps=8, epochs=20))
    assert model.count_params() == 2_373_601
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert [(x.filters, x.kernel_size) for x in convolutions] == [(16, (3, 3))] * 3
    assert isinstance(model.optimizer, keras.optimizers.RMSprop)


def test_hyperparameters_have_their_effect() -> None:
    hp = kt.HyperParameters()
    hp.values.update({"filters": 8, "units": 128, "learning_rate": 5e-4})
    model = build(hp, TASK)
    hidden = next(x for x in model.layers if isinstance(x, keras.layers.Dense))
    assert model.layers[2].filters == 8
    assert hidden.units == 128
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-4)
