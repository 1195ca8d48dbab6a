"""Answers in TensorFlow Serving's own messages, for gRPC and, as JSON, for REST.

The messages are those of https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

import math

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
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.status_pb2 import StatusProto

from deploy.server.errors import ServingError, invalid_argument
from deploy.server.limits import MAX_MESSAGE_BYTES
from deploy.server.servable import DEFAULT_SIGNATURE, Array, Servable

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


def require(servable: Servable, spec: ModelSpec) -> None:
    """Checks that `spec` asks for `servable`.

    Raises:
        ServingError: NOT_FOUND, it asks for another model or version; INVALID_ARGUMENT, it asks
            by a version label.
    """
    if spec.version_label:
        raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
    servable.require(spec.name, spec.version.value if spec.HasField("version") else None)


def predict(servable: Servable, request: PredictRequest) -> PredictResponse:
    """Answers `PredictionService.Predict`.

    Raises:
        ServingError: NOT_FOUND, FAILED_PRECONDITION (no such signature) or INVALID_ARGUMENT.
    """
    require(servable, request.model_spec)
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if signature not in servable.signature_defs:
        raise ServingError(
            StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.'
        )
    inputs = {name: _to_array(name, proto) for name, proto in request.inputs.items()}
    outputs = servable.predict(signature, inputs)
    unknown = sorted(set(request.output_filter) - outputs.keys())
    if unknown:
        raise invalid_argument(f"output tensor alias not found in signature: {','.join(unknown)}")
    wanted = request.output_filter or outputs.keys()
    return PredictResponse(
        model_spec=_model_spec(servable, signature),
        outputs={name: _to_proto(outputs[name]) for name in wanted},
    )


def classify(servable: Servable, request: ClassificationRequest) -> ClassificationResponse:
    """Answers `PredictionService.Classify`.

    Raises:
        ServingError: NOT_FOUND or INVALID_ARGUMENT.
    """
    require(servable, request.model_spec)
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    classes, scores = servable.classify(signature, _serialized_examples(request.input))
    result = [
        Classifications(
            classes=[Class(label=label, score=score) for label, score in zip(*row, strict=True)]
        )
        for row in zip(classes, scores, strict=True)
    ]
    return ClassificationResponse(
        model_spec=_model_spec(servable, signature),
        result=ClassificationResult(classifications=result),
    )


def model_metadata(
    servable: Servable, request: GetModelMetadataRequest
) -> GetModelMetadataResponse:
    """Answers `PredictionService.GetModelMetadata`; its only field is `signature_def`.

    Raises:
        ServingError: NOT_FOUND or INVALID_ARGUMENT.
    """
    require(servable, request.model_spec)
    if set(request.metadata_field) != {"signature_def"}:
        raise invalid_argument('metadata_field must be "signature_def", the only one supported')
    response = GetModelMetadataResponse(model_spec=_model_spec(servable))
    response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=servable.signature_defs))
    return response


def model_status(servable: Servable, request: GetModelStatusRequest) -> GetModelStatusResponse:
    """Answers `ModelService.GetModelStatus`: a servable that is in memory is AVAILABLE.

    Raises:
        ServingError: NOT_FOUND.
    """
    require(servable, request.model_spec)
    status = ModelVersionStatus(
        version=servable.version, state=ModelVersionStatus.AVAILABLE, status=StatusProto()
    )
    return GetModelStatusResponse(model_version_status=[status])


def _model_spec(servable: Servable, signature: str = "") -> ModelSpec:
    spec = ModelSpec(name=servable.name, signature_name=signature)
    spec.version.value = servable.version
    return spec


def _serialized_examples(source: Input) -> list[bytes]:
    with_context = source.example_list_with_context
    examples = [*source.example_list.examples]
    for example in with_context.examples:
        merged = tf.train.Example()
        merged.CopyFrom(with_context.context)
        merged.MergeFrom(example)
        examples.append(merged)
    if not examples:
        raise invalid_argument("Input is empty.")
    return [example.SerializeToString() for example in examples]


def _to_array(name: str, proto: TensorProto) -> Array:
    # A few bytes can declare any shape, and make_ndarray fills it: refuse before it allocates.
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if min(sizes, default=0) < 0 or math.prod(sizes) > MAX_MESSAGE_BYTES:
        raise invalid_argument(f'Input "{name}" has the impossible shape {sizes}')
    try:
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
