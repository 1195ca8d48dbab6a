"""Checks of what a user sets as options of a dataset."""

from __future__ import annotations

from typing import Any


def check_whole(option: str, value: Any, least: int, most: int) -> None:
    """Checks a whole number.

    Raises:
        ValueError: it is none, or not from `least` to `most`.
    """
    if not (type(value) is int and least <= value <= most):
        raise ValueError(f"{option}: is {value!r}; give a whole number from {least} to {most}")
