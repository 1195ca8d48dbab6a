"""KServe's Open Inference Protocol, version 2, over HTTP, beside TF Serving's API.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol

A string tensor, `BYTES`, holds strings, or `{"b64": ...}` as TF Serving has it; with the parameter
`content_type: base64` all its strings are base64. The parameter `signature_name` of a request names
another signature than `serving_default`.
"""

import base64
import binascii
import json
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow_serving.apis.model_pb2 import ModelSpec

from deploy.server import json_tensors, json_writer
from deploy.server.errors import ServingError, invalid_argument
from deploy.server.off_loop import off_the_loop
from deploy.server.servable import DEFAULT_SIGNATURE, Array, Servable
from deploy.server.serving import Serving

PLATFORM = "tensorflow_savedmodel"

_DATATYPES = {
    tf.bool: "BOOL",
    tf.uint8: "UINT8",
    tf.int32: "INT32",
    tf.int64: "INT64",
    tf.float16: "FP16",
    tf.float32: "FP32",
    tf.float64: "FP64",
    tf.string: "BYTES",
}


async def ready(serving: Serving, spec: ModelSpec, _: bytes, __: float) -> dict[str, Any]:
    """Answers whether a model is served.

    Raises:
        ServingError: NOT_FOUND, it is not.
    """
    return {"name": serving.models.find(spec).name, "ready": True}


async def metadata(serving: Serving, spec: ModelSpec, _: bytes, __: float) -> dict[str, Any]:
    """Answers what a model's default signature takes and gives.

    Raises:
        ServingError: NOT_FOUND; INVALID_ARGUMENT, it has none.
    """
    servable = serving.models.find(spec)
    known = serving.models.statuses(ModelSpec(name=spec.name))
    servable.inputs(DEFAULT_SIGNATURE)  # There may be none of that name.
    signature = servable.signature_defs[DEFAULT_SIGNATURE]
    return {
        "name": servable.name,
        "versions": [str(number) for number, version in known.items() if version.servable],
        "platform": PLATFORM,
        "inputs": [_describe(name, info) for name, info in sorted(signature.inputs.items())],
        "outputs": [_describe(name, info) for name, info in sorted(signature.outputs.items())],
    }


async def infer(serving: Serving, spec: ModelSpec, body: bytes, deadline: float) -> dict[str, Any]:
    """Answers an inference request.

    Raises:
        ServingError: NOT_FOUND, INVALID_ARGUMENT, or of `Batcher.predict`.
    """
    servable = serving.models.find(spec)
    asked = await off_the_loop(len(body), _read, body, servable)
    outputs = await serving.predict(servable, asked.signature, asked.inputs, deadline)
    if unknown := [name for name in asked.outputs if name not in outputs]:
        raise invalid_argument(f"there is no output {', '.join(unknown)}")
    return asked.id | {
        "model_name": servable.name,
        "model_version": str(servable.version),
        "outputs": [_to_output(name, outputs[name]) for name in asked.outputs or outputs],
    }


class _Asked(NamedTuple):
    """An inference request, read."""

    signature: str
    inputs: dict[str, Array]
    outputs: list[str]
    id: dict[str, Any]


def _read(body: bytes, servable: Servable) -> _Asked:
    request = json_tensors.parse_object(body)
    try:
        signature = request.get("parameters", {}).get("signature_name", DEFAULT_SIGNATURE)
        specs = servable.inputs(signature)
        inputs = {one["name"]: _to_array(one, specs) for one in request["inputs"]}
        outputs = ["" + one["name"] for one in request.get("outputs", [])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise invalid_argument(f"not as the protocol has it: {error!r}") from error
    return _Asked(signature, inputs, outputs, {"id": request["id"]} if "id" in request else {})


def _describe(name: str, info: Any) -> dict[str, Any]:
    datatype = _DATATYPES.get(tf.as_dtype(info.dtype), "")
    return {
        "name": name,
        "datatype": datatype,
        "shape": [dim.size for dim in info.tensor_shape.dim],
    }


def _to_array(one: dict[str, Any], specs: dict[str, tf.TensorSpec]) -> Array:
    name, shape, data = one["name"], one["shape"], one["data"]
    if name not in specs:
        raise invalid_argument(f"there is no input {name}")
    dtype = specs[name].dtype
    if one["datatype"] != _DATATYPES.get(dtype):
        raise invalid_argument(f"input {name} is of datatype {_DATATYPES.get(dtype)}")
    if dtype == tf.string and one.get("parameters", {}).get("content_type") == "base64":
        array = np.array([_decode(text) for text in data], dtype=object)
    else:
        array = json_tensors.to_array(name, data, dtype)
    if array.size != math.prod(shape) or min(shape, default=0) < 0:
        raise invalid_argument(f"input {name} has {array.size} values, and the shape {shape}")
    return array.reshape(shape)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ServingError(StatusCode.INVALID_ARGUMENT, f"no base64: {error}") from error


def _to_output(name: str, array: Array) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": _DATATYPES.get(tf.as_dtype(array.dtype), ""),
        "shape": list(array.shape),
        "data": json.loads(json_writer.inline(json_writer.tensor(name, array.ravel()), 1)),
    }
