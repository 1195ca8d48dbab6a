"""The convolutional network of the happy-or-sad experiment: 2,373,601 parameters at 150x150x3.

Source: REFERENCE_EXPERIMENTS.md, 4. The defaults are the experiment's own hyperparameters.
"""

from typing import Any

import keras

from tuning.heads import classify, compile_classifier
from tuning.task import Task


def build(hp: Any, task: Task) -> Any:
    """Three Conv-ReLU-MaxPool blocks and one hidden layer.

    Args:
        hp: KerasTuner's hyperparameters: filters, units, learning_rate.
        task: what it is built for.
    """
    filters = hp.Choice("filters", [8, 16, 32], default=16)
    units = hp.Choice("units", [128, 256, 512], default=512)
    learning_rate = hp.Float("learning_rate", 1e-4, 3e-3, sampling="log", default=1e-3)

    inputs = keras.Input(task.image_shape, name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for _ in range(3):
        x = keras.layers.Conv2D(filters, 3, activation="relu")(x)
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(units, activation="relu")(x)
    model = keras.Model(inputs, classify(x, task.classes), name="emoji_cnn")
    return compile_classifier(model, keras.optimizers.RMSprop(learning_rate))
