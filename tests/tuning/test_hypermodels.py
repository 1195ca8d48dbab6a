from pathlib import Path

import keras
import keras_tuner as kt
import numpy as np
import pytest

from tuning.hypermodels import HYPERMODELS, get_hypermodel
from tuning.task import Task
from tuning.training.batches import Batches

PIXELS = (24, 24, 1)
SEEN = dict.fromkeys(HYPERMODELS, PIXELS) | {"transfer": (12,)}  # the features of what is frozen


def small(name: str, classes: int) -> keras.Model:
    return get_hypermodel(name)(kt.HyperParameters(), Task(SEEN[name], classes, 10, 2))


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("name", SEEN)
def test_it_learns_from_a_batch_and_is_loaded_again_without_our_code(
    name: str, classes: int, tmp_path: Path
) -> None:
    model = small(name, classes)
    model.run_eagerly = True
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SEEN[name]), dtype=np.uint8)
    before = [weights.copy() for weights in model.get_weights()]
    for _ in range(2):  # A learning rate may begin at 0.
        batch = Batches(pixels, np.arange(4) % classes, classes, batch_size=4)[0]
        logs = model.train_on_batch(*batch, return_dict=True)
    assert logs.keys() == {"loss", "accuracy", "macro_f1"}
    assert np.isfinite(logs["loss"])
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    probabilities = model.predict_on_batch(pixels)
    assert probabilities.shape == (4, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict_on_batch(pixels), probabilities, atol=1e-6)
    assert int(again.optimizer.iterations) == 2


def test_an_unknown_hypermodel_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'emoji_ccn': unknown; one of emoji_cnn, expression_net"):
        get_hypermodel("emoji_ccn")
