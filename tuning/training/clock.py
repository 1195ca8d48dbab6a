"""How long an epoch takes, and how many images of it a second."""

import time
from typing import Any

import keras


class Clock(keras.callbacks.Callback):
    """Takes the time of an epoch; those called after it at an epoch's end find it in `times`.

    Attributes:
        times: `seconds`, of the epoch's training and validation, and `images_per_second`, of its
            training.
    """

    def __init__(self, images: int) -> None:
        """Takes how many train images an epoch has."""
        super().__init__()
        self._images = images
        self.times: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts."""
        self._began = time.perf_counter()
        self._trained: float | None = None  # There may be no validation.

    def on_test_begin(self, logs: Any = None) -> None:
        """Notes when the training ends and the validation begins."""
        # JAX does not wait for the steps that it was given; their last result does.
        keras.ops.convert_to_numpy(self.model.optimizer.iterations)
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Fills `times`."""
        ended = time.perf_counter()
        training = (self._trained or ended) - self._began
        self.times = {
            "seconds": ended - self._began,
            "images_per_second": self._images / training,
        }
