import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels import HYPERMODELS, get_hypermodel
from tuning.hypermodels.emoji_cnn import build
from tuning.search import default_values

SIZE = (24, 24, 1)


def test_names_and_defaults_of_the_hyperparameters() -> None:
    defaults = default_values(lambda hp: build(hp, SIZE, 2))
    assert defaults == {"filters": 16, "units": 512, "learning_rate": 1e-3}


def test_it_is_the_network_of_the_experiment() -> None:
    model = build(kt.HyperParameters(), (150, 150, 3), 2)
    assert model.count_params() == 2_373_601
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert [(x.filters, x.kernel_size) for x in convolutions] == [(16, (3, 3))] * 3
    assert isinstance(model.optimizer, keras.optimizers.RMSprop)
    assert model.loss == "binary_crossentropy"


@pytest.mark.parametrize(("classes", "columns"), [(2, 1), (7, 7)])
def test_it_learns_from_a_batch(classes: int, columns: int) -> None:
    model = build(kt.HyperParameters(), SIZE, classes)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SIZE), dtype=np.uint8)
    before = model.get_weights()
    loss, _ = model.train_on_batch(pixels, np.arange(4) % classes)
    assert np.isfinite(loss)
    assert model.predict(pixels, verbose=0).shape == (4, columns)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_hyperparameters_have_their_effect() -> None:
    hp = kt.HyperParameters()
    hp.values.update({"filters": 8, "units": 128, "learning_rate": 5e-4})
    model = build(hp, SIZE, 2)
    assert model.layers[2].filters == 8
    assert model.layers[-2].units == 128
    assert float(model.optimizer.learning_rate) == pytest.approx(5e-4)


def test_every_hypermodel_is_found_by_its_name() -> None:
    assert get_hypermodel("emoji_cnn") is build
    for name in HYPERMODELS:
        assert default_values(lambda hp, name=name: get_hypermodel(name)(hp, SIZE, 3))


def test_an_unknown_hypermodel_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'emoji_ccn': unknown; one of emoji_cnn, expression_net"):
        get_hypermodel("emoji_ccn")
