"""Batches of arrays: the same in a trial of the search and in the full training."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np


class Arrays(NamedTuple):
    """Images uint8 [n, height, width, channels], or features float32 [n, f]; labels int64 [n]."""

    images: Any
    labels: Any


class Batches(keras.utils.PyDataset):
    """Batches of arrays that may be larger than memory; Keras copies an array that it is given.

    A batch is images [n, height, width, channels], uint8 or with mixup float32, and one-hot labels
    float32 [n, classes]. Their order, and what is mixed, hang on the last `shuffle` alone.
    """

    def __init__(
        self, images: Any, labels: Any, classes: int, *, batch_size: int, mixup: float = 0.0
    ) -> None:
        """Takes the arrays as they stand; without a `shuffle` their own order is kept.

        Args:
            images: uint8 [n, height, width, channels], in memory or mapped from a file.
            labels: int64 [n].
            classes: how many.
            batch_size: images a step.
            mixup: alpha of the Beta distribution that the share of the second picture of a pair
                is drawn from; 0: none. For train only. Zhang et al., mixup, ICLR 2018.
        """
        super().__init__()
        self._images, self._labels, self._classes = images, labels, classes
        self._batch_size, self._mixup = batch_size, mixup
        self.shuffle(0, 0)
        self._order = np.arange(len(labels))

    def shuffle(self, seed: int, epoch: int) -> None:
        """Into an order that hangs on the seed and the number of the epoch alone."""
        self._seed = (seed, epoch)
        self._order = np.random.default_rng(self._seed).permutation(len(self._labels))

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return math.ceil(len(self._labels) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """A batch by its number; the last one may be smaller."""
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        images, labels = self._images[rows], self._labels[rows]
        one_hot = np.eye(self._classes, dtype=np.float32)[labels]
        if not self._mixup:
            return images, one_hot
        return _mix(images, one_hot, self._mixup, np.random.default_rng([*self._seed, index]))


def _mix(images: Any, labels: Any, alpha: float, rng: np.random.Generator) -> tuple[Any, Any]:
    """Adds to each picture another one of the batch, and to its label the other's, in one share."""
    share = np.float32(rng.beta(alpha, alpha))
    others = rng.permutation(len(labels))
    images = images.astype(np.float32)
    return (
        share * images + (1 - share) * images[others],
        share * labels + (1 - share) * labels[others],
    )
