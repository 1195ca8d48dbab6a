"""The pictures of an evaluation: confusion matrix, reliability diagram, ROC curves, mistakes."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn import metrics as sk

from components.common.evaluation.calibration import BINS, expected_calibration_error, reliability
from components.common.evaluation.metrics import OfClass
from components.common.figures import new_figure

_BLUE, _GRAY = "#86a3d3", "#666666"
_TO = "\N{RIGHTWARDS ARROW}"
_BELOW: dict[str, Any] = {
    "ha": "center",
    "va": "top",
    "fontsize": 6.5,
    "color": _GRAY,
    "parse_math": False,
}
_COLUMNS = 5
_LONGEST_NAME = 24


class Mistake(NamedTuple):
    """A picture that was taken for another class, with the probability of that class."""

    id: str
    source: str
    label: str
    predicted: str
    probability: float


def confusion_counts(matrix: NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Draws a confusion matrix: its counts as numbers, shares of the true class as colour."""
    texts = np.array([f"{count:,}" for count in matrix.flat]).reshape(matrix.shape)
    _matrix(matrix, texts, labels, f"Confusion matrix of {matrix.sum():,} images", path)


def confusion_shares(matrix: NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Draws the shares of each true class; the diagonal is its recall."""
    texts = np.array([f"{share:.2f}" for share in _shares(matrix).flat]).reshape(matrix.shape)
    _matrix(matrix, texts, labels, "Confusion matrix, shares of the true class", path)


def _shares(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    return matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)


def _matrix(
    matrix: NDArray[np.int64],
    texts: NDArray[np.str_],
    labels: Sequence[str],
    title: str,
    path: Path,
) -> None:
    size = max(3.8, len(labels) * 0.72 + 1.8)
    figure = new_figure(size, size * 0.9)
    axes = figure.subplots()
    shares = _shares(matrix)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="share of the true class")
    for (row, column), text in np.ndenumerate(texts):
        color = "white" if shares[row, column] > 0.5 else "#333333"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=11)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(path)


def reliability_diagram(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], path: Path
) -> None:
    """Draws accuracy over confidence in bins, and below how many pictures each bin has."""
    bins = reliability(labels, probabilities)
    there = bins.images > 0
    images = bins.images[there]
    centers = ((np.arange(BINS) + 0.5) / BINS)[there]
    figure = new_figure(4.6, 5.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bar = {"width": 0.9 / BINS, "color": _BLUE}
    above.bar(centers, bins.right[there] / images, **bar, label="accuracy")
    _diagonal(above, "perfectly calibrated")
    error = expected_calibration_error(labels, probabilities)
    above.set_title(f"Reliability: expected calibration error {error:.3f}", fontsize=11)
    above.set_ylabel("share that is right")
    above.legend(frameon=False, fontsize=8, loc="upper left")
    below.bar(centers, images / images.sum(), **bar)
    below.set_ylabel("share of images")
    below.set_xlabel("confidence (largest probability)")
    below.set_xlim(0, 1)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def roc_curves(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    classes: Sequence[OfClass],
    path: Path,
) -> None:
    """Draws the ROC curve of each class against the rest, where it has one."""
    figure = new_figure(5, 5)
    axes = figure.subplots()
    _diagonal(axes, "by chance")
    for index, of_class in enumerate(classes):
        if of_class.roc_auc is None:
            continue
        false, true, _ = sk.roc_curve(labels == index, probabilities[:, index])
        axes.plot(false, true, label=f"{of_class.label} ({of_class.roc_auc:.3f})", linewidth=1.6)
    axes.set_title("ROC curves, each class against the rest", fontsize=11)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right", title="class (area under its curve)")
    figure.savefig(path)


def _diagonal(axes: Axes, label: str) -> None:
    axes.plot([0, 1], [0, 1], linestyle="--", linewidth=1.2, color=_GRAY, label=label)


def mistakes_sheet(
    mistakes: Sequence[Mistake], images: Mapping[str, NDArray[np.uint8]], path: Path
) -> None:
    """Draws each mistake: the picture, what it was taken for, the file that it comes from.

    Args:
        mistakes: in the order they are drawn.
        images: uint8 [height, width, 1 or 3] by id.
        path: of the PNG.
    """
    lines = max(1, -(-len(mistakes) // _COLUMNS))
    figure = new_figure(_COLUMNS * 1.75, lines * 2.1 + 0.4)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, mistake in zip(grid.flat, mistakes, strict=False):
        image = images[mistake.id]
        axes.imshow(image[..., 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)
        title = f"{mistake.label} {_TO} {mistake.predicted} {mistake.probability:.2f}"
        axes.set_title(title, fontsize=8, pad=3, parse_math=False)
        name = _shortened(PurePosixPath(mistake.source).name)
        axes.text(0.5, -0.03, name, **_BELOW, transform=axes.transAxes)
    most = f"The {len(mistakes)} most confident mistakes" if mistakes else "No mistakes"
    figure.suptitle(f"{most}: true {_TO} predicted", fontsize=11)
    figure.savefig(path)


def _shortened(name: str) -> str:
    """A name whose middle is left out where it is too long to be drawn: its end tells more."""
    if len(name) <= _LONGEST_NAME:
        return name
    begin = _LONGEST_NAME // 3
    return f"{name[:begin]}\N{HORIZONTAL ELLIPSIS}{name[begin + 1 - _LONGEST_NAME :]}"
