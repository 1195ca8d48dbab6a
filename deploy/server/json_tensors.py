"""JSON bodies to arrays and messages, and back, as TensorFlow Serving's REST API maps them.

https://www.tensorflow.org/tfx/serving/api_rest; where the page is silent, and for error texts,
tensorflow_serving/util/json_tensor.cc.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
    Classifications,
)
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from deploy.server import json_writer
from deploy.server.errors import invalid_argument
from deploy.server.servable import Array

Format = Literal["row", "column"]


class PredictBody(NamedTuple):
    """The inputs of a predict request, and the format that its answer must have."""

    inputs: dict[str, Array]
    format: Format


def parse_object(body: bytes) -> dict[str, Any]:
    """Returns the JSON object that `body` is; NaN and Infinity are accepted.

    Raises:
        ServingError: INVALID_ARGUMENT, it is not JSON, or no object, or `signature_name` in it is
            no string.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(parsed, dict):
        raise invalid_argument("JSON Value is not an object")
    if not isinstance(parsed.get("signature_name", ""), str):
        raise invalid_argument("'signature_name' key must be a string value.")
    return parsed


def predict_inputs(body: Mapping[str, Any], specs: Mapping[str, tf.TensorSpec]) -> PredictBody:
    """Reads the tensors of a predict request, in row (`instances`) or column (`inputs`) format.

    Raises:
        ServingError: INVALID_ARGUMENT, the body has not exactly one of the two, or what it has
            does not fit `specs`.
    """
    if ("instances" in body) == ("inputs" in body):
        raise invalid_argument("Request must have either 'instances' or 'inputs', and not both")
    if "instances" in body:
        return PredictBody(_to_arrays(_columns_of_rows(body["instances"], specs), specs), "row")
    return PredictBody(_to_arrays(_columns(body["inputs"], specs), specs), "column")


def predict_answer(outputs: Mapping[str, Array], format_: Format) -> str:
    """Returns the JSON that answers a predict request of `format_`.

    Raises:
        ServingError: INVALID_ARGUMENT, row format and the outputs have no common batch size.
    """
    values = {name: json_writer.tensor(name, array) for name, array in outputs.items()}
    named = len(values) > 1
    if format_ == "column":
        column = values if named else next(iter(values.values()))
        return json_writer.document("outputs", json_writer.spread(column, 1))
    batches = {array.shape[:1] for array in outputs.values()}
    if len(batches) > 1 or () in batches:
        raise invalid_argument("Outputs have no common batch size: ask in column format")
    rows = zip(*values.values(), strict=True)
    if named:
        written = json_writer.objects((dict(zip(values, row, strict=True)) for row in rows), 1)
    else:
        written = json_writer.rows([value for (value,) in rows], 1)
    return json_writer.document("predictions", written)


def classification_request(body: Mapping[str, Any]) -> ClassificationRequest:
    """Reads `examples`, and `context` where there is one; the model spec is left to the caller.

    Raises:
        ServingError: INVALID_ARGUMENT, there are no examples, or one is not as the API says.
    """
    examples = body.get("examples")
    if not isinstance(examples, list) or not examples:
        raise invalid_argument("'examples' must be a list of one example or more")
    request = ClassificationRequest()
    request.model_spec.signature_name = body.get("signature_name", "")
    if "context" in body:
        listed = request.input.example_list_with_context
        listed.context.CopyFrom(_to_example(body["context"]))
    else:
        listed = request.input.example_list
    listed.examples.extend(map(_to_example, examples))
    return request


def regression_request(body: Mapping[str, Any]) -> RegressionRequest:
    """Reads `examples` as `classification_request` does.

    Raises:
        ServingError: INVALID_ARGUMENT, there are no examples, or one is not as the API says.
    """
    read = classification_request(body)
    return RegressionRequest(model_spec=read.model_spec, input=read.input)


def regression_answer(response: RegressionResponse) -> str:
    """Returns `results`: a value for every example."""
    values = np.array([each.value for each in response.result.regressions], np.float32)
    return json_writer.document("results", json_writer.inline(json_writer.decimals(values), 1))


def classification_answer(response: ClassificationResponse) -> str:
    """Returns `results`: a list of [label, score] pairs for every example.

    The page says `result` in one place and `results` in another; the server says `results`.
    """
    return json_writer.document(
        "results", json_writer.rows([_pairs(row) for row in response.result.classifications], 1)
    )


def _pairs(row: Classifications) -> list[list[str]]:
    scores = json_writer.decimals(np.array([each.score for each in row.classes], np.float32))
    return [
        [json_writer.text(each.label), score]
        for each, score in zip(row.classes, scores, strict=True)
    ]


def _columns_of_rows(rows: Any, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise invalid_argument("'instances' must be a list of one value or more")
    if not _is_named(rows[0]):
        return {_only_name(specs, "instances"): rows}
    for position, row in enumerate(rows):
        if not _is_named(row) or row.keys() != specs.keys():
            raise invalid_argument(
                f"Failed to process element: {position} of 'instances' list. "
                f"JSON object: keys must be equal to: {','.join(sorted(specs))}"
            )
    return {name: [row[name] for row in rows] for name in specs}


def _columns(inputs: Any, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    if not _is_named(inputs):
        return {_only_name(specs, "inputs"): inputs}
    for name in specs:
        if name not in inputs:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return dict(inputs)


def _only_name(specs: Mapping[str, tf.TensorSpec], key: str) -> str:
    if len(specs) > 1:
        raise invalid_argument(f"'{key}' must name its tensors: {','.join(sorted(specs))}")
    return next(iter(specs))


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _to_arrays(columns: Mapping[str, Any], specs: Mapping[str, tf.TensorSpec]) -> dict[str, Array]:
    return {name: to_array(name, columns[name], spec.dtype) for name, spec in specs.items()}


def to_array(name: str, value: Any, dtype: tf.DType) -> Array:
    """Nested lists as an array.

    Raises:
        ServingError: INVALID_ARGUMENT, they are ragged, or do not fit the dtype.
    """
    try:
        if dtype == tf.string:
            return _to_strings(value)
        if _holds(str, value):  # numpy would make all of them as long as the longest.
            raise TypeError("it holds a string")
        return _to_numbers(np.array(value), dtype.as_numpy_dtype)
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid_argument(f'Input "{name}" is not of type {dtype.name}: {error}') from error


def _holds(kind: type, value: Any) -> bool:
    """Whether there is one of a kind in nested lists; asks of each list and not of each item."""
    if not isinstance(value, list):
        return isinstance(value, kind)
    kinds = set(map(type, value))
    return kind in kinds or (list in kinds and any(_holds(kind, each) for each in value))


def _to_numbers(array: Array, dtype: type[np.generic]) -> Array:
    """Returns `array` as `dtype`, if that keeps every value; numpy alone would also read "1"."""
    accepted = {"f": "iuf", "i": "iu", "u": "iu", "b": "b"}.get(np.dtype(dtype).kind, "")
    if array.size and array.dtype.kind not in accepted:
        raise TypeError(f"it holds values of type {array.dtype.name}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    kept = np.isinf(cast) == np.isinf(array) if np.dtype(dtype).kind == "f" else cast == array
    if not np.all(kept):
        raise ValueError("a value does not fit in")
    return cast


def _to_strings(value: Any) -> Array:
    array = np.array(_to_bytes(value), dtype=object)
    # Where the lists are ragged, numpy makes an array of lists.
    if not all(isinstance(item, bytes) for item in array.flat):
        raise ValueError("its lists differ in length")
    return array


def _to_bytes(value: Any) -> Any:
    """Returns nested lists of strings and base64 objects with bytes for both."""
    if isinstance(value, list):
        return [_to_bytes(item) for item in value]
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise TypeError(f"it holds a {type(value).__name__}")
    text = value["b64"]
    try:
        # TF Serving's decoder (absl) needs no padding.
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"Unable to base64 decode ({error})") from error


def _to_example(features: Any) -> tf.train.Example:
    if not isinstance(features, dict):
        raise invalid_argument("Example must be JSON object")
    return tf.train.Example(
        features=tf.train.Features(
            feature={name: _to_feature(name, value) for name, value in features.items()}
        )
    )


def _to_feature(name: str, value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    try:
        if all(isinstance(item, int) for item in values):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        if all(isinstance(item, float) for item in values):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=_to_bytes(values)))
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid_argument(f"Unexpected element type in feature: {name}: {error}") from error
