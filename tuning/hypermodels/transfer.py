"""Transfer learning: a trained backbone under a new head.

By default as in the CK+ experiment: the backbone is frozen, its features are computed once, and the
head is one dense layer on their average. Source: REFERENCE_EXPERIMENTS.md, 2. What it fed to VGG16
unprocessed and judged by a sigmoid is done right here. With `fine_tune`, all of it is trained.
"""

from collections.abc import Mapping
from typing import Any

import keras

from tuning.backbones import load_backbone
from tuning.heads import classify, compile_classifier
from tuning.task import Task


def build(hp: Any, task: Task) -> Any:
    """The head on a frozen backbone's features; with `fine_tune`, backbone and head.

    Args:
        hp: KerasTuner's hyperparameters: units, dropout, learning_rate; and, not searched but set,
            backbone, weights (see `tuning.backbones.load_backbone`) and fine_tune.
        task: its image_shape is that of the features, (f,), where the backbone is frozen.
    """
    backbone, weights = hp.Fixed("backbone", "vgg16"), hp.Fixed("weights", "imagenet")
    fine_tune = hp.Fixed("fine_tune", False)
    units = hp.Choice("units", [0, 128, 256], default=0)
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0)
    # Larger steps would undo what the backbone has learnt, says Keras's guide to transfer learning.
    rate = 1e-5 if fine_tune else 1e-3
    learning_rate = hp.Float("learning_rate", 1e-5, 1e-2, sampling="log", default=rate)

    if fine_tune:
        body = load_backbone(backbone, weights, task.image_shape)
        body.trainable = True
        inputs, x = body.input, body.output
    else:
        inputs = x = keras.Input(task.image_shape, name="features")
    if units:
        x = keras.layers.Dense(units, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, classify(x, task.classes), name="transfer")
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


def frozen_part(values: Mapping[str, Any], image_shape: tuple[int, ...]) -> Any | None:
    """The backbone that is the same in every epoch of every trial; None where it is trained too."""
    if values["fine_tune"]:
        return None
    return load_backbone(values["backbone"], values["weights"], image_shape)
