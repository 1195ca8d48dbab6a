"""The convolutional network of the FER2013 experiment: 4,478,727 parameters at 48x48x1.

Source: REFERENCE_EXPERIMENTS.md, 3. The defaults are the experiment's own hyperparameters.
"""

from typing import Any

import keras

from tuning.heads import classify, compile_classifier
from tuning.task import Task

_CONVOLUTIONS = ((64, 3), (128, 5), (512, 3), (512, 3))
_UNITS = (256, 512)


def build(hp: Any, task: Task) -> Any:
    """Four blocks of Conv-BN-ReLU-MaxPool-Dropout and two of Dense-BN-ReLU-Dropout.

    Args:
        hp: KerasTuner's hyperparameters: width (times the experiment's), dropout, learning_rate.
        task: what it is built for.
    """
    width = hp.Choice("width", [0.25, 0.5, 1.0], default=1.0)
    dropout = hp.Float("dropout", 0.1, 0.5, step=0.05, default=0.25)
    learning_rate = hp.Float("learning_rate", 1e-4, 3e-3, sampling="log", default=3.5e-4)

    inputs = keras.Input(task.image_shape, name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for filters, kernel in _CONVOLUTIONS:
        x = _normalize(keras.layers.Conv2D(int(filters * width), kernel, padding="same")(x))
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Flatten()(x)
    for units in _UNITS:
        x = _normalize(keras.layers.Dense(int(units * width))(x))
        x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, classify(x, task.classes), name="fer_cnn")
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


def _normalize(x: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
