"""The pictures that components leave behind, drawn with matplotlib and no display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

_SPLIT_COLORS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure


def class_bars(counts: Mapping[str, Mapping[str, int]], labels: Sequence[str], path: Path) -> None:
    """Draws a bar for each class and split; `counts` maps split -> label -> images."""
    figure = _figure(max(5, len(labels) * 1.1), 3.5)
    axes = figure.subplots()
    places, width = np.arange(len(labels)), 0.8 / max(len(counts), 1)
    for index, (split, of_label) in enumerate(counts.items()):
        heights = [of_label.get(label, 0) for label in labels]
        bars = axes.bar(
            places + index * width, heights, width, label=split, color=_SPLIT_COLORS.get(split)
        )
        axes.bar_label(bars, fontsize=7)
    axes.set_xticks(places + width * (len(counts) - 1) / 2, labels)
    axes.set_ylabel("images")
    figure.legend(frameon=False, loc="outside upper center", ncols=len(counts))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def contact_sheet(
    rows: Mapping[str, Sequence[NDArray[np.uint8]]], path: Path, *, columns: int = 8
) -> None:
    """Draws the first `columns` images of each named row; images are uint8 [h, w, 1 or 3]."""
    figure = _figure(columns * 0.9 + 1.2, max(len(rows), 1) * 0.95)
    grid = figure.subplots(max(len(rows), 1), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (name, images) in zip(grid, rows.items(), strict=False):
        line[0].text(
            -0.1, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=8
        )
        for axes, image in zip(line, images, strict=False):
            axes.imshow(
                image[..., 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255
            )
    figure.savefig(path)


def confusion_matrix(matrix: NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Draws a confusion matrix: shares of the true class as colour, counts as numbers."""
    from sklearn.metrics import ConfusionMatrixDisplay

    size = max(3.5, len(labels) * 0.75 + 1.5)
    figure = _figure(size, size * 0.85)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(shares, display_labels=list(labels))
    display.plot(ax=axes, cmap="Blues", include_values=False, xticks_rotation=45, im_kw=_SHARE)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=9)
    figure.savefig(path)


_SHARE = {"vmin": 0.0, "vmax": 1.0}


def learning_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws loss and accuracy over epochs, train and validation; `history` has a row an epoch."""
    figure = _figure(8, 3.2)
    epochs = [row["epoch"] for row in history]
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, split in ((metric, "train"), (f"val_{metric}", "validation")):
            if key in history[0]:
                values = [row[key] for row in history]
                axes.plot(epochs, values, marker=".", label=split, color=_SPLIT_COLORS[split])
        axes.set_xlabel("epoch")
        axes.set_title(metric, fontsize=10)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
