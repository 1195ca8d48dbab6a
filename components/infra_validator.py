"""InfraValidator: starts the model server on the export and asks it what the Evaluator was asked.

Reads:   model, transformed_examples, evaluation
Writes:  infra_blessing (infra_blessing.json: the verdict, where each way of asking differs most)

The images are of the split that the Evaluator judged: the answers are compared with its stored
predictions, and nothing is selected by them.
"""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np
import requests
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    classification_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from components.common import progress, records
from components.common.evaluation.predictions import read_predictions
from components.common.files import read_json, write_json
from components.common.model_server import ModelServer, ServerDidNotStartError, model_server
from components.common.pictures import images

MODEL_NAME = "candidate"
ANSWER_TIMEOUT = 60.0
MAX_BATCH_BYTES = 16 * 2**20
"""Of pixels as float32, the largest form of an image; the server takes messages of 32 MiB."""


class Worst(NamedTuple):
    """Where the answers of one way of asking differ most from the evaluation.

    Attributes:
        image: the example's id.
        label: the class.
        evaluated: its probability as the Evaluator saw it.
        answered: the server's.
        difference: between the two.
    """

    image: str
    label: str
    evaluated: float
    answered: float
    difference: float


def validate_infra(
    model: Path,
    transformed_examples: Path,
    evaluation: Path,
    infra_blessing: Path,
    *,
    examples: int,
    tolerance: float,
) -> dict[str, Any]:
    """Serves the export, sends real images by REST and gRPC, compares; returns a verdict.

    Args:
        model: what Trainer wrote.
        transformed_examples: what Transform wrote.
        evaluation: the Evaluator's predictions.
        infra_blessing: folder to fill.
        examples: how many images are sent.
        tolerance: the largest difference of a probability that still counts as the same.

    Returns:
        `infra_blessing` (`BLESSED` or `NOT_BLESSED`), the reasons in words, and for each way of
        asking the largest difference and where it is.

    Raises:
        ServerDidNotStartError: with the server's last words.
    """
    expected = read_predictions(evaluation / "predictions.csv")
    judged = read_json(evaluation / "metrics.json")["split"]
    split = records.load_split(transformed_examples, judged)
    pixels, ids = split.images[:examples], split.ids[:examples]
    probabilities = np.array([expected[example_id] for example_id in ids])
    labels = (model / "saved_model" / "assets" / "labels.txt").read_text().splitlines()
    progress.say("starting the server")
    with tempfile.TemporaryDirectory(prefix="mien-infra-") as folder:
        base_path = Path(folder) / MODEL_NAME
        base_path.mkdir()
        (base_path / "1").symlink_to((model / "saved_model").resolve())
        answers = _ask_server(base_path, pixels, labels)
    worst = {way: _worst(answer, probabilities, ids, labels) for way, answer in answers.items()}
    reasons = [
        f"{way} differs from the evaluation by {one.difference:.2g}, wanted at most {tolerance:g}: "
        f"{one.label} on {one.image} was {one.evaluated:.6g} there and is {one.answered:.6g}"
        for way, one in worst.items()
        if not one.difference <= tolerance  # NaN is no agreement
    ]
    verdict = {
        "infra_blessing": "NOT_BLESSED" if reasons else "BLESSED",
        "reasons": reasons,
        "images": len(pixels),
        "tolerance": tolerance,
        "largest_difference": {way: one.difference for way, one in worst.items()},
        "worst": {way: one._asdict() for way, one in worst.items()},
    }
    write_json(infra_blessing / "infra_blessing.json", verdict)
    return verdict


def _worst(
    answer: NDArray[Any], probabilities: NDArray[Any], ids: Sequence[str], labels: Sequence[str]
) -> Worst:
    """Where `answer` differs most, both [images, classes]; what is no number differs the most."""
    differences = np.abs(answer - probabilities)
    largest = np.argmax(np.nan_to_num(differences, nan=np.inf))
    at = image, label = divmod(int(largest), len(labels))
    evaluated, answered = float(probabilities[at]), float(answer[at])
    return Worst(ids[image], labels[label], evaluated, answered, float(differences[at]))


def _ask_server(
    base_path: Path, pixels: NDArray[np.uint8], labels: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """What a server of its own says of the images, a batch at a time."""
    batch = max(1, MAX_BATCH_BYTES // (4 * pixels[0].size))
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            with model_server(MODEL_NAME, base_path, log) as server:
                progress.say(f"asking for {len(pixels)} images by REST and gRPC")
                answers = [
                    _ask(pixels[start : start + batch], labels, server)
                    for start in range(0, len(pixels), batch)
                ]
        except ServerDidNotStartError as error:
            log.seek(0)
            last_words = " ".join(log.read().split())[-500:]
            raise ServerDidNotStartError(f"{error}: {last_words}") from None
    return {way: np.concatenate([answer[way] for answer in answers]) for way in answers[0]}


def _ask(
    pixels: NDArray[np.uint8], labels: Sequence[str], server: ModelServer
) -> dict[str, NDArray[Any]]:
    """The probabilities of the images, by each way that a client may ask."""
    encoded = [images.encode_png(image) for image in pixels]
    with grpc.insecure_channel(server.grpc, [("grpc.enable_http_proxy", 0)]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        return {
            "REST serving_default": _ask_rest(encoded, server.rest),
            "gRPC serving_default": _ask_grpc(stub, "serving_default", "image_bytes", encoded),
            "gRPC predict_pixels": _ask_grpc(
                stub, "predict_pixels", "pixels", pixels.astype(np.float32)
            ),
            "gRPC classify": _ask_classify(stub, encoded, labels),
        }


def _ask_rest(encoded: Sequence[bytes], url: str) -> NDArray[Any]:
    instances = [{"b64": base64.b64encode(image).decode()} for image in encoded]
    with requests.Session() as session:
        session.trust_env = False  # A proxy would ask its own machine.
        response = session.post(
            f"{url}/v1/models/{MODEL_NAME}:predict",
            json={"instances": instances},
            timeout=ANSWER_TIMEOUT,
        )
    response.raise_for_status()
    return np.array([answer["probabilities"] for answer in response.json()["predictions"]])


def _ask_grpc(stub: Any, signature: str, name: str, values: Any) -> NDArray[Any]:
    request = predict_pb2.PredictRequest(inputs={name: tf.make_tensor_proto(values)})
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = signature
    response = stub.Predict(request, timeout=ANSWER_TIMEOUT)
    return tf.make_ndarray(response.outputs["probabilities"])


def _ask_classify(stub: Any, encoded: Sequence[bytes], labels: Sequence[str]) -> NDArray[Any]:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = "classify"
    for image in encoded:
        features = request.input.example_list.examples.add().features.feature
        features["image/encoded"].bytes_list.value.append(image)
    rows = stub.Classify(request, timeout=ANSWER_TIMEOUT).result.classifications
    scores = [{each.label: each.score for each in row.classes} for row in rows]
    return np.array([[row.get(label, np.nan) for label in labels] for row in scores])
