"""The page's part on the folds of a cross-validation: a table, and a dot for each of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.local_runner import Run
from pipelines.report.evaluation import intervals, metric_rows

_BINS = 50
"""Dots of one bin stand on each other; more bins, and those of neighbours would overlap."""


def describe_folds(folds: Sequence[Run], metrics: Mapping[str, float]) -> dict[str, Any] | None:
    """Gathers the metrics of folds; None where the run had none.

    Args:
        folds: the runs of the folds that there are.
        metrics: of the cross-validation: the means, with their intervals; none where a fold failed.

    Returns:
        `split`; `metrics`, of each its mean and its dot plot; `rows`, the `run` of each fold with
        its `cells` in the metrics' order, None where it did not come to that.
    """
    if not folds:
        return None
    names = list(intervals(folds[0].metrics))
    means = intervals(metrics)
    rows = [{"run": fold, "cells": [fold.metrics.get(name) for name in names]} for fold in folds]
    described = metric_rows((name.split("/")[-1], means.get(name, {})) for name in names)
    columns = zip(*(row["cells"] for row in rows), strict=True)
    return {
        "split": names[0].split("/")[0] if names else "",
        "metrics": [
            metric | _dot_plot([cell for cell in column if cell is not None])
            for metric, column in zip(described, columns, strict=True)
        ],
        "rows": rows,
    }


def _dot_plot(values: Sequence[float]) -> dict[str, Any]:
    """`dots`, each a value from 0 to 1 and how many stand below it; `stack`, the highest."""
    stacks: Counter[int] = Counter()
    dots = []
    for value in sorted(values):
        dots.append((value, stacks[round(value * _BINS)]))
        stacks[round(value * _BINS)] += 1
    return {"dots": dots, "stack": max(stacks.values(), default=0)}
