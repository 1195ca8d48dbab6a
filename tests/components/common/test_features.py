from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.features import cached_features
from components.common.records import Split, load_split
from tuning.backbones import load_backbone

SHAPE = (16, 16, 1)


@pytest.fixture
def backbone(tmp_path: Path) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(5, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "own.keras")
    return load_backbone(str(tmp_path / "own.keras"), "", SHAPE)


@pytest.fixture
def examples(
    write_transformed: Callable[..., Path], noise: Callable[..., NDArray[np.uint8]], tmp_path: Path
) -> Path:
    splits = {
        split: (noise(number, count, *SHAPE), np.arange(count) % 2)
        for number, (split, count) in enumerate({"train": 40, "validation": 8}.items())
    }
    return write_transformed(tmp_path / "examples", splits, ["happy", "sad"])


@pytest.fixture
def train(examples: Path) -> Split:
    return load_split(examples, "train")


def test_features_are_what_the_backbone_gives(
    backbone: keras.Model, examples: Path, train: Split, tmp_path: Path
) -> None:
    features = cached_features(backbone, examples, "train", train, tmp_path / "cache")
    assert features.dtype == np.float32
    expected = backbone.predict_on_batch(train.images)
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]


def test_the_same_are_computed_once(
    backbone: keras.Model,
    examples: Path,
    train: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = cached_features(backbone, examples, "train", train, tmp_path / "cache")
    again = load_backbone(str(tmp_path / "own.keras"), "", SHAPE)  # Keras numbers its layers anew.
    assert again.layers[-1].name != backbone.layers[-1].name
    monkeypatch.setattr(type(again), "predict_on_batch", _fail)
    second = cached_features(again, examples, "train", train, tmp_path / "cache")
    np.testing.assert_array_equal(first, second)


def _fail(*arguments: NDArray[np.uint8]) -> None:
    raise AssertionError("computed again")


def test_other_weights_or_other_pictures_have_features_of_their_own(
    backbone: keras.Model, examples: Path, train: Split, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = cached_features(backbone, examples, "train", train, cache)
    validation = load_split(examples, "validation")
    assert len(cached_features(backbone, examples, "validation", validation, cache)) == 8
    backbone.set_weights([weight + 1 for weight in backbone.get_weights()])
    other = cached_features(backbone, examples, "train", train, cache)
    assert not np.allclose(first, other)
    assert len(list(cache.iterdir())) == 3


def test_a_computation_that_breaks_off_leaves_nothing(
    backbone: keras.Model, examples: Path, train: Split, tmp_path: Path
) -> None:
    broken = Split(train.images[:, :3], *train[1:])
    with pytest.raises(ValueError, match="shape"):
        cached_features(backbone, examples, "train", broken, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
