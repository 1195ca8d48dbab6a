"""A searched convolutional network: its depth, width, kernel, dropout and learning rate."""

from typing import Any

import keras

from tuning.heads import classify, compile_classifier

# Keras's default of 0.99 leaves validation at chance for 15 epochs where an epoch has 26 steps.
_BATCH_NORM_MOMENTUM = 0.9


def build(hp: Any, image_shape: tuple[int, int, int], classes: int) -> Any:
    """Stages of Conv-BN-ReLU-MaxPool, the width doubled from one to the next; global average pool.

    Args:
        hp: KerasTuner's hyperparameters: stages, width, kernel, dropout, learning_rate.
        image_shape: height, width and channels of the input, pixels 0..255.
        classes: how many; two get one sigmoid.
    """
    stages = hp.Int("stages", 3, 4, default=3)
    width = hp.Choice("width", [16, 24, 32], default=24)
    kernel = hp.Choice("kernel", [3, 5], default=3)
    dropout = hp.Float("dropout", 0.0, 0.4, step=0.1, default=0.2)
    learning_rate = hp.Float("learning_rate", 5e-4, 5e-3, sampling="log", default=2e-3)

    inputs = keras.Input(image_shape, name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for stage in range(stages):
        x = keras.layers.Conv2D(width * 2**stage, kernel, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM)(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, classify(x, classes), name="expression_net")
    return compile_classifier(model, keras.optimizers.Adam(learning_rate))
