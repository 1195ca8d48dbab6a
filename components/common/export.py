"""The SavedModel that TF Serving serves: its signatures, labels and warm-up requests.

Signatures, as DESIGN has them: `serving_default` (encoded images), `predict_pixels` (pixels) and
`classify` (serialized tf.Example). Decoding, gray, resizing and scaling are in the graph.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.common.pictures import images
from components.common.recipe import Recipe
from tuning.heads import with_class_probabilities


def export_saved_model(
    model: keras.Model,
    recipe: Recipe,
    labels: Sequence[str],
    warm_up: NDArray[np.uint8],
    folder: Path,
) -> None:
    """Exports a classifier.

    Args:
        model: from pixels 0..255, float32 [batch, height, width, channels].
        recipe: the size and channels that encoded images are brought to.
        labels: the classes in order.
        warm_up: images that the warm-up requests send, uint8 [n, height, width, channels].
        folder: the SavedModel's, made here.
    """
    classifier = with_class_probabilities(model)
    size = (recipe.height, recipe.width, recipe.channels)
    names = tf.constant(list(labels))

    def predict_pixels(pixels: Any) -> dict[str, Any]:
        probabilities = classifier(pixels, training=False)
        best = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "label": tf.gather(names, best),
            "score": tf.reduce_max(probabilities, axis=-1),
        }

    def serving_default(image_bytes: Any) -> dict[str, Any]:
        return predict_pixels(_pixels(image_bytes, size))

    def classify(inputs: Any) -> dict[str, Any]:
        features = {"image/encoded": tf.io.FixedLenFeature((), tf.string)}
        encoded = tf.io.parse_example(inputs, features)["image/encoded"]
        scores = classifier(_pixels(encoded, size), training=False)
        return {
            "classes": tf.repeat(names[tf.newaxis], tf.shape(scores)[0], axis=0),
            "scores": scores,
        }

    archive = keras.export.ExportArchive()
    archive.track(classifier)
    text = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive.add_endpoint("serving_default", serving_default, [text])
    pixels = tf.TensorSpec((None, *size), tf.float32, name="pixels")
    archive.add_endpoint("predict_pixels", predict_pixels, [pixels])
    serialized = tf.TensorSpec((None,), tf.string, name="inputs")
    archive.add_endpoint("classify", classify, [serialized])
    archive.write_out(str(folder), verbose=False)
    _name_classify_method(folder)
    _write_assets(folder, labels, warm_up)


def _name_classify_method(folder: Path) -> None:
    """Marks `classify` for servers that check method names; Keras marks all as `predict`."""
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(folder))
    updater.replace_method_name("classify", "tensorflow/serving/classify")
    updater.save()


def _pixels(encoded: Any, size: tuple[int, int, int]) -> Any:
    """Encoded images, string [batch], to float32 [batch, height, width, channels]."""
    pixels = tf.map_fn(
        lambda image: images.fit(images.decode(image), *size),
        encoded,
        fn_output_signature=tf.TensorSpec(size, tf.uint8),
    )
    return tf.cast(pixels, tf.float32)


def _write_assets(folder: Path, labels: Sequence[str], warm_up: NDArray[np.uint8]) -> None:
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    # Where TF Serving looks: https://www.tensorflow.org/tfx/serving/saved_model_warmup
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    encoded = [images.encode_png(image) for image in warm_up]
    requests = {
        "serving_default": ("image_bytes", tf.make_tensor_proto(encoded)),
        "predict_pixels": ("pixels", tf.make_tensor_proto(warm_up.astype(np.float32))),
    }
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for signature, (name, tensor) in requests.items():
            request = predict_pb2.PredictRequest(inputs={name: tensor})
            request.model_spec.signature_name = signature
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
