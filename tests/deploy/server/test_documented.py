"""The conversations of TF Serving's documentation, with the models that it has them with."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import (
    ClassifyLog,
    PredictionLog,
    PredictLog,
    RegressLog,
)
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from deploy.server.errors import StartError
from deploy.server.warm_up import load_warm
from tests.deploy.server.conversations import CONVERSATIONS, Conversation

SECONDS = 60
VERSION = 123

# https://www.tensorflow.org/tfx/serving/serving_config; the base path is the test's own.
CANARY = """
model_config_list {{
  config {{
    name: 'my_model'
    base_path: '{base}/my_model'
    model_platform: 'tensorflow'
    model_version_policy {{
      specific {{
        versions: 42
        versions: 43
      }}
    }}
    version_labels {{
      key: 'stable'
      value: {stable}
    }}
    version_labels {{
      key: 'canary'
      value: 43
    }}
  }}
  config {{ name: 'half_plus_two' base_path: '{base}/half_plus_two' }}
  config {{ name: 'half_plus_three' base_path: '{base}/half_plus_three' }}
  config {{ name: 'formats' base_path: '{base}/formats' }}
}}
"""


def save_half_plus(addend: float, folder: Path) -> None:
    """As TF Serving's own, tensorflow_serving/servables/tensorflow/testdata: of TensorFlow 1."""
    v1 = tf.compat.v1
    info = v1.saved_model.utils.build_tensor_info
    signature = v1.saved_model.signature_def_utils.build_signature_def
    with v1.Session(graph=tf.Graph()) as session:
        slope, constant = v1.Variable(0.5, name="a"), v1.Variable(addend, name="b")
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        features = {"x": tf.io.FixedLenFeature([1], tf.float32)}
        x = tf.identity(v1.parse_example(examples, features)["x"], name="x")
        y = tf.identity(slope * x + constant, name="y")
        session.run(v1.global_variables_initializer())
        method = "tensorflow/serving/{}".format
        of_examples = {"inputs": info(examples)}
        builder = v1.saved_model.builder.SavedModelBuilder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            {
                "serving_default": signature({"x": info(x)}, {"y": info(y)}, method("predict")),
                "tensorflow/serving/regress": signature(
                    of_examples, {"outputs": info(y)}, method("regress")
                ),
                "classify_x_to_y": signature(of_examples, {"scores": info(y)}, method("classify")),
            },
        )
        builder.save()


class Formats(tf.Module):
    """Answers what it is asked, by a signature for each format that the page shows."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def strings(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"words": words}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def binary(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image_bytes": image_bytes}

    @tf.function(input_signature=[tf.TensorSpec([None, 1, 2], tf.int32, "pairs")])
    def tensors(self, pairs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"pairs": pairs}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "readings")])
    def floats(self, readings: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"readings": readings}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.bool, "flags")])
    def bools(self, flags: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"flags": flags}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "tag"),
            tf.TensorSpec([None, 5], tf.int64, "signal"),
            tf.TensorSpec([None, 2, 2], tf.int64, "sensor"),
        ]
    )
    def named(self, tag: tf.Tensor, signal: tf.Tensor, sensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"sensor": sensor, "signal": signal, "tag": tag}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify_objects(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        text = tf.io.FixedLenFeature([1], tf.string)
        features = tf.io.parse_example(inputs, {"image": text, "caption": text})
        length = tf.cast(tf.strings.length(features["image"]), tf.float32)
        return {"classes": features["caption"], "scores": length}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("documented")
    save_half_plus(2.0, base / "half_plus_two" / str(VERSION))
    save_half_plus(3.0, base / "half_plus_three" / str(VERSION))
    save_half_plus(2.0, base / "my_model" / "42")
    save_half_plus(3.0, base / "my_model" / "43")
    formats = Formats()
    names = ("strings", "binary", "tensors", "floats", "bools", "named", "classify_objects")
    tf.saved_model.save(
        formats,
        str(base / "formats" / str(VERSION)),
        signatures={name: getattr(formats, name) for name in names},
    )
    return base


@pytest.fixture(scope="module")
def server(models: Path, start_server: Callable[..., Any]) -> Iterator[Any]:
    config = models / "models.config"
    config.write_text(CANARY.format(base=models, stable=42))
    with start_server(models, f"--model_config_file={config}") as running:
        yield running


def ask(server: Any, path: str, body: str) -> requests.Response:
    url = f"{server.url}/v1/models/{path}"
    if body:
        return requests.post(url, data=body, timeout=SECONDS)
    return requests.get(url, timeout=SECONDS)


def tokens(json: str) -> list[str]:
    return re.findall(r'"(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"\s]+', json)


@pytest.mark.parametrize("said", CONVERSATIONS, ids=lambda said: said.source.rpartition("#")[2])
def test_the_same_request_has_the_same_answer(server: Any, said: Conversation) -> None:
    response = ask(server, said.path, said.body)
    assert response.status_code == said.status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert tokens(response.text) == tokens(said.shown)
    assert response.text == said.answer or not said.answer


def test_metadata_is_put_together_as_tf_serving_does(server: Any) -> None:
    # ToJsonString in tensorflow_serving/model_servers/http_rest_api_util.cc
    response = ask(server, "half_plus_three/metadata", "")
    assert response.text.startswith('{\n"model_spec":{\n "name": "half_plus_three",\n')
    assert '\n}\n,\n"metadata": {"signature_def": {\n "signature_def": {\n' in response.text
    assert response.text.endswith("\n}\n}\n}\n")
    signature = response.json()["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}
    assert signature["inputs"]["x"]["tensor_shape"] == shape


def test_the_stable_label_moves_on_and_back(server: Any, models: Path) -> None:
    # serving_config: "Once you are done canarying version 43 ...", "If you subsequently need to
    # perform a rollback, you can revert to the old config"
    def stable_after(version: int) -> float:
        request = ReloadConfigRequest()
        text_format.Parse(CANARY.format(base=models, stable=version), request.config)
        with grpc.insecure_channel(server.grpc_address) as channel:
            stub = ModelServiceStub(channel)
            assert stub.HandleReloadConfigRequest(request, timeout=SECONDS).status.error_code == 0
        response = ask(server, "my_model/labels/stable:predict", '{"instances": [1.0]}')
        return response.json()["predictions"][0]

    assert [stable_after(43), stable_after(42)] == [3.5, 2.5]


def warm_up_records(signature: dict[str, str]) -> dict[str, PredictionLog]:
    """One of each kind, as https://www.tensorflow.org/tfx/serving/saved_model_warmup has them."""
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(1.0)
    predict = PredictRequest(
        model_spec=ModelSpec(signature_name=signature["predict"]),
        inputs={"x": tf.make_tensor_proto(np.float32([1.0]))},
    )
    classify = ClassificationRequest(model_spec=ModelSpec(signature_name=signature["classify"]))
    regress = RegressionRequest(model_spec=ModelSpec(signature_name=signature["regress"]))
    for request in (classify, regress):
        request.input.example_list.examples.append(example)
    return {
        "predict": PredictionLog(predict_log=PredictLog(request=predict)),
        "classify": PredictionLog(classify_log=ClassifyLog(request=classify)),
        "regress": PredictionLog(regress_log=RegressLog(request=regress)),
    }


HALF_PLUS = {
    "predict": "serving_default",
    "classify": "classify_x_to_y",
    "regress": "tensorflow/serving/regress",
}


@pytest.mark.parametrize("kind", ["predict", "classify", "regress"])
def test_each_kind_of_warm_up_request_is_computed(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "1"
    save_half_plus(2.0, folder)
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()

    def write(signatures: dict[str, str]) -> None:
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(warm_up_records(signatures)[kind].SerializeToString())

    write(HALF_PLUS)
    assert load_warm("half_plus_two", folder).version == 1
    write(dict.fromkeys(HALF_PLUS, "nope"))
    with pytest.raises(StartError, match=r'cannot warm up: .*"nope" not found'):
        load_warm("half_plus_two", folder)
