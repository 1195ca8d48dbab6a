"""The end of every classifier: its output layer, its loss, its metrics."""

from typing import Any

import keras


def classify(features: Any, classes: int, name: str = "head") -> Any:
    """Adds the output layer: a softmax, for two classes one sigmoid, as the reference models have.

    The sigmoid's complement is put beside it, so that labels are one-hot and metrics are of both
    classes, whatever their number.

    Args:
        features: of the last layer before.
        classes: how many.
        name: of the dense layer.

    Returns:
        float32 [batch, classes], the probabilities.
    """
    # float32 also where the rest of the network computes in half precision.
    if classes > 2:
        return keras.layers.Dense(classes, "softmax", dtype="float32", name=name)(features)
    positive = keras.layers.Dense(1, "sigmoid", dtype="float32", name=name)(features)
    return _both(positive)


def compile_classifier(model: Any, optimizer: Any, label_smoothing: float = 0.0) -> Any:
    """Compiles a classifier of `classify` for one-hot labels; returns it.

    The metrics are `accuracy` and `macro_f1`. The cross-entropy of a sigmoid and its complement is
    the binary cross-entropy of the sigmoid.

    Args:
        model: ends in the output of `classify`.
        optimizer: a Keras optimizer, or its name.
        label_smoothing: share of each label that is spread over all classes, 0..1.
    """
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=["accuracy", keras.metrics.F1Score(average="macro", name="macro_f1")],
    )
    return model


def without_head(model: Any) -> Any:
    """The part of a classifier of `classify` from its input to the features below its head."""
    head = next(x for x in reversed(model.layers) if isinstance(x, keras.layers.Dense))
    return keras.Model(model.input, head.input)


def with_class_probabilities(model: Any) -> Any:
    """The model with one output column a class: float32 [batch, classes].

    A model that `classify` did not end may have a single sigmoid.
    """
    if model.output_shape[-1] > 1:
        return model
    return keras.Model(model.input, _both(model.output))


def _both(positive: Any) -> Any:
    """The probabilities of class 0 and of class 1, from those of class 1."""
    complement = keras.layers.Rescaling(-1.0, offset=1.0, dtype="float32", name="complement")
    both = keras.layers.Concatenate(dtype="float32", name="probabilities")
    return both([complement(positive), positive])
