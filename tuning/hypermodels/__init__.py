"""Hypermodels: each module has `build(hp, task)`, which returns a compiled model.

Nothing but `keras.*` in them, so that a search also runs on the JAX backend. Inputs are pixels,
0..255: the scaling is a layer, and what is trained is what is served.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from tuning.task import Task

HYPERMODELS = ("emoji_cnn", "expression_net", "fer_cnn", "happy_model", "transfer")

Hypermodel = Callable[[Any, Task], Any]


def get_hypermodel(name: str) -> Hypermodel:
    """The `build` function of a hypermodel.

    Args:
        name: one of HYPERMODELS.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in HYPERMODELS:
        raise ValueError(f"hypermodel {name!r}: unknown; one of {', '.join(HYPERMODELS)}")
    return import_module(f"{__name__}.{name}").build


def frozen_part(name: str, values: Mapping[str, Any], image_shape: tuple[int, ...]) -> Any | None:
    """The part of a hypermodel that training does not change, whose features `build` builds on.

    Args:
        name: one of HYPERMODELS.
        values: of its hyperparameters.
        image_shape: height, width and channels of a picture.

    Returns:
        A Keras model from pixels to features float32 [batch, f]; None: `build` builds on pixels.
    """
    module = import_module(f"{__name__}.{name}")
    return module.frozen_part(values, image_shape) if hasattr(module, "frozen_part") else None
