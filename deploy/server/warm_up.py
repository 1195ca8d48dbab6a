"""Warm-up: the requests that came with a model are computed before it answers others.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from deploy.server.errors import ServingError, StartError
from deploy.server.messages import arrays, merged_examples, serialized
from deploy.server.servable import DEFAULT_SIGNATURE, Array, Servable

MAX_REQUESTS = 1_000
"""As TF Serving has it."""

_LOGS: dict[str, Callable[[Any], dict[str, Array]]] = {
    "predict_log": arrays,
    "classify_log": lambda request: {"inputs": serialized(merged_examples(request.input))},
    "regress_log": lambda request: {"inputs": serialized(merged_examples(request.input))},
}


def load_warm(name: str, folder: Path) -> Servable:
    """Loads a version and computes its recorded Predict, Classify and Regress requests once.

    Raises:
        StartError: it cannot be loaded, or a record cannot be read or answered.
    """
    servable = Servable.load(name, folder)
    records = folder / "assets.extra" / "tf_serving_warmup_requests"
    if not records.exists():
        return servable
    try:
        for record in tf.data.TFRecordDataset(str(records)).take(MAX_REQUESTS).as_numpy_iterator():
            _compute(servable, PredictionLog.FromString(record))
    except (ServingError, DecodeError, tf.errors.OpError) as error:
        reason = str(error).partition("\n")[0]
        raise StartError(f"{records}: cannot warm up: {reason}") from error
    return servable


def _compute(servable: Servable, log: PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind not in _LOGS:
        return
    request = getattr(log, kind).request
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    inputs = _LOGS[kind](request)
    servable.require_inputs(signature, inputs)
    servable.predict(signature, inputs)
