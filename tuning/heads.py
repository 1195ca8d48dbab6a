"""The end of every classifier: its output layer, its loss, its metrics."""

import contextlib
from typing import Any

import keras


class HeadError(ValueError):
    """A model without an output layer that could be taken off."""


def classify(features: Any, classes: int, name: str = "head") -> Any:
    """Adds the output layer: a softmax; for two classes of one unit, as the reference models have.

    The softmax of 0 and a unit is that unit's sigmoid and its complement: so labels are one-hot and
    metrics are of both classes, whatever their number.

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
    unit = keras.layers.Dense(1, dtype="float32", name=name)(features)
    zero = keras.layers.Rescaling(0.0, dtype="float32")(unit)
    units = keras.layers.Concatenate(dtype="float32")([zero, unit])
    # A softmax at the very end: of anything else Keras takes the logarithm of a probability, which
    # teaches nothing once it is rounded to 0.
    return keras.layers.Activation("softmax", dtype="float32", name="probabilities")(units)


def compile_classifier(model: Any, optimizer: Any, label_smoothing: float = 0.0) -> Any:
    """Compiles a classifier of `classify` for one-hot labels; returns it.

    The metrics are `accuracy` and `macro_f1`. For two classes the cross-entropy is the sigmoid's
    binary one.

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
    """The part of a classifier from its input to the features below its last dense layer.

    Raises:
        HeadError: it has no dense layer.
    """
    for layer in reversed(model.layers):
        if isinstance(layer, keras.layers.Dense):
            return keras.Model(model.input, layer.input)
        if isinstance(layer, keras.Model):  # such as a transfer model's head
            with contextlib.suppress(HeadError):
                below = without_head(layer)
                # The `input` of a model is that inside it; here it is what the outer one feeds it.
                return keras.Model(model.input, below(keras.Operation.input.fget(layer)))
    raise HeadError("it has no dense layer that could be its output layer")


def with_temperature(model: Any, temperature: float) -> Any:
    """The classifier with its logits divided by a temperature: the same classes, surer or less so.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Logarithms of probabilities are
    logits too, whatever layer the probabilities come from.

    Args:
        model: to probabilities, float32 [batch, classes].
        temperature: above 0; above 1 makes it less sure.
    """
    logits = keras.ops.log(model.output)
    scaled = keras.layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(logits)
    calibrated = keras.layers.Activation("softmax", dtype="float32", name="calibrated")
    return keras.Model(model.input, calibrated(scaled), name=model.name)


def with_class_probabilities(model: Any) -> Any:
    """The model with one output column a class: float32 [batch, classes].

    A model that `classify` did not end may have a single sigmoid.
    """
    if model.output_shape[-1] > 1:
        return model
    complement = keras.layers.Rescaling(-1.0, offset=1.0, dtype="float32")(model.output)
    both = keras.layers.Concatenate(dtype="float32", name="probabilities")
    return keras.Model(model.input, both([complement, model.output]))
