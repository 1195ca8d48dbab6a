"""The HappyModel of the Happy House experiment: 35,617 parameters at 64x64x3.

Source: REFERENCE_EXPERIMENTS.md, 1. The defaults are the experiment's own hyperparameters, with the
zero padding of 2 that its printed summary has; its text has 3, and a variant 3x3 convolutions.
"""

from typing import Any

import keras

from tuning.heads import classify, compile_classifier
from tuning.task import Task


def build(hp: Any, task: Task) -> Any:
    """Blocks of Conv-BN-ReLU-MaxPool, one as in the experiment, and the output layer.

    Args:
        hp: KerasTuner's hyperparameters: convolution, blocks, filters, dropout, learning_rate.
        task: what it is built for.
    """
    convolution = hp.Choice("convolution", ["7x7_pad_2", "7x7_pad_3", "3x3_same"])
    blocks = hp.Int("blocks", 1, 3, default=1)
    filters = hp.Choice("filters", [16, 32, 64], default=32)
    dropout = hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0)
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)

    inputs = keras.Input(task.image_shape, name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for block in range(blocks):
        x = _convolve(x, convolution, filters * 2**block, f"conv{block}")
        x = keras.layers.BatchNormalization(axis=3, name=f"bn{block}")(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D(2, name=f"max_pool{block or ''}")(x)
    x = keras.layers.Flatten()(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, classify(x, task.classes, name="fc"), name="happy_model")
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))


def _convolve(x: Any, convolution: str, filters: int, name: str) -> Any:
    if convolution == "3x3_same":
        return keras.layers.Conv2D(filters, 3, padding="same", name=name)(x)
    padding = int(convolution[-1])
    x = keras.layers.ZeroPadding2D(padding)(x)
    return keras.layers.Conv2D(filters, 7, name=name)(x)
