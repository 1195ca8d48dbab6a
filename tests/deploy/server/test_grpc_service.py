"""The gRPC API, asked of a real server by TensorFlow Serving's own stubs."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    ModelVersionStatus,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

SECONDS = 60


@pytest.fixture(scope="module")
def channel(server: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> PredictionServiceStub:
    return PredictionServiceStub(channel)


def predict_request(model: str = "faces", signature: str = "", **inputs: Any) -> PredictRequest:
    request = PredictRequest(model_spec=ModelSpec(name=model, signature_name=signature))
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def example(**features: bytes) -> tf.train.Example:
    message = tf.train.Example()
    for name, value in features.items():
        message.features.feature[name.replace("_", "/")].bytes_list.value.append(value)
    return message


def refusal(method: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=SECONDS)
    return caught.value.code(), caught.value.details()


def test_predict_bytes_is_what_the_saved_model_says(
    stub: PredictionServiceStub, signatures: Any, images: list[bytes]
) -> None:
    response = stub.Predict(predict_request(image_bytes=images), timeout=SECONDS)
    expected = signatures["serving_default"](image_bytes=np.array(images, dtype=object))
    assert response.outputs.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tf.make_ndarray(response.outputs[name]), tensor.numpy())
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("faces", 7, "serving_default")


def test_predict_pixels_and_the_fields_that_clients_read(
    stub: PredictionServiceStub, signatures: Any
) -> None:
    pixels = np.random.default_rng(3).uniform(0, 255, (2, 4, 4, 1)).astype(np.float32)
    request = predict_request(signature="predict_pixels", pixels=pixels)
    outputs = stub.Predict(request, timeout=SECONDS).outputs
    expected = signatures["predict_pixels"](pixels=pixels)
    assert list(outputs["score"].float_val) == expected["score"].numpy().tolist()
    assert list(outputs["label"].string_val) == expected["label"].numpy().tolist()


def test_output_filter_chooses_the_outputs(
    stub: PredictionServiceStub, images: list[bytes]
) -> None:
    request = predict_request(image_bytes=images)
    request.output_filter.append("label")
    assert stub.Predict(request, timeout=SECONDS).outputs.keys() == {"label"}
    request.output_filter.append("nope")
    assert refusal(stub.Predict, request)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_classify_is_what_the_saved_model_says(
    stub: PredictionServiceStub, signatures: Any, images: list[bytes]
) -> None:
    request = ClassificationRequest(model_spec=ModelSpec(name="faces", signature_name="classify"))
    examples = [example(image_encoded=image) for image in images]
    request.input.example_list.examples.extend(examples)
    result = stub.Classify(request, timeout=SECONDS).result
    serialized = np.array([each.SerializeToString() for each in examples], dtype=object)
    expected = signatures["classify"](inputs=serialized)
    labels = [[each.label.encode() for each in row.classes] for row in result.classifications]
    scores = [[each.score for each in row.classes] for row in result.classifications]
    assert labels == expected["classes"].numpy().tolist()
    assert scores == expected["scores"].numpy().tolist()


def test_metadata_holds_the_signatures(stub: PredictionServiceStub) -> None:
    request = GetModelMetadataRequest(
        model_spec=ModelSpec(name="faces"), metadata_field=["signature_def"]
    )
    response = stub.GetModelMetadata(request, timeout=SECONDS)
    signatures = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "predict_pixels", "classify"} <= signatures.signature_def.keys()


def test_metadata_of_another_field_is_refused(stub: PredictionServiceStub) -> None:
    request = GetModelMetadataRequest(model_spec=ModelSpec(name="faces"))
    assert refusal(stub.GetModelMetadata, request)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_status_is_available(channel: grpc.Channel) -> None:
    request = GetModelStatusRequest(model_spec=ModelSpec(name="faces"))
    (status,) = ModelServiceStub(channel).GetModelStatus(request).model_version_status
    assert (status.version, status.state) == (7, ModelVersionStatus.AVAILABLE)


def test_an_unknown_model_is_not_found(stub: PredictionServiceStub, channel: grpc.Channel) -> None:
    says = (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(half)")
    assert refusal(stub.Predict, predict_request("half", x=[1.0])) == says
    spec = ModelSpec(name="half")
    status = ModelServiceStub(channel).GetModelStatus
    unknown = (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model half")
    assert refusal(status, GetModelStatusRequest(model_spec=spec)) == unknown


def test_an_unknown_version_is_not_found(stub: PredictionServiceStub) -> None:
    request = predict_request(image_bytes=[b"x"])
    request.model_spec.version.value = 0
    assert refusal(stub.Predict, request)[0] is grpc.StatusCode.NOT_FOUND


def test_a_version_label_is_refused(stub: PredictionServiceStub) -> None:
    request = predict_request(image_bytes=[b"x"])
    request.model_spec.version_label = "stable"
    code, message = refusal(stub.Predict, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "Unrecognized servable version label: stable"


def test_an_unknown_signature_is_a_failed_precondition(stub: PredictionServiceStub) -> None:
    code, message = refusal(stub.Predict, predict_request(signature="nope", x=[1.0]))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert message == 'Serving signature key "nope" not found.'


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({}, "Missing but required: {image_bytes}"),
        ({"image_bytes": ["x"], "age": [3]}, "Sent extra: {age}"),
        ({"image_bytes": [1.0]}, "must be string, not float32"),
        ({"image_bytes": [["x"]]}, "must have the shape (None,), not (1, 1)"),
        ({"image_bytes": ["no image"]}, "image"),
    ],
)
def test_inputs_that_do_not_fit_are_invalid(
    stub: PredictionServiceStub, inputs: Any, says: str
) -> None:
    code, message = refusal(stub.Predict, predict_request(**inputs))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert says in message


@pytest.mark.parametrize("sizes", [[2**40], [-1], [2**32, 2**32]])
def test_a_shape_that_would_fill_the_memory_is_invalid(
    stub: PredictionServiceStub, sizes: list[int]
) -> None:
    request = predict_request(signature="half_plus_three", x=[1.0])
    shape = request.inputs["x"].tensor_shape
    del shape.dim[:]
    for size in sizes:
        shape.dim.add(size=size)
    code, message = refusal(stub.Predict, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "impossible shape" in message


def test_a_tensor_whose_content_is_cut_short_is_invalid(stub: PredictionServiceStub) -> None:
    request = predict_request(signature="half_plus_three", x=[1.0, 2.0])
    request.inputs["x"].tensor_content = b"\0" * 5
    assert refusal(stub.Predict, request)[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_classifying_nothing_is_invalid(stub: PredictionServiceStub) -> None:
    request = ClassificationRequest(model_spec=ModelSpec(name="faces", signature_name="classify"))
    code, message = refusal(stub.Classify, request)
    assert (code, message) == (grpc.StatusCode.INVALID_ARGUMENT, "Input is empty.")


def test_a_message_over_32_mib_is_refused(stub: PredictionServiceStub) -> None:
    request = predict_request(image_bytes=[b" " * (32 * 2**20 + 1)])
    assert refusal(stub.Predict, request)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_not_served_is_unimplemented(stub: PredictionServiceStub) -> None:
    code, _ = refusal(stub.MultiInference, MultiInferenceRequest())
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_regress_gives_a_value_an_example(stub: PredictionServiceStub) -> None:
    request = RegressionRequest(model_spec=ModelSpec(name="faces", signature_name="regress"))
    for value in (2.0, 5.0):
        feature = request.input.example_list.examples.add().features.feature["x"]
        feature.float_list.value.append(value)
    response = stub.Regress(request, timeout=SECONDS)
    assert [each.value for each in response.result.regressions] == [4.0, 5.5]


def test_a_deadline_is_kept(stub: PredictionServiceStub, images: list[bytes]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(predict_request(image_bytes=images), timeout=1e-6)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("service", ["", "tensorflow.serving.PredictionService"])
def test_health_is_serving(channel: grpc.Channel, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=SECONDS)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= services
