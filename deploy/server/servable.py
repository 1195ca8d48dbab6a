"""One loaded SavedModel version: what TensorFlow Serving calls a servable."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from google.protobuf.message import DecodeError
from grpc import StatusCode
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from components.common.pictures.picture_files import UndecodableImageError, count_pixels
from deploy.server.errors import ServingError, StartError, invalid_argument

Array = npt.NDArray[Any]

DEFAULT_SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_NONE = np.array([], dtype=object)
_CODES = {code.value[0]: code for code in StatusCode}


class Servable:
    """A SavedModel version in memory. Its methods may be called from several threads at once.

    Attributes:
        name: the model's name, as requests say it.
        version: the number of the version directory.
        signature_defs: the signatures as the SavedModel describes them, for clients to read.
    """

    def __init__(self, name: str, version: int, model: Any, graph: MetaGraphDef) -> None:
        """Takes what `load` read; `model` is what `tf.saved_model.load` returns."""
        self.name = name
        self.version = version
        self.signature_defs = dict(graph.signature_def)
        placeholders = {node.name for node in graph.graph_def.node if node.op == "Placeholder"}
        self._inputs = {
            signature: _input_specs(function, self.signature_defs[signature], placeholders)
            for signature, function in model.signatures.items()
        }
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
        return cls(name, int(folder.name), model, serving)

    def inputs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Returns the inputs of `signature` by name.

        Raises:
            ServingError: INVALID_ARGUMENT, there is no such signature.
        """
        if signature not in self._inputs:
            raise invalid_argument(
                f'Serving signature name: "{signature}" not found in signature def'
            )
        return self._inputs[signature]

    def predict(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs `signature` on `inputs` that `require_inputs` has let pass.

        Strings are object arrays of bytes, going in and coming out.

        Raises:
            ServingError: the graph refuses them (INVALID_ARGUMENT: an image that cannot be
                decoded), or memory runs out (RESOURCE_EXHAUSTED).
        """
        specs = self.inputs(signature)
        tensors = {name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        try:
            outputs = self._model.signatures[signature](**tensors)
        except tf.errors.OpError as error:
            raise ServingError(_CODES[error.error_code], _reason(error)) from error
        # asarray, since the numpy value of a scalar string is bytes and no array.
        return {
            name: np.asarray(tensor.numpy(), tensor.dtype.as_numpy_dtype)
            for name, tensor in sorted(outputs.items())  # which come in any order
        }

    def require_inputs(self, signature: str, inputs: Mapping[str, Array]) -> int:
        """Checks that inputs are those of a signature; returns how many pixels their pictures have.

        Raises:
            ServingError: INVALID_ARGUMENT, they are not, or there is no such signature.
        """
        _require_inputs(self.inputs(signature), inputs)
        return pixels_of(inputs.get("image_bytes", _NONE).ravel())

    def require_method(self, signature: str, method: str, outputs: Set[str]) -> None:
        """Checks that a signature is one of TF Serving's Classify or Regress API.

        As TF Serving by default, it is known by its names and not by its `method_name`, which is
        `predict` in whatever `tf.saved_model.save` writes.

        Args:
            signature: its name.
            method: `classify` or `regress`.
            outputs: of which it must have one or more, and no others.

        Raises:
            ServingError: INVALID_ARGUMENT, it is not.
        """
        signature_def = self.signature_defs.get(signature, SignatureDef())
        there = set(signature_def.outputs)
        if set(signature_def.inputs) != {"inputs"} or not there or there - outputs:
            named = " and ".join(f'"{name}"' for name in sorted(outputs))
            raise invalid_argument(
                f'Signature "{signature}" cannot {method}: it must have the input "inputs" '
                f"and no outputs but {named}"
            )

    def is_batchable(self, signature: str) -> bool:
        """Whether all tensors of a signature have one row for each of as many as are asked for."""
        function = self._model.signatures[signature]
        specs = (*self.inputs(signature).values(), *function.structured_outputs.values())
        return all(spec.shape.rank and spec.shape[0] is None for spec in specs)


def pixels_of(encoded: Iterable[bytes]) -> int:
    """How many pixels pictures have together, by their headers.

    Raises:
        ServingError: INVALID_ARGUMENT, one cannot be decoded: see `picture_files.count_pixels`.
    """
    try:
        return sum(map(count_pixels, encoded))
    except UndecodableImageError as error:
        raise invalid_argument(str(error)) from error


def _input_specs(
    function: Any, signature_def: SignatureDef, placeholders: Set[str]
) -> dict[str, tf.TensorSpec]:
    """The inputs of a signature by name; of any shape where they need not have the declared one.

    TensorFlow 1 could name any tensor an input, as half_plus_two does, the model of TF Serving's
    documentation: it says [batch, 1], and is sent [batch]. Only a placeholder insists.
    """
    specs: dict[str, tf.TensorSpec] = function.structured_input_signature[1]
    fed = {name: info.name.partition(":")[0] for name, info in signature_def.inputs.items()}
    return {
        name: spec if fed[name] in placeholders else tf.TensorSpec(None, spec.dtype, name)
        for name, spec in specs.items()
    }


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
