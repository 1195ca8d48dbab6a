"""Answers in TensorFlow Serving's own messages, for gRPC and, as JSON, for REST.

The messages are those of https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.classification_pb2 import (
    Class,
    ClassificationRequest,
    ClassificationResponse,
    ClassificationResult,
    Classifications,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
)
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_management_pb2 import (
    ReloadConfigRequest,
    ReloadConfigResponse,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import (
    Regression,
    RegressionRequest,
    RegressionResponse,
    RegressionResult,
)
from tensorflow_serving.apis.status_pb2 import StatusProto

from deploy.server.configs import check_models
from deploy.server.errors import ServingError, StartError, invalid_argument
from deploy.server.limits import MAX_MESSAGE_BYTES
from deploy.server.servable import DEFAULT_SIGNATURE, Array, Servable, require_few_pixels
from deploy.server.serving import Serving

T = TypeVar("T")

_STRING_BYTES = 64
"""What a string takes in memory at the least."""

_LARGE = 2**18
"""Bytes of a request that takes longer to read than a thread takes to start."""

# TF Serving answers in these fields, and clients read them by name (`outputs["score"].float_val`);
# tf.make_tensor_proto would pack all but strings into `tensor_content`.
_VALUE_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.bool: "bool_val",
    tf.string: "string_val",
}


async def predict(serving: Serving, request: PredictRequest, deadline: float) -> PredictResponse:
    """Answers `PredictionService.Predict`.

    Raises:
        ServingError: NOT_FOUND, FAILED_PRECONDITION (no such signature), INVALID_ARGUMENT, or of
            `Batcher.predict`.
    """
    servable = serving.models.find(request.model_spec)
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if signature not in servable.signature_defs:
        raise ServingError(
            StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.'
        )
    unknown = sorted(set(request.output_filter) - {*servable.signature_defs[signature].outputs})
    if unknown:
        raise invalid_argument(f"output tensor alias not found in signature: {','.join(unknown)}")
    inputs = await off_the_loop(request.ByteSize(), arrays, request)
    outputs = await serving.batcher.predict(servable, signature, inputs, deadline)
    wanted = request.output_filter or outputs.keys()
    return PredictResponse(
        model_spec=_model_spec(servable, signature),
        outputs={name: _to_proto(outputs[name]) for name in wanted},
    )


async def classify(
    serving: Serving, request: ClassificationRequest, deadline: float
) -> ClassificationResponse:
    """Answers `PredictionService.Classify`.

    Raises:
        ServingError: NOT_FOUND, INVALID_ARGUMENT, or of `Batcher.predict`.
    """
    servable = serving.models.find(request.model_spec)
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    servable.require_method(signature, "classify", {"classes", "scores"})
    inputs = {"inputs": serialized_examples(request.input)}
    outputs = await serving.batcher.predict(servable, signature, inputs, deadline)
    return ClassificationResponse(
        model_spec=_model_spec(servable, signature),
        result=ClassificationResult(classifications=_classifications(outputs)),
    )


async def regress(
    serving: Serving, request: RegressionRequest, deadline: float
) -> RegressionResponse:
    """Answers `PredictionService.Regress`.

    Raises:
        ServingError: NOT_FOUND, INVALID_ARGUMENT, or of `Batcher.predict`.
    """
    servable = serving.models.find(request.model_spec)
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    servable.require_method(signature, "regress", {"outputs"})
    inputs = {"inputs": serialized_examples(request.input)}
    outputs = await serving.batcher.predict(servable, signature, inputs, deadline)
    regressions = [Regression(value=value) for value in outputs["outputs"].ravel().tolist()]
    return RegressionResponse(
        model_spec=_model_spec(servable, signature),
        result=RegressionResult(regressions=regressions),
    )


async def model_metadata(
    serving: Serving, request: GetModelMetadataRequest, _: float
) -> GetModelMetadataResponse:
    """Answers `PredictionService.GetModelMetadata`; its only field is `signature_def`.

    Raises:
        ServingError: NOT_FOUND or INVALID_ARGUMENT.
    """
    servable = serving.models.find(request.model_spec)
    if set(request.metadata_field) != {"signature_def"}:
        raise invalid_argument('metadata_field must be "signature_def", the only one supported')
    response = GetModelMetadataResponse(model_spec=_model_spec(servable))
    response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=servable.signature_defs))
    return response


async def model_status(
    serving: Serving, request: GetModelStatusRequest, _: float
) -> GetModelStatusResponse:
    """Answers `ModelService.GetModelStatus`, of each version that is or was known.

    Raises:
        ServingError: NOT_FOUND or INVALID_ARGUMENT.
    """
    versions = serving.models.statuses(request.model_spec)
    return GetModelStatusResponse(
        model_version_status=[
            ModelVersionStatus(version=number, state=version.state, status=_status(version.error))
            for number, version in versions.items()
        ]
    )


async def reload_config(
    serving: Serving, request: ReloadConfigRequest, _: float
) -> ReloadConfigResponse:
    """Answers `ModelService.HandleReloadConfigRequest`: when its models are loaded.

    A model of the new config that cannot be served does not bring back the old config: what can
    be served is.

    Raises:
        ServingError: INVALID_ARGUMENT, the config names no model, or one twice.
    """
    try:
        check_models(request.config)
    except StartError as error:
        raise invalid_argument(str(error)) from error
    problems = await serving.reload(request.config)
    return ReloadConfigResponse(status=_status("; ".join(problems)))


def _classifications(outputs: dict[str, Array]) -> list[Classifications]:
    """What a signature says of each example; it may have no labels, or no scores."""
    shape = next(iter(outputs.values())).shape
    labels, scores = outputs.get("classes"), outputs.get("scores")
    labels = np.full(shape, b"", object) if labels is None else labels
    scores = np.zeros(shape) if scores is None else scores
    return [
        Classifications(
            classes=[Class(label=label, score=score) for label, score in zip(*row, strict=True)]
        )
        for row in zip(labels, scores, strict=True)
    ]


def _status(error: str) -> StatusProto:
    return StatusProto(error_code=2 if error else 0, error_message=error)  # 2 is UNKNOWN


async def off_the_loop(size: int, call: Callable[..., T], *arguments: Any) -> T:
    """Calls at once what is small, and what is large in a thread, so that the loop stays free."""
    if size < _LARGE:
        return call(*arguments)
    return await asyncio.to_thread(call, *arguments)


def arrays(request: PredictRequest) -> dict[str, Array]:
    """The inputs of a request as arrays.

    Raises:
        ServingError: INVALID_ARGUMENT, one is no valid tensor.
    """
    return {name: _to_array(name, proto) for name, proto in request.inputs.items()}


def _model_spec(servable: Servable, signature: str = "") -> ModelSpec:
    spec = ModelSpec(name=servable.name, signature_name=signature)
    spec.version.value = servable.version
    return spec


def serialized_examples(source: Input) -> Array:
    """The examples of a request, each with what they share: serialized, as an object array.

    Raises:
        ServingError: INVALID_ARGUMENT, there is none, or a picture in one is too large.
    """
    with_context = source.example_list_with_context
    examples = [*source.example_list.examples]
    for example in with_context.examples:
        merged = tf.train.Example()
        merged.CopyFrom(with_context.context)
        merged.MergeFrom(example)
        examples.append(merged)
    if not examples:
        raise invalid_argument("Input is empty.")
    for example in examples:
        require_few_pixels(example.features.feature["image/encoded"].bytes_list.value)
    return np.array([example.SerializeToString() for example in examples], dtype=object)


def _to_array(name: str, proto: TensorProto) -> Array:
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    try:
        dtype = tf.as_dtype(proto.dtype)
        # A few bytes can declare any shape, and make_ndarray fills it: refuse before it allocates.
        item = _STRING_BYTES if dtype == tf.string else dtype.size
        if min(sizes, default=0) < 0 or math.prod(sizes) * item > MAX_MESSAGE_BYTES:
            raise invalid_argument(f'Input "{name}" has the impossible shape {sizes}')
        array: Array = tf.make_ndarray(proto)
    except (TypeError, ValueError, KeyError) as error:
        raise invalid_argument(f'Input "{name}" is no valid tensor: {error}') from error
    return array


def _to_proto(array: Array) -> TensorProto:
    dtype = tf.as_dtype(array.dtype)
    if dtype not in _VALUE_FIELDS:
        return tf.make_tensor_proto(array)
    return TensorProto(
        dtype=dtype.as_datatype_enum,
        tensor_shape=tf.TensorShape(array.shape).as_proto(),
        **{_VALUE_FIELDS[dtype]: array.ravel().tolist()},
    )
