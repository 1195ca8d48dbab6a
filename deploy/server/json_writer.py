"""JSON as TensorFlow Serving writes it, byte for byte: whitespace, decimals, strings.

Its writer is RapidJSON's PrettyWriter, used as tensorflow_serving/util/json_tensor.cc does; status
and metadata are written by protobuf.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Written = Any
"""Nested lists, and objects, of values that are written already."""

_INDENT = "    "
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def document(key: str, value: str) -> str:
    """An object with one key, whose value is written already, at depth 1."""
    return _over_lines([f"{text(key)}: {value}"], "{}", 0)


def spread(value: Written, depth: int) -> str:
    """With every value of a list on a line of its own: PrettyWriter's default.

    Args:
        value: what to write.
        depth: how many lists and objects are around it.
    """
    if isinstance(value, list):
        return _over_lines([spread(each, depth + 1) for each in value], "[]", depth)
    return write_object(value, depth, spread) if isinstance(value, dict) else value


def inline(value: Written, depth: int) -> str:
    """With a list on one line: its `kFormatSingleLineArray`. Objects are over lines as before."""
    if isinstance(value, list):
        return f"[{', '.join(inline(each, depth + 1) for each in value)}]"
    return write_object(value, depth, inline) if isinstance(value, dict) else value


def rows(values: list[Written], depth: int) -> str:
    """A list of rows, each on one line, as TF Serving writes it: with a line for the last bracket.

    It sets the one format and the other in turn.
    """
    return f"[{', '.join(inline(each, depth + 1) for each in values)}\n{_INDENT * depth}]"


def objects(values: Iterable[Mapping[str, Written]], depth: int) -> str:
    """A list of objects whose lists are on one line."""
    return _over_lines([write_object(each, depth + 1, inline) for each in values], "[]", depth)


def write_object(
    values: Mapping[str, Written], depth: int, write: Callable[[Written, int], str]
) -> str:
    """An object, over lines, its values by `write`."""
    items = [f"{text(name)}: {write(value, depth + 1)}" for name, value in values.items()]
    return _over_lines(items, "{}", depth)


def text(value: str) -> str:
    """A string: not ASCII alone, but UTF-8."""
    return json.dumps(value, ensure_ascii=False)


def tensor(name: str, array: npt.NDArray[Any]) -> Written:
    """An array as nested lists; strings as text, in a tensor `..._bytes` as base64 objects."""
    values = np.empty(array.size, object)
    values[:] = _values(name, array.ravel())
    return values.reshape(array.shape).tolist()


def _values(name: str, flat: npt.NDArray[Any]) -> list[Written]:
    if flat.dtype.kind == "f":
        return decimals(flat)
    if flat.dtype != object:
        return [json.dumps(value) for value in flat.tolist()]
    if name.endswith("_bytes"):
        return [{"b64": text(base64.b64encode(value).decode())} for value in flat]
    return [text(value.decode(errors="replace")) for value in flat]


def decimals(flat: npt.NDArray[Any]) -> list[str]:
    """Floats [n]: in six digits, where they are not the number then in all of its digits.

    `WriteDecimal` of json_tensor.cc: 0.2, 4.0, 9e+06, and 0.123456791 of 32 bits.
    """
    if flat.dtype != np.float64:
        flat = flat.astype(np.float32)
    digits = 17 if flat.dtype == np.float64 else 9  # std::numeric_limits<T>::max_digits10
    short = [f"{value:g}" for value in flat.tolist()]
    same = np.array([float(each) for each in short], flat.dtype) == flat
    return [
        _decimal(each if exact else f"{value:.{digits}g}")
        for each, exact, value in zip(short, same.tolist(), flat.tolist(), strict=True)
    ]


def _decimal(digits: str) -> str:
    if digits in _NOT_FINITE:
        return _NOT_FINITE[digits]
    return digits if "." in digits or "e" in digits else f"{digits}.0"


def _over_lines(items: list[str], brackets: str, depth: int) -> str:
    if not items:
        return brackets
    start = "\n" + _INDENT * (depth + 1)
    return f"{brackets[0]}{start}{f',{start}'.join(items)}\n{_INDENT * depth}{brackets[1]}"
