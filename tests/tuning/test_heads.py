import keras
import numpy as np
import pytest

from tuning.heads import classify, compile_classifier, with_class_probabilities

FEATURES = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


def classifier(classes: int) -> keras.Model:
    inputs = keras.Input((5,))
    return compile_classifier(keras.Model(inputs, classify(inputs, classes)), "sgd")


@pytest.mark.parametrize(
    ("classes", "columns", "loss"),
    [(2, 1, "binary_crossentropy"), (3, 3, "sparse_categorical_crossentropy")],
)
def test_two_classes_get_one_sigmoid_and_more_a_softmax(
    classes: int, columns: int, loss: str
) -> None:
    model = classifier(classes)
    outputs = model.predict(FEATURES, verbose=0)
    assert outputs.shape == (6, columns)
    assert outputs.dtype == np.float32
    assert model.loss == loss
    assert ((outputs > 0) & (outputs < 1)).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_accuracy_is_of_integer_labels(classes: int) -> None:
    model = classifier(classes)
    best = with_class_probabilities(model).predict(FEATURES, verbose=0).argmax(axis=1)
    half_wrong = np.where(np.arange(6) < 3, best, (best + 1) % classes)
    assert model.evaluate(FEATURES, half_wrong, verbose=0, return_dict=True)["accuracy"] == 0.5


@pytest.mark.parametrize("classes", [2, 3])
def test_class_probabilities_have_a_column_each_and_add_to_one(classes: int) -> None:
    model = classifier(classes)
    own = model.predict(FEATURES, verbose=0)
    probabilities = with_class_probabilities(model).predict(FEATURES, verbose=0)
    assert probabilities.shape == (6, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    # The sigmoid is the probability of class 1.
    np.testing.assert_allclose(probabilities[:, -own.shape[1] :], own, atol=1e-6)
