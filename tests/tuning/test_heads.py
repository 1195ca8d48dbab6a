from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from tuning.heads import (
    classify,
    compile_classifier,
    with_class_probabilities,
    with_temperature,
    without_head,
)
from tuning.training.batches import Batches

FEATURES = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)


def classifier(classes: int, label_smoothing: float = 0.0) -> keras.Model:
    inputs = keras.Input((5,))
    x = keras.layers.Dense(4)(inputs)
    return compile_classifier(keras.Model(inputs, classify(x, classes)), "sgd", label_smoothing)


def labels_of(classes: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, classes, len(FEATURES))


@pytest.mark.parametrize(("classes", "units"), [(2, 1), (3, 3)])
def test_two_classes_get_one_unit_and_more_one_each(classes: int, units: int) -> None:
    model = classifier(classes)
    outputs = model.predict(FEATURES, verbose=0)
    assert model.get_layer("head").units == units
    assert outputs.shape == (30, classes)
    assert outputs.dtype == np.float32
    assert ((outputs > 0) & (outputs < 1)).all()
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-6)


def test_the_units_sigmoid_is_the_probability_of_class_1() -> None:
    model = classifier(2)
    unit = keras.Model(model.input, model.get_layer("head").output).predict(FEATURES, verbose=0)
    np.testing.assert_allclose(
        model.predict(FEATURES, verbose=0)[:, 1:], 1 / (1 + np.exp(-unit)), atol=1e-6
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_a_wrong_answer_teaches_however_sure_it_was(classes: int) -> None:
    model = classifier(classes)
    head = model.get_layer("head")
    kernel, bias = head.get_weights()
    sure = np.zeros_like(bias)
    sure[-1] = 500
    head.set_weights([kernel, sure])
    model.train_on_batch(FEATURES, np.eye(classes)[np.zeros(30, int)])
    assert head.get_weights()[1][-1] < 500


@pytest.mark.parametrize("classes", [2, 3])
def test_loss_and_metrics_are_those_of_sklearn_also_over_batches(classes: int) -> None:
    model, labels = classifier(classes), labels_of(classes)
    batches = Batches(FEATURES, labels, classes, batch_size=7)
    got = model.evaluate(batches, verbose=0, return_dict=True)
    probabilities = model.predict(FEATURES, verbose=0)
    answers = probabilities.argmax(axis=1)
    assert got["loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert got["accuracy"] == pytest.approx((answers == labels).mean())
    assert got["macro_f1"] == pytest.approx(f1_score(labels, answers, average="macro"))


@pytest.mark.parametrize("classes", [2, 3])
def test_label_smoothing_spreads_a_share_of_the_label_over_all_classes(classes: int) -> None:
    model = classifier(classes, label_smoothing=0.3)
    one_hot = np.eye(classes)[labels_of(classes)]
    wanted = 0.7 * one_hot + 0.3 / classes
    loss = -(wanted * np.log(model.predict(FEATURES, verbose=0))).sum(axis=1).mean()
    got = model.evaluate(FEATURES, one_hot, verbose=0, return_dict=True)["loss"]
    assert got == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_saved_classifier_needs_no_code_of_ours(tmp_path: Path, classes: int) -> None:
    model = classifier(classes, label_smoothing=0.1)
    model.save(tmp_path / "model.keras")
    batches = Batches(FEATURES, labels_of(classes), classes, batch_size=30)
    wanted = model.evaluate(batches, verbose=0)
    assert keras.models.load_model(tmp_path / "model.keras").evaluate(
        batches, verbose=0
    ) == pytest.approx(wanted)


@pytest.mark.parametrize("classes", [2, 3])
def test_without_its_head_it_gives_features(classes: int) -> None:
    assert without_head(classifier(classes)).output_shape == (None, 4)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_temperature_divides_the_logits_also_of_a_saved_model(
    tmp_path: Path, classes: int
) -> None:
    model = classifier(classes)
    with_temperature(model, 2.5).save(tmp_path / "model.keras")
    calibrated = keras.models.load_model(tmp_path / "model.keras")
    odds = model.predict(FEATURES, verbose=0) ** (1 / 2.5)
    wanted = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(calibrated.predict(FEATURES, verbose=0), wanted, atol=1e-6)
    assert without_head(calibrated).output_shape == (None, 4)


def test_a_probability_that_was_rounded_to_0_stays_there() -> None:
    inputs = keras.Input((2,))
    sure = with_temperature(keras.Model(inputs, keras.layers.Softmax()(inputs)), 3.0)
    np.testing.assert_array_equal(sure.predict(np.array([[0.0, 500.0]]), verbose=0), [[0, 1]])


def test_a_single_sigmoid_of_another_hand_gets_its_second_column() -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(inputs))
    positive = model.predict(FEATURES, verbose=0)
    probabilities = with_class_probabilities(model).predict(FEATURES, verbose=0)
    np.testing.assert_allclose(probabilities, np.hstack([1 - positive, positive]), atol=1e-6)
    assert with_class_probabilities(classifier(2)).output_shape == (None, 2)
