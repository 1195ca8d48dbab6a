"""Hypermodels: each module has `build(hp, image_shape, classes)`, which returns a compiled model.

Nothing but `keras.*` in them, so that a search also runs on the JAX backend. Inputs are pixels,
0..255: the scaling is a layer, and what is trained is what is served.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

HYPERMODELS = ("emoji_cnn", "expression_net")

Hypermodel = Callable[[Any, tuple[int, int, int], int], Any]


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
