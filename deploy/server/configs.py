"""What the server is told, in TensorFlow Serving's own text files: its models, its batching.

https://www.tensorflow.org/tfx/serving/serving_config
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.server.errors import StartError


class Batching(NamedTuple):
    """How requests are merged into batches.

    Attributes:
        max_batch_size: rows of a batch at most; a larger request is answered in parts.
        batch_timeout_micros: how long a batch that is not full waits for more.
        max_enqueued_batches: so many full batches may wait; what comes then is refused.
        num_batch_threads: batches that are computed at the same time.
        allowed_batch_sizes: a batch is filled up to one of these; none: it has the size it has.
    """

    max_batch_size: int = 64
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 100
    num_batch_threads: int = min(4, os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()


def one_model(name: str, base_path: Path) -> ModelServerConfig:
    """The config of a single model, whose newest version is served."""
    config = ModelServerConfig()
    config.model_config_list.config.add(
        name=name, base_path=str(base_path), model_platform="tensorflow"
    )
    return config


def read_models(path: Path) -> ModelServerConfig:
    """Reads a `models.config`.

    Raises:
        StartError: it cannot be read, or is no such text.
    """
    config: ModelServerConfig = _parse(path, ModelServerConfig())
    check_models(config)
    return config


def check_models(config: ModelServerConfig) -> None:
    """Checks that a config names models that can be told apart.

    Raises:
        StartError: it names none, or one twice, or one has no base path.
    """
    models = config.model_config_list.config
    names = [model.name for model in models]
    if not names:
        raise StartError("the config lists no model: wanted model_config_list { config { ... } }")
    if len(set(names)) < len(names):
        raise StartError("the config lists a model twice: give each a name of its own")
    for model in models:
        if not (model.name and model.base_path):
            raise StartError("the config has a model without name or base_path")


def read_batching(path: Path) -> Batching:
    """Reads a file of batching parameters.

    Raises:
        StartError: it cannot be read, is no such text, or says what is impossible.
    """
    parameters = _parse(path, _batching_message())
    said = {
        name: getattr(parameters, name).value
        for name in Batching._fields[:-1]
        if parameters.HasField(name)
    }
    batching = Batching(**said, allowed_batch_sizes=tuple(parameters.allowed_batch_sizes))
    sizes = batching.allowed_batch_sizes
    if sizes and (sorted(sizes) != [*sizes] or sizes[-1] != batching.max_batch_size):
        raise StartError(f"{path}: allowed_batch_sizes must rise, and end at max_batch_size")
    if min(batching[0], *batching[2:4]) < 1 or batching.batch_timeout_micros < 0:
        raise StartError(f"{path}: sizes, numbers and times must be positive")
    return batching


def _parse(path: Path, message: Any) -> Any:
    try:
        return text_format.Parse(path.read_text(), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise StartError(f"{path} cannot be read: {error}") from error


_INT64, _STRING = ".google.protobuf.Int64Value", ".google.protobuf.StringValue"

# tensorflow_serving/servables/tensorflow/session_bundle_config.proto, which the package
# tensorflow-serving-api leaves out.
_BATCHING_PARAMETERS = f"""
name: "session_bundle_config.proto"
package: "tensorflow.serving"
syntax: "proto3"
dependency: "google/protobuf/wrappers.proto"
message_type {{
  name: "BatchingParameters"
  field {{ name: "max_batch_size" number: 1 type: TYPE_MESSAGE type_name: "{_INT64}" }}
  field {{ name: "batch_timeout_micros" number: 2 type: TYPE_MESSAGE type_name: "{_INT64}" }}
  field {{ name: "max_enqueued_batches" number: 3 type: TYPE_MESSAGE type_name: "{_INT64}" }}
  field {{ name: "num_batch_threads" number: 4 type: TYPE_MESSAGE type_name: "{_INT64}" }}
  field {{ name: "thread_pool_name" number: 5 type: TYPE_MESSAGE type_name: "{_STRING}" }}
  field {{ name: "allowed_batch_sizes" number: 6 type: TYPE_INT64 label: LABEL_REPEATED }}
  field {{ name: "pad_variable_length_inputs" number: 7 type: TYPE_BOOL }}
}}
"""


def _batching_message() -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = text_format.Parse(_BATCHING_PARAMETERS, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(file.SerializeToString())
    message = pool.FindMessageTypeByName("tensorflow.serving.BatchingParameters")
    return message_factory.GetMessageClass(message)()
