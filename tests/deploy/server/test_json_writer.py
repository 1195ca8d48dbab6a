import json

import numpy as np
import pytest

from deploy.server import json_writer


@pytest.mark.parametrize(
    ("value", "written"),
    [
        # WriteDecimal of json_tensor.cc: six digits where they suffice, else all.
        (0.2, "0.2"),
        (4.0, "4.0"),
        (100000.0, "100000.0"),
        (9e6, "9e+06"),
        (3e-5, "3e-05"),
        (1 / 3, "0.333333343"),
        (1435774380, "1.43577434e+09"),
        (-0.0, "-0.0"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_a_float_is_written_as_tf_serving_does(value: float, written: str) -> None:
    assert json_writer.decimals(np.float32([value])) == [written]


def test_a_double_has_all_its_digits() -> None:
    assert json_writer.decimals(np.float64([0.1 + 0.2, 0.5])) == ["0.30000000000000004", "0.5"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_float_is_read_as_it_was(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=1000) * 10.0 ** rng.integers(-30, 30, 1000)).astype(dtype)
    read = np.array([float(each) for each in json_writer.decimals(values)], dtype)
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize(
    ("array", "nested"),
    [
        (np.zeros((0, 3), np.float32), []),
        (np.array(7, np.int64), 7),
        (np.array([[True], [False]]), [[True], [False]]),
        (np.array([b'\xc3\xa9\n"', b"\xff"], object), ['é\n"', "\ufffd"]),
    ],
)
def test_any_tensor_is_json_in_either_format(array: np.ndarray, nested: object) -> None:
    written = json_writer.tensor("x", array)
    for write in (json_writer.spread, json_writer.inline):
        assert json.loads(json_writer.document("x", write(written, 1))) == {"x": nested}


def test_text_is_utf8_and_not_escaped() -> None:
    assert json_writer.text("freude é 😀") == '"freude é 😀"'
