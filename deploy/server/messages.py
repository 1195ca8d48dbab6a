"""Answers in TensorFlow Serving's own messages, for gRPC and, as JSON, for REST.

The messages are those of https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

import math
from collections.abc import Sequence
from itertools import chain

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
from deploy.server.off_loop import off_the_loop
from deploy.server.servable import DEFAULT_SIGNATURE, Array, Servable, pixels_of
from deploy.server.serving import Serving

_STRING_BYTES = 64
"""What a string takes in memory at the least."""

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
    outputs = await serving.predict(servable, signature, inputs, deadline)
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
    outputs = await _ask_of_examples(serving, servable, signature, request.input, deadline)
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
    outputs = await _ask_of_examples(serving, servable, signature, request.input, deadline)
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
        ServingError: INVALID_ARGUMENT, the config names no model, or one twice;
            FAILED_PRECONDITION, not all of it is served.
    """
    try:
        check_models(request.config)
    except StartError as error:
        raise invalid_argument(str(error)) from error
    if shortfalls := await serving.reload(request.config):
        raise ServingError(StatusCode.FAILED_PRECONDITION, "; ".join(shortfalls))
    return ReloadConfigResponse(status=_status(""))


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


async def _ask_of_examples(
    serving: Serving, servable: Servable, signature: str, source: Input, deadline: float
) -> dict[str, Array]:
    examples = merged_examples(source)
    pictures = (each.features.feature["image/encoded"].bytes_list.value for each in examples)
    pixels = await off_the_loop(source.ByteSize(), pixels_of, chain.from_iterable(pictures))
    inputs = {"inputs": serialized(examples)}
    return await serving.predict(servable, signature, inputs, deadline, pixels)


def merged_examples(source: Input) -> list[tf.train.Example]:
    """The examples of a request, each with what they share.

    Raises:
        ServingError: INVALID_ARGUMENT, there is none.
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
    return examples


def serialized(examples: Sequence[tf.train.Example]) -> Array:
    """Examples as the input of a signature: an object array of bytes."""
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
