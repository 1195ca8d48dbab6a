"""One loaded SavedModel version: what TensorFlow Serving calls a servable."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from deploy.server.errors import ServingError, StartError, invalid_argument

Array = npt.NDArray[Any]

DEFAULT_SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_CODES = {code.value[0]: code for code in StatusCode}


class Servable:
    """A SavedModel version in memory. Its methods may be called from several threads at once.

    Attributes:
        name: the model's name, as requests say it.
        version: the number of the version directory.
        signature_defs: the signatures as the SavedModel describes them, for clients to read.
    """

    def __init__(
        self, name: str, version: int, model: Any, signature_defs: Mapping[str, SignatureDef]
    ) -> None:
        """Takes what `load` read; `model` is what `tf.saved_model.load` returns."""
        self.name = name
        self.version = version
        self.signature_defs = signature_defs
        # The functions hold their variables weakly: without the model they would be freed.
        self._model = model

    @classmethod
    def load(cls, name: str, folder: Path) -> Self:
        """Loads the version directory `folder`, whose own name is the version number.

        Raises:
            StartError: what `folder` holds is no SavedModel, or a part of it is missing.
        """
        try:
            saved_model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
            model = tf.saved_model.load(str(folder), tags=[tf.saved_model.SERVING])
        except (OSError, ValueError, DecodeError, tf.errors.OpError) as error:
            reason = str(error).partition("\n")[0]
            raise StartError(
                f"{folder} cannot be loaded, push the model again: {reason}"
            ) from error
        serving = next(
            graph
            for graph in saved_model.meta_graphs
            if tf.saved_model.SERVING in graph.meta_info_def.tags
        )
        return cls(name, int(folder.name), model, dict(serving.signature_def))

    def require(self, name: str, version: int | None) -> None:
        """Checks that a request for model `name` (`version`, or the latest) is for this servable.

        Raises:
            ServingError: NOT_FOUND, it is for another.
        """
        if name != self.name or version not in (None, self.version):
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError(StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")

    def inputs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Returns the inputs of `signature` by name.

        Raises:
            ServingError: INVALID_ARGUMENT, there is no such signature.
        """
        if signature not in self._model.signatures:
            raise invalid_argument(
                f'Serving signature name: "{signature}" not found in signature def'
            )
        specs: dict[str, tf.TensorSpec] = self._model.signatures[
            signature
        ].structured_input_signature[1]
        return specs

    def predict(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs `signature` on `inputs`, arrays of the signature's names, dtypes and shapes.

        Strings are object arrays of bytes, going in and coming out.

        Raises:
            ServingError: INVALID_ARGUMENT, the inputs are not those of the signature, or the graph
                refuses them (an image that cannot be decoded).
        """
        specs = self.inputs(signature)
        _require_inputs(specs, inputs)
        tensors = {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        try:
            outputs = self._model.signatures[signature](**tensors)
        except tf.errors.OpError as error:
            raise ServingError(_CODES[error.error_code], _reason(error)) from error
        # asarray, since the numpy value of a scalar string is bytes and no array.
        return {
            name: np.asarray(tensor.numpy(), tensor.dtype.as_numpy_dtype)
            for name, tensor in outputs.items()
        }

    def classify(self, signature: str, examples: Sequence[bytes]) -> tuple[Array, Array]:
        """Classifies serialized `tf.Example`s by a signature of TF Serving's Classify API.

        Returns:
            Classes, bytes [examples, k], and scores, float32 [examples, k].

        Raises:
            ServingError: INVALID_ARGUMENT, the signature is not one for classification, or the
                graph refuses the examples.
        """
        # As TF Serving by default, the signature is known by its names and not by its
        # `method_name`, which is `predict` in whatever tf.saved_model.save writes.
        signature_def = self.signature_defs.get(signature, SignatureDef())
        if set(signature_def.inputs) != {"inputs"} or set(signature_def.outputs) != {
            "classes",
            "scores",
        }:
            raise invalid_argument(
                f'Signature "{signature}" cannot classify: it must have the input "inputs" '
                'and the outputs "classes" and "scores"'
            )
        outputs = self.predict(signature, {"inputs": np.array(examples, dtype=object)})
        return outputs["classes"], outputs["scores"]


def _require_inputs(specs: Mapping[str, tf.TensorSpec], inputs: Mapping[str, Array]) -> None:
    extra, missing = sorted(inputs.keys() - specs.keys()), sorted(specs.keys() - inputs.keys())
    if extra or missing:
        raise invalid_argument(
            f"input size does not match signature: Sent extra: {{{','.join(extra)}}}. "
            f"Missing but required: {{{','.join(missing)}}}."
        )
    for name, spec in specs.items():
        got = inputs[name]
        if tf.as_dtype(got.dtype) != spec.dtype:
            raise invalid_argument(
                f'Input "{name}" must be {spec.dtype.name}, not {tf.as_dtype(got.dtype).name}'
            )
        if not spec.shape.is_compatible_with(got.shape):
            raise invalid_argument(
                f'Input "{name}" must have the shape {spec.shape}, not {got.shape}'
            )


def _reason(error: tf.errors.OpError) -> str:
    # Python's TensorFlow puts where the node was defined before the message; TF Serving does not.
    return error.message.rpartition("<stack traces unavailable>\n")[2]
