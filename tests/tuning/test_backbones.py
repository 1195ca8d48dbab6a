import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tuning.backbones import APPLICATIONS, BackboneError, load_backbone, on_top
from tuning.heads import classify, with_temperature

SHAPE = (32, 32, 3)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A classifier as another run would leave it."""
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(7, activation="softmax")(x)
    keras.Model(inputs, outputs).save(tmp_path / "fer2013.keras")
    return tmp_path / "fer2013.keras"


@pytest.mark.parametrize(
    ("name", "preprocess", "features"),
    [
        ("vgg16", keras.applications.vgg16.preprocess_input, 512),
        ("xception", keras.applications.xception.preprocess_input, 2048),
        ("mobilenet_v3", keras.applications.mobilenet_v3.preprocess_input, 576),
        ("efficientnet_v2", keras.applications.efficientnet_v2.preprocess_input, 1280),
        ("convnext", keras.applications.convnext.preprocess_input, 768),
    ],
)
def test_a_network_sees_what_it_was_trained_on(
    name: str, preprocess: Callable[[Any], Any], features: int
) -> None:
    side = APPLICATIONS[name].least_side
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3)).astype(np.float32)
    model = load_backbone(name, "random", (side, side, 3))
    (network,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    expected = np.array(network(preprocess(pixels.copy()), training=False))
    least = 1e-3 * np.abs(expected).max()  # With random weights features may be as small as 1e-10.
    np.testing.assert_allclose(model.predict_on_batch(pixels), expected, rtol=0, atol=least)
    assert model.output_shape == (None, features)
    assert not model.trainable_weights


def test_every_network_is_tried() -> None:
    marks = test_a_network_sees_what_it_was_trained_on.pytestmark  # type: ignore[attr-defined]
    assert {name for name, *_ in marks[0].args[1]} == APPLICATIONS.keys()


def test_a_gray_picture_is_shown_in_all_three_channels(pixels: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    gray = load_backbone("mobilenet_v3", "random", (32, 32, 1))
    keras.utils.set_random_seed(0)
    color = load_backbone("mobilenet_v3", "random", SHAPE)
    one = pixels[..., :1]
    expected = color.predict_on_batch(np.repeat(one, 3, axis=3))
    np.testing.assert_allclose(gray.predict_on_batch(one), expected, atol=1e-6)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_picture_too_small_is_told_with_the_cure(name: str) -> None:
    least = APPLICATIONS[name].least_side
    with pytest.raises(BackboneError, match=f"{least}x{least} or more.*transform.height={least}"):
        load_backbone(name, "random", (least - 1, 100, 3))


def test_weights_come_from_a_file_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    network = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=SHAPE, pooling="avg"
    )
    path = tmp_path / "own.weights.h5"
    network.save_weights(path)
    loaded = load_backbone("mobilenet_v3", str(path), SHAPE)
    np.testing.assert_array_equal(loaded.get_weights()[0], network.get_weights()[0])
    with pytest.raises(BackboneError, match=r"no weights 'elsewhere\.h5' for vgg16: .*weights\.h5"):
        load_backbone("vgg16", "elsewhere.h5", SHAPE)


def test_another_runs_model_gives_what_its_output_layer_sees(saved: Path) -> None:
    model = keras.models.load_model(saved)
    pixels = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    backbone = load_backbone(str(saved), "", (16, 16, 1))
    assert backbone.output_shape == (None, 4)
    again = model.layers[-1](backbone.predict_on_batch(pixels))
    np.testing.assert_allclose(again, model.predict_on_batch(pixels), atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("units", [0, 5])
def test_a_transfer_model_gives_what_its_own_head_sees(
    saved: Path, tmp_path: Path, classes: int, units: int
) -> None:
    """As the Trainer saves it: calibrated, its backbone and its head nested."""
    lower = load_backbone(str(saved), "", (16, 16, 1))
    inputs = x = keras.Input(lower.output_shape[1:])
    if units:
        x = keras.layers.Dense(units, activation="relu")(x)
    head = keras.Model(inputs, classify(x, classes))
    on_top(lower, with_temperature(head, 1.5)).save(tmp_path / "transferred.keras")
    backbone = load_backbone(str(tmp_path / "transferred.keras"), "", (16, 16, 1))
    pixels = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    expected = keras.Model(inputs, x).predict_on_batch(lower.predict_on_batch(pixels))
    np.testing.assert_allclose(backbone.predict_on_batch(pixels), expected, atol=1e-6)
    assert backbone.output_shape == (None, units or 4)
    assert not backbone.trainable_weights


def test_a_file_that_gives_no_backbone_is_told(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 1))
    flat = keras.Model(inputs, keras.layers.Flatten()(inputs))
    keras.Model(inputs, flat(inputs)).save(tmp_path / "flat.keras")
    with pytest.raises(BackboneError, match=r"flat\.keras: it has no dense layer"):
        load_backbone(str(tmp_path / "flat.keras"), "", (16, 16, 1))
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    with pytest.raises(BackboneError, match=r"damaged\.keras: "):
        load_backbone(str(tmp_path / "damaged.keras"), "", (16, 16, 1))


def test_a_disk_that_fails_is_no_fault_of_the_backbone(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(keras.models, "load_model", fail)
    with pytest.raises(OSError, match="Input/output error"):
        load_backbone(str(saved), "", (16, 16, 1))


def test_pictures_of_another_shape_than_the_other_run_had_are_told(saved: Path) -> None:
    with pytest.raises(BackboneError, match=r"16x16x1: transform\.height=16, .*channels=1"):
        load_backbone(str(saved), "", SHAPE)


def test_an_unknown_backbone_is_told() -> None:
    with pytest.raises(BackboneError, match=r"neither a \.keras file nor one of vgg16, xception"):
        load_backbone("vgg61", "random", SHAPE)


def test_backbone_and_head_are_one_model_that_loads_without_custom_code(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    backbone = load_backbone("mobilenet_v3", "random", SHAPE)
    features = keras.Input(backbone.output_shape[1:])
    head = keras.Model(features, keras.layers.Dense(3, activation="softmax")(features))
    whole = on_top(backbone, head)
    expected = head.predict_on_batch(backbone.predict_on_batch(pixels))
    whole.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    np.testing.assert_allclose(loaded.predict_on_batch(pixels), expected, atol=1e-6)
