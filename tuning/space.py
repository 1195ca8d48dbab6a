"""A hypermodel's space: its defaults, a part of it fixed, a model of given hyperparameters."""

from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner as kt


def default_values(build: Callable[[Any], Any]) -> dict[str, Any]:
    """The default of every hyperparameter that a hypermodel declares."""
    hp = kt.HyperParameters()
    build(hp)
    return dict(hp.values)


def with_fixed(build: Callable[[Any], Any], fixed: Mapping[str, Any]) -> Callable[[Any], Any]:
    """A hypermodel, some of whose hyperparameters are set, and not searched."""

    def build_fixed(hp: Any) -> Any:
        for name, value in fixed.items():
            hp.Fixed(name, value)
        return build(hp)

    return build_fixed


def build_with(build: Callable[[Any], Any], values: Mapping[str, Any]) -> Any:
    """What a hypermodel builds of these hyperparameters; one without a value has its default."""
    hp = kt.HyperParameters()
    hp.values.update(values)
    return build(hp)
