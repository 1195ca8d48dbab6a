"""What a hypermodel is built for."""

from typing import NamedTuple


class Task(NamedTuple):
    """What the data say of a model, and how long it will be trained.

    Attributes:
        image_shape: height, width and channels of a picture, pixels 0..255; or (f,), of features.
        classes: how many; two get one sigmoid.
        steps: of an epoch.
        epochs: at most so many.
    """

    image_shape: tuple[int, ...]
    classes: int
    steps: int
    epochs: int
