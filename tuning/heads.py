"""The end of every classifier: its output layer, its loss, its metrics."""

from typing import Any

import keras


def classify(features: Any, classes: int) -> Any:
    """Adds the output layer: one sigmoid for two classes, as the reference models have it.

    Returns:
        float32 [batch, 1], the probability of class 1, or float32 [batch, classes].
    """
    if classes == 2:
        return keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")(
            features
        )
    return keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")(
        features
    )


def compile_classifier(model: Any, optimizer: Any) -> Any:
    """Compiles a classifier of `classify` for integer labels, with `accuracy`; returns it."""
    binary = model.output_shape[-1] == 1
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def with_class_probabilities(model: Any) -> Any:
    """The model with one output column a class, whichever head it has: float32 [batch, classes]."""
    if model.output_shape[-1] > 1:
        return model
    positive = model.output
    both = keras.layers.Concatenate(name="probabilities")([1.0 - positive, positive])
    return keras.Model(model.input, both)
