"""The pictures that components leave behind, drawn with matplotlib and no display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

_SPLIT_COLORS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}

LOG_RATIO = 30
"""Learning rates that lie farther apart are drawn on a logarithmic scale."""


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, without a display."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure


def class_bars(counts: Mapping[str, Mapping[str, int]], labels: Sequence[str], path: Path) -> None:
    """Draws a bar for each class and split; `counts` maps split -> label -> images."""
    figure = new_figure(max(5, len(labels) * 1.1), 3.5)
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
    figure = new_figure(columns * 0.9 + 1.2, max(len(rows), 1) * 0.95)
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


def learning_curves(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws loss and accuracy, train and validation, and the learning rate where it is known.

    Args:
        history: a row an epoch.
        path: of the PNG.
    """
    metrics = [name for name in ("loss", "accuracy", "learning_rate") if name in history[0]]
    figure = new_figure(4 * len(metrics), 3.2)
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _plot_metric(axes, history, metric)
    rates = [row.get("learning_rate", 0.0) for row in history]
    if _falls_by_orders(rates):
        panels[-1].set_yscale("log")
    figure.savefig(path)


def _plot_metric(axes: Axes, history: Sequence[Mapping[str, Any]], metric: str) -> None:
    curves = {metric: "train", f"val_{metric}": "validation"}
    for key, split in curves.items():
        if key in history[0]:
            epochs, values = [row["epoch"] for row in history], [row[key] for row in history]
            axes.plot(epochs, values, marker=".", label=split, color=_SPLIT_COLORS[split])
    if metric != "learning_rate":
        axes.legend(frameon=False)
    axes.set_xlabel("epoch")
    axes.set_title(metric.replace("_", " "), fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)


def _falls_by_orders(rates: Sequence[float]) -> bool:
    # A cosine ends at 0, which no logarithm has: that alone is no reason for one.
    there = [rate for rate in rates if rate > 0]
    return bool(there) and max(there) / min(there) > LOG_RATIO
