"""A network as a person reads it: its layers as text, and drawn where graphviz is installed."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import keras

log = logging.getLogger(__name__)

_COLUMNS = "COLUMNS"
_WIDTH = 96


def describe_network(network: keras.Model, folder: Path) -> None:
    """Writes `summary.txt` and, with graphviz's `dot` and pydot, `network.png`.

    Args:
        network: any; of frozen parts the layers are told too.
        folder: is there already.
    """
    lines: list[str] = []
    with _columns(_WIDTH):
        network.summary(
            line_length=_WIDTH, expand_nested=True, print_fn=lambda line, **_: lines.append(line)
        )
    (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if shutil.which("dot") and find_spec("pydot"):
        _draw(network, folder / "network.png")


@contextmanager
def _columns(width: int) -> Iterator[None]:
    """Says how wide the terminal is: Keras cuts a summary to that, whatever length it is given."""
    before = os.environ.get(_COLUMNS)
    os.environ[_COLUMNS] = str(width)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_COLUMNS]
        else:
            os.environ[_COLUMNS] = before


def _draw(network: keras.Model, path: Path) -> None:
    try:
        keras.utils.plot_model(
            network, str(path), show_shapes=True, show_layer_names=True, expand_nested=True, dpi=80
        )
    except Exception as error:  # A drawing is worth no training; pydot raises whatever dot says.
        path.unlink(missing_ok=True)
        log.warning("the network was not drawn: %s", error)
