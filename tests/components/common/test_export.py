from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis import prediction_log_pb2

from components.common.export import export_saved_model
from components.common.pictures import images
from components.common.recipe import Recipe
from tuning.heads import with_class_probabilities

Noise = Callable[..., NDArray[np.uint8]]


class Exported(NamedTuple):
    """A model, and what was exported of it."""

    keras_model: keras.Model
    size: tuple[int, int, int]
    labels: list[str]
    folder: Path
    saved_model: Any

    def ask(self, signature: str, **arguments: Any) -> dict[str, NDArray[Any]]:
        outputs = self.saved_model.signatures[signature](**arguments)
        return {name: output.numpy() for name, output in outputs.items()}

    def expected(self, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """What the Keras model says of pictures of any size."""
        pixels = np.stack([images.fit_image(picture, *self.size) for picture in pictures])
        return with_class_probabilities(self.keras_model).predict(pixels, verbose=0)


@pytest.fixture(
    scope="module",
    params=[((12, 10, 1), ["sad", "happy"]), ((9, 11, 3), ["happy", "angry", "neutral"])],
    ids=["binary", "three classes"],
)
def exported(
    request: pytest.FixtureRequest,
    tiny_classifier: Callable[..., keras.Model],
    noise: Noise,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    size, labels = request.param
    model, folder = tiny_classifier(size, len(labels)), tmp_path_factory.mktemp("e") / "saved_model"
    export_saved_model(model, Recipe(*size, None), labels, noise(0, 4, *size), folder)
    return Exported(model, size, labels, folder, tf.saved_model.load(str(folder)))


@pytest.fixture
def pictures(exported: Exported, noise: Noise) -> list[NDArray[np.uint8]]:
    """Pictures of three sizes, the first of the model's own."""
    height, width, _ = exported.size
    return [noise(1, height, width, 3), noise(2, 40, 31, 3), noise(3, 5, 6, 3)]


def png(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", picture[..., ::-1])[1])


def test_it_has_the_three_signatures(exported: Exported) -> None:
    signatures = exported.saved_model.signatures
    assert {"serving_default", "predict_pixels", "classify"} <= set(signatures)
    _, arguments = signatures["predict_pixels"].structured_input_signature
    assert arguments["pixels"].shape.as_list() == [None, *exported.size]
    _, arguments = signatures["serving_default"].structured_input_signature
    assert arguments["image_bytes"].dtype == tf.string


def test_encoded_pictures_of_any_size_get_what_the_keras_model_says(
    exported: Exported, pictures: list[NDArray[np.uint8]]
) -> None:
    answer = exported.ask("serving_default", image_bytes=tf.constant([*map(png, pictures)]))
    wanted = exported.expected(pictures)
    assert answer["probabilities"].shape == (3, len(exported.labels))
    assert answer["probabilities"].dtype == np.float32
    np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-6)
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(answer["score"], wanted.max(axis=1), atol=1e-6)
    labels = [exported.labels[best].encode() for best in wanted.argmax(axis=1)]
    assert answer["label"].tolist() == labels


def test_pixels_get_what_their_picture_gets(
    exported: Exported, pictures: list[NDArray[np.uint8]]
) -> None:
    pixels = np.stack([images.fit_image(picture, *exported.size) for picture in pictures])
    by_pixels = exported.ask("predict_pixels", pixels=tf.constant(pixels, tf.float32))
    by_bytes = exported.ask("serving_default", image_bytes=tf.constant([*map(png, pictures)]))
    assert by_pixels.keys() == by_bytes.keys() == {"probabilities", "label", "score"}
    np.testing.assert_allclose(by_pixels["probabilities"], by_bytes["probabilities"], atol=1e-6)


def test_classify_gives_the_labels_in_order(
    exported: Exported, pictures: list[NDArray[np.uint8]]
) -> None:
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image/encoded": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[png(picture)])
                    )
                }
            )
        ).SerializeToString()
        for picture in pictures
    ]
    answer = exported.ask("classify", inputs=tf.constant(examples))
    assert answer["classes"].tolist() == [[label.encode() for label in exported.labels]] * 3
    np.testing.assert_allclose(answer["scores"], exported.expected(pictures), atol=1e-6)


def test_classify_is_marked_as_such_for_tf_serving(exported: Exported) -> None:
    saved = SavedModel.FromString((exported.folder / "saved_model.pb").read_bytes())
    methods = {
        name: signature.method_name
        for name, signature in saved.meta_graphs[0].signature_def.items()
    }
    assert methods["classify"] == "tensorflow/serving/classify"
    assert methods["serving_default"] == "tensorflow/serving/predict"


def test_labels_are_an_asset(exported: Exported) -> None:
    text = (exported.folder / "assets" / "labels.txt").read_text()
    assert text.splitlines() == exported.labels


def test_the_warm_up_requests_can_be_answered(exported: Exported) -> None:
    path = exported.folder / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    answers = {}
    for log in logs:
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        answers[request.model_spec.signature_name] = exported.ask(
            request.model_spec.signature_name, **tensors
        )["probabilities"]
    assert answers.keys() == {"serving_default", "predict_pixels"}
    assert answers["predict_pixels"].shape == (4, len(exported.labels))
    np.testing.assert_allclose(*answers.values(), atol=1e-6)
