"""A hypermodel's space: its defaults, a part of it fixed, a model of given hyperparameters."""

from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner as kt
from keras_tuner.engine import hyperparameters as kinds


class SpaceError(ValueError):
    """A hyperparameter that there is not, or a value that it cannot have; says what can be."""


def default_values(build: Callable[[Any], Any]) -> dict[str, Any]:
    """The default of every hyperparameter that a hypermodel declares."""
    hp = kt.HyperParameters()
    build(hp)
    return dict(hp.values)


def require_possible(build: Callable[[Any], Any], fixed: Mapping[str, Any]) -> None:
    """Checks what shall be fixed: KerasTuner takes any value, and a hypermodel may not notice.

    A number may lie beyond the range that is searched.

    Raises:
        SpaceError: the hypermodel has no such hyperparameter, or it has other values.
    """
    hp = kt.HyperParameters()
    build(hp)
    space = {declared.name: declared for declared in hp.space}
    for name, value in fixed.items():
        if name not in space:
            raise SpaceError(f"{name}: no such hyperparameter; there are {', '.join(space)}")
        if wanted := _wanted_instead(space[name], value):
            raise SpaceError(f"{name}: {value!r} is not possible: {wanted}")


def _wanted_instead(declared: Any, value: Any) -> str | None:
    default = declared.default
    if isinstance(declared, kinds.Choice | kinds.Boolean) or isinstance(default, bool):
        choices = list(declared.values) if isinstance(declared, kinds.Choice) else [True, False]
        if any(_is(value, type(choice)) and value == choice for choice in choices):
            return None
        return f"one of {', '.join(map(str, choices))}"
    if _is(value, type(default)):
        return None
    wanted = {int: "a whole number", float: "a number", str: "a text"}[type(default)]
    hint = "; YAML reads 1e-3 as a text, 1.0e-3 as a number" if type(default) is float else ""
    return f"{wanted}, such as {default}{hint}"


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


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
