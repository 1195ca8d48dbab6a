"""Warm-up: the requests that came with a model are computed before it answers others.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from deploy.server.errors import ServingError, StartError
from deploy.server.messages import arrays
from deploy.server.servable import DEFAULT_SIGNATURE, Servable

MAX_REQUESTS = 1_000
"""As TF Serving has it."""


def load_warm(name: str, folder: Path) -> Servable:
    """Loads a version and computes its recorded Predict requests once.

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
    if log.WhichOneof("log_type") != "predict_log":
        return
    request = log.predict_log.request
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    inputs = arrays(request)
    servable.require_inputs(signature, inputs)
    servable.predict(signature, inputs)
