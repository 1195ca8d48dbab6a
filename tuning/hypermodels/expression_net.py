"""A searched convolutional network: its architecture, its regularization and its optimizer."""

from typing import Any, NamedTuple

import keras

from tuning.heads import classify, compile_classifier
from tuning.optimizers import search_optimizer
from tuning.task import Task


class _Stage(NamedTuple):
    """What the stages have in common."""

    convolutions: int
    kernel: int
    residual: bool
    squeeze_excite: bool
    depthwise: bool
    momentum: float


def build(hp: Any, task: Task) -> Any:
    """Stages of Conv-BN-ReLU, each pooled to half the size and twice as wide as the one before.

    Args:
        hp: KerasTuner's hyperparameters: of the architecture, stages, width, convolutions, kernel,
            residual, squeeze_excite, depthwise and head; of the regularization, dropout, augment,
            label_smoothing and mixup; of the optimizer, those of `search_optimizer`.
        task: what it is built for.
    """
    stages = hp.Int("stages", 3, 4, default=3)
    width = hp.Choice("width", [16, 24, 32, 48, 64], default=24)
    stage = _Stage(
        convolutions=hp.Int("convolutions", 1, 3, default=1),
        kernel=hp.Choice("kernel", [3, 5], default=3),
        residual=hp.Boolean("residual", default=False),
        squeeze_excite=hp.Boolean("squeeze_excite", default=False),
        depthwise=hp.Boolean("depthwise", default=False),
        momentum=momentum_for(task.steps),
    )
    # Faces are cropped: where something is tells more than that it is there.
    head = hp.Choice("head", ["average", "dense"], default="dense")
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
    augment = hp.Choice("augment", ["none", "flip", "affine"], default="flip")
    label_smoothing = hp.Float("label_smoothing", 0.0, 0.2, step=0.05, default=0.0)
    hp.Float("mixup", 0.0, 0.4, step=0.1, default=0.0)  # It is done to the batches.

    inputs = keras.Input(task.image_shape, name="pixels")
    x = inputs
    for layer in _augmentation(augment):
        x = layer(x)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    for number in range(stages):
        x = _add_stage(x, width * 2**number, stage)
    x = _add_head(x, head, dropout, stage.momentum)
    model = keras.Model(inputs, classify(x, task.classes), name="expression_net")
    return compile_classifier(model, search_optimizer(hp, task), label_smoothing)


def momentum_for(steps: int) -> float:
    """The momentum with which an epoch's batches replace 99 % of a moving average, at most 0.99.

    Keras's default of 0.99 leaves validation at chance for 15 epochs where an epoch has 26 steps.
    """
    return min(0.99, 0.01 ** (1 / steps))


def _augmentation(augment: str) -> list[Any]:
    """Layers that change pictures in training, and let them pass in predict, evaluate and export.

    Keras's random layers also change them where a model is called without `training=False`.
    """
    flip = [keras.layers.RandomFlip("horizontal")]
    affine = [
        keras.layers.RandomRotation(15 / 360, fill_mode="nearest"),
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        keras.layers.RandomZoom(0.1, fill_mode="nearest"),
    ]
    return {"none": [], "flip": flip, "affine": flip + affine}[augment]


def _add_stage(x: Any, width: int, stage: _Stage) -> Any:
    shortcut = x
    for number in range(stage.convolutions):
        x = _add_convolution(x, width, stage)
        if number < stage.convolutions - 1:
            x = keras.layers.ReLU()(x)
    if stage.squeeze_excite:
        x = _squeeze_and_excite(x)
    if stage.residual:
        x = keras.layers.Add()([x, _project(shortcut, width, stage.momentum)])
    x = keras.layers.ReLU()(x)
    return keras.layers.MaxPooling2D(2, padding="same")(x)


def _add_convolution(x: Any, width: int, stage: _Stage) -> Any:
    # A picture's channels are too few to be worth a filter each.
    separable = stage.depthwise and x.shape[-1] > 3
    convolution = keras.layers.SeparableConv2D if separable else keras.layers.Conv2D
    x = convolution(width, stage.kernel, padding="same", use_bias=False)(x)
    return keras.layers.BatchNormalization(momentum=stage.momentum)(x)


def _project(x: Any, width: int, momentum: float) -> Any:
    """A shortcut of another width (He et al., CVPR 2016, option B)."""
    x = keras.layers.Conv2D(width, 1, use_bias=False)(x)
    return keras.layers.BatchNormalization(momentum=momentum)(x)


def _squeeze_and_excite(x: Any) -> Any:
    """Weighs the channels by what the whole picture shows (Hu et al., CVPR 2018)."""
    width = x.shape[-1]
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = keras.layers.Dense(max(4, width // 8), activation="relu")(weights)
    weights = keras.layers.Dense(width, activation="sigmoid")(weights)
    return keras.layers.Multiply()([x, weights])


def _add_head(x: Any, head: str, dropout: float, momentum: float) -> Any:
    if head == "average":
        x = keras.layers.GlobalAveragePooling2D()(x)
    else:
        x = keras.layers.Dense(256, use_bias=False)(keras.layers.Flatten()(x))
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=momentum)(x))
    return keras.layers.Dropout(dropout)(x)
