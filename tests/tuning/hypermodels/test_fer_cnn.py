import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels.fer_cnn import build
from tuning.space import default_values
from tuning.task import Task

FER2013 = Task((48, 48, 1), 7, steps=449, epochs=100)


def test_names_and_defaults_of_the_hyperparameters() -> None:
    defaults = default_values(lambda hp: build(hp, FER2013))
    assert defaults == {"width": 1.0, "dropout": 0.25, "learning_rate": 3.5e-4}


def test_it_is_the_network_of_the_experiment() -> None:
    model = build(kt.HyperParameters(), FER2013)
    assert model.count_params() == 4_478_727
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 4_474_759
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert [(x.filters, x.kernel_size[0]) for x in convolutions] == [
        (64, 3),
        (128, 5),
        (512, 3),
        (512, 3),
    ]
    assert [x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)] == [0.25] * 6
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(3.5e-4)


def test_hyperparameters_have_their_effect() -> None:
    hp = kt.HyperParameters()
    hp.values.update({"width": 0.25, "dropout": 0.4, "learning_rate": 1e-3})
    model = build(hp, FER2013)
    widths = [x.filters for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert widths == [16, 32, 128, 128]
    assert {x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)} == {0.4}
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
