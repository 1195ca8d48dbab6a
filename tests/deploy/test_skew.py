"""What was trained is what is served: the same picture, the same answer, by whatever way."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import grpc
import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from components.common.export import export_saved_model
from components.common.pictures import images
from components.common.pictures.applying import apply_to_encoded
from components.common.pictures.faces import FaceCrop, FaceNotFoundError
from components.common.pictures.picture_files import (
    UndecodableImageError,
    count_pixels,
    upright,
)
from components.common.recipe import Recipe
from deploy import client
from deploy.pictures import NoFaceError, NoImageError, cut_faces, decode
from tests.deploy.golden import golden, refused
from tuning.heads import classify, with_class_probabilities

LABELS = ["sad", "neutral", "happy"]
RECIPE = Recipe(24, 20, 3, None)
SECONDS = 60
TOLERANCE = 1e-5


class Served(NamedTuple):
    """One model, in three forms."""

    model: keras.Model
    saved_model: Any
    url: str
    stub: PredictionServiceStub

    def post(self, path: str, body: Any) -> Any:
        response = requests.post(self.url + path, json=body, timeout=SECONDS)
        if response.status_code != 200:
            assert response.status_code == 400, response.text
            raise ValueError(response.json()["error"])
        return response.json()

    def call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.stub, method)(request, timeout=SECONDS)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            raise ValueError(error.details()) from None


@pytest.fixture(scope="module")
def served(
    start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    inputs = keras.Input((RECIPE.height, RECIPE.width, RECIPE.channels))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
    model = keras.Model(inputs, classify(flat, len(LABELS)))
    base = tmp_path_factory.mktemp("skew") / "faces"
    warm_up = np.zeros((1, RECIPE.height, RECIPE.width, RECIPE.channels), np.uint8)
    export_saved_model(model, RECIPE, LABELS, warm_up, base / "7")
    with start_server(base) as server, grpc.insecure_channel(server.grpc_address) as channel:
        yield Served(
            with_class_probabilities(model),
            tf.saved_model.load(str(base / "7")),
            server.url,
            PredictionServiceStub(channel),
        )


def b64(encoded: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(encoded).decode()}


def by_saved_model(served: Served, encoded: bytes) -> Any:
    try:
        answer = served.saved_model.signatures["serving_default"](tf.constant([encoded]))
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(error.message) from None
    return answer["probabilities"][0].numpy()


def by_rest_rows(served: Served, encoded: bytes) -> Any:
    answer = served.post("/v1/models/faces:predict", {"instances": [b64(encoded)]})
    return answer["predictions"][0]["probabilities"]


def by_rest_columns(served: Served, encoded: bytes) -> Any:
    answer = served.post("/v1/models/faces:predict", {"inputs": {"image_bytes": [b64(encoded)]}})
    return answer["outputs"]["probabilities"][0]


def by_rest_classify(served: Served, encoded: bytes) -> Any:
    body = {"signature_name": "classify", "examples": [{"image/encoded": b64(encoded)}]}
    (pairs,) = served.post("/v1/models/faces:classify", body)["results"]
    return [dict(pairs)[label] for label in LABELS]


def by_kserve(served: Served, encoded: bytes) -> Any:
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [b64(encoded)]}
    body = {"inputs": [tensor], "outputs": [{"name": "probabilities"}]}
    return served.post("/v2/models/faces/infer", body)["outputs"][0]["data"]


def by_client(served: Served, encoded: bytes) -> Any:
    try:
        (prediction,) = client.predict([encoded], url=served.url, model="faces")
    except client.ServerError as error:
        raise ValueError(error) from None
    return prediction.probabilities


def by_grpc(served: Served, encoded: bytes) -> Any:
    request = PredictRequest(model_spec=ModelSpec(name="faces"))
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([encoded]))
    return tf.make_ndarray(served.call("Predict", request).outputs["probabilities"])[0]


def by_grpc_pixels(served: Served, encoded: bytes) -> Any:
    request = PredictRequest(model_spec=ModelSpec(name="faces", signature_name="predict_pixels"))
    pixels = np.float32([by_transform(encoded)])
    request.inputs["pixels"].CopyFrom(tf.make_tensor_proto(pixels))
    return tf.make_ndarray(served.call("Predict", request).outputs["probabilities"])[0]


def by_grpc_classify(served: Served, encoded: bytes) -> Any:
    request = ClassificationRequest(model_spec=ModelSpec(name="faces", signature_name="classify"))
    example = request.input.example_list.examples.add()
    example.features.feature["image/encoded"].bytes_list.value.append(encoded)
    (row,) = served.call("Classify", request).result.classifications
    scores = {each.label: each.score for each in row.classes}
    return [scores[label] for label in LABELS]


def by_transform(encoded: bytes) -> NDArray[np.uint8]:
    (pixels,) = apply_to_encoded([encoded], RECIPE)
    assert isinstance(pixels, np.ndarray)
    return pixels


WAYS = [
    by_saved_model,
    by_rest_rows,
    by_rest_columns,
    by_rest_classify,
    by_kserve,
    by_client,
    by_grpc,
    by_grpc_pixels,
    by_grpc_classify,
]


@pytest.fixture(scope="module")
def trained(served: Served) -> dict[str, NDArray[np.float32]]:
    """The Keras model's probabilities of the pixels that Transform would have trained it with."""
    pixels = np.array([by_transform(encoded) for encoded in golden().values()])
    return dict(zip(golden(), served.model.predict(pixels, verbose=0), strict=True))


@pytest.mark.parametrize("ask", WAYS, ids=lambda ask: ask.__name__)
def test_every_way_gives_what_the_model_was_trained_to_give(
    served: Served, trained: dict[str, NDArray[np.float32]], ask: Callable[[Served, bytes], Any]
) -> None:
    skewed = {
        kind: difference
        for kind, encoded in golden().items()
        if not (difference := np.abs(ask(served, encoded) - trained[kind]).max()) <= TOLERANCE
    }
    assert skewed == {}


def test_pictures_of_all_kinds_in_one_request_are_answered_as_alone(
    served: Served, trained: dict[str, NDArray[np.float32]]
) -> None:
    small = [kind for kind, encoded in golden().items() if len(encoded) < 2**17]
    together = client.predict([golden()[kind] for kind in small], url=served.url, model="faces")
    for kind, prediction in zip(small, together, strict=True):
        np.testing.assert_allclose(
            prediction.probabilities, trained[kind], atol=TOLERANCE, err_msg=kind
        )


def test_one_more_in_every_ninth_pixel_would_be_seen(served: Served) -> None:
    pixels = by_transform(golden()["PNG RGB"])[np.newaxis].astype(np.float32)
    other = pixels.copy()
    other[:, ::3, ::3] += 1
    answers = (served.model.predict(each, verbose=0) for each in (pixels, other))
    assert np.abs(np.subtract(*answers)).max() > TOLERANCE


def _has_header(encoded: bytes) -> bool:
    with suppress(UndecodableImageError):
        count_pixels(encoded)
        return True
    return False


@pytest.mark.parametrize("ask", WAYS, ids=lambda ask: ask.__name__)
def test_what_transform_refuses_every_way_refuses_with_the_same_reason(
    served: Served, ask: Callable[[Served, bytes], Any]
) -> None:
    for kind in refused():
        # The graph alone looks at no header before: that is done where it is served.
        if ask is by_saved_model and not _has_header(refused()[kind]):
            continue
        with pytest.raises(images.UndecodableImageError) as reason:
            by_transform(refused()[kind])
        with pytest.raises(ValueError, match=re.escape(str(reason.value))):
            ask(served, refused()[kind])


def test_the_client_sees_the_pixels_that_transform_sees() -> None:
    other = [
        kind
        for kind, encoded in golden().items()
        if not np.array_equal(decode(encoded), images.decode_image(encoded))
    ]
    assert other == []


def test_the_client_refuses_what_transform_refuses() -> None:
    for kind, encoded in refused().items():
        with pytest.raises(images.UndecodableImageError):
            images.decode_image(encoded)
        with pytest.raises(NoImageError, match="no picture: "):
            pytest.fail(f"{kind} was read: {decode(encoded).shape}")


@pytest.mark.parametrize("crop", [FaceCrop(), FaceCrop("haar_tolerant", margin=0.1)])
def test_the_client_crops_the_face_that_transform_crops(crop: FaceCrop) -> None:
    recipe = RECIPE._replace(face_crop=crop)
    found = 0
    for kind, encoded in golden().items():
        if "3000" in kind:  # Which takes seconds, and shows nothing that the others do not.
            continue
        (trained,) = apply_to_encoded([encoded], recipe)
        if isinstance(trained, FaceNotFoundError):
            with pytest.raises(NoFaceError):
                cut_faces(upright(decode(encoded), encoded), crop)
            continue
        ((_, sent),) = cut_faces(upright(decode(encoded), encoded), crop)
        np.testing.assert_array_equal(by_transform(sent), trained, err_msg=kind)
        found += 1
    assert found > 30
