"""Backbones: the part of a trained network from pixels to features, for transfer learning.

Of `keras.applications`, with ImageNet's weights or a file's; or of a `.keras` file, such as another
mien run's model, without its output layer.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
from keras import applications

from tuning.heads import without_head

NO_WEIGHTS = "random"


class BackboneError(ValueError):
    """A backbone that cannot be had; says what would be right."""


class Application(NamedTuple):
    """A network of `keras.applications`: how it is built, and what it wants done to pixels.

    Attributes:
        build: its function.
        preprocess: from pixels 0..255 to what it was trained on.
        least_side: of a picture, in pixels.
    """

    build: Callable[..., Any]
    preprocess: Callable[[Any], Any]
    least_side: int


def _inside(pixels: Any) -> Any:
    return pixels  # The network itself begins with it.


APPLICATIONS: Mapping[str, Application] = MappingProxyType(
    {
        "vgg16": Application(applications.VGG16, applications.vgg16.preprocess_input, 32),
        "xception": Application(applications.Xception, applications.xception.preprocess_input, 71),
        "mobilenet_v3": Application(applications.MobileNetV3Small, _inside, 32),
        "efficientnet_v2": Application(applications.EfficientNetV2B0, _inside, 32),
        "convnext": Application(applications.ConvNeXtTiny, _inside, 32),
    }
)


def load_backbone(backbone: str, weights: str, image_shape: tuple[int, ...]) -> Any:
    """A model from pixels 0..255, float32 [batch, *image_shape], to features float32 [batch, f].

    Batch normalization stays in inference mode whatever is trained, as Keras's guide to transfer
    learning has it.

    Args:
        backbone: a name of APPLICATIONS, or the path of a `.keras` file.
        weights: of a network of APPLICATIONS: `imagenet`, `random`, or the path of a file.
        image_shape: height, width and channels; of gray pictures, the channel is repeated.

    Raises:
        BackboneError: there is none such, or it does not take pictures of that shape.
    """
    if backbone in APPLICATIONS:
        return _of_application(backbone, weights, image_shape)
    return _of_file(Path(backbone), image_shape)


def _of_application(name: str, weights: str, image_shape: tuple[int, ...]) -> Any:
    application, (height, width, channels) = APPLICATIONS[name], image_shape
    if min(height, width) < application.least_side:
        least = application.least_side
        raise BackboneError(
            f"{name} takes pictures of {least}x{least} or more, not {height}x{width}: "
            f"transform.height={least}, transform.width={least}"
        )
    try:
        network = application.build(
            include_top=False,
            weights=None if weights == NO_WEIGHTS else weights,
            input_shape=(height, width, 3),
            pooling="avg",
        )
    except Exception as error:  # Of a download, a missing file, or weights of another network.
        raise BackboneError(
            f"no weights {weights!r} for {name}: {_in_a_line(error)}; say the path of a "
            f".weights.h5 file, or {NO_WEIGHTS!r}"
        ) from error
    pixels = keras.Input(image_shape, name="pixels")
    rgb = keras.layers.Concatenate()([pixels] * 3) if channels == 1 else pixels
    return _frozen(pixels, network(application.preprocess(rgb), training=False), name)


def _of_file(path: Path, image_shape: tuple[int, ...]) -> Any:
    if path.suffix != ".keras" or not path.is_file():
        names = ", ".join(APPLICATIONS)
        raise BackboneError(f"backbone {path}: neither a .keras file nor one of {names}")
    try:
        model = keras.models.load_model(path)
        body = without_head(model)
    except Exception as error:  # Of a damaged file Keras raises whatever it likes.
        if isinstance(error, OSError) and error.errno:
            raise  # The disk's fault, and not the file's.
        raise BackboneError(f"backbone {path}: {_in_a_line(error)}") from error
    if model.input_shape[1:] != image_shape:
        height, width, channels = model.input_shape[1:]
        raise BackboneError(
            f"the backbone takes pictures of {height}x{width}x{channels}: transform.height="
            f"{height}, transform.width={width}, transform.channels={channels}"
        )
    pixels = keras.Input(image_shape, name="pixels")
    return _frozen(pixels, body(pixels, training=False), path.stem)


def _in_a_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _frozen(pixels: Any, features: Any, name: str) -> Any:
    model = keras.Model(pixels, features, name=f"backbone_{name}")
    model.trainable = False
    return model


def on_top(backbone: Any, head: Any) -> Any:
    """One model of a backbone and the head that was trained on its features."""
    return keras.Model(backbone.input, head(backbone.output), name="transfer")
