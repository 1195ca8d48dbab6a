"""The page's part on the evaluation: metrics, classes, slices, the champion, figures, mistakes."""

import csv
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from components.common.evaluation.metric_names import LOWER_IS_BETTER, TITLES
from pipelines.report.artifacts import pictures, read_if_there

_NOT_UP_TO_ONE = ("log_loss",)

_FIGURES = {
    "confusion_matrix_normalized.png": "Confusion matrix, as shares of the true class",
    "confusion_matrix.png": "Confusion matrix, in pictures",
    "reliability.png": "Reliability: how often a prediction of a given confidence is right",
    "roc.png": "ROC curves, one class versus the rest",
}
_MISTAKES = {"mistakes.png": "The most confident mistakes, each with its true and predicted label"}


def describe_evaluation(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """Gathers what Evaluator wrote; None where it did not run, and no part that is not there."""
    if "evaluation" not in folders:
        return None
    folder = folders["evaluation"]
    content = read_if_there(folder / "metrics.json")
    split = content["split"]
    return {
        "split": split,
        "images": content["images"],
        "rejected": content.get("rejected", {}),
        "test_read": content.get("test_read", ""),
        "test_time_augmentation": content.get("test_time_augmentation", False),
        "metrics": metric_rows(
            (name.removeprefix(f"{split}/"), interval)
            for name, interval in content.items()
            if name.startswith(f"{split}/")
        ),
        "classes": read_if_there(folder / "classes.json"),
        "slices": _by_name(read_if_there(folder / "slices.json") or []),
        "comparison": _comparison(read_if_there(folder / "comparison.json")),
        "figures": pictures(folder, _FIGURES),
        "mistakes": _read_table(folder / "mistakes.csv"),
        "mistakes_sheet": pictures(folder, _MISTAKES),
    }


def metric_rows(metrics: Iterable[tuple[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """A row for each metric: its name in words, its interval, whether a bar up to one fits it."""
    return [
        {
            **interval,
            "name": TITLES.get(name, name.replace("_", " ")),
            "lower_is_better": name in LOWER_IS_BETTER,
            "up_to_one": name not in _NOT_UP_TO_ONE,
        }
        for name, interval in metrics
    ]


def intervals(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The metrics of `run.json`, where an interval is three names, as `value`, `low`, `high`."""
    return {
        name: {"value": value, "low": metrics[f"{name}_low"], "high": metrics[f"{name}_high"]}
        for name, value in metrics.items()
        if f"{name}_low" in metrics
    }


def headline(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Accuracy, beside that of the most common class, and macro F1, as far as they are known."""
    known = intervals(metrics)
    shown = []
    for wanted, majority in (("accuracy", "majority_accuracy"), ("macro_f1", "")):
        for name in known:
            split, metric = name.split("/")
            if metric == wanted:
                of_majority = metrics.get(f"{split}/{majority}")
                more = {"metric": metric, "split": split, "majority": of_majority}
                shown.append({**known[name], **more})
    return shown


def _by_name(slices: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {name: list(rows) for name, rows in groupby(slices, lambda row: row["slice"])}


def _comparison(comparison: dict[str, Any] | None) -> dict[str, Any] | None:
    """With the names in words, and the reach of the bars: the farthest end of any difference."""
    if comparison is None:
        return None
    rows = [
        {**row, "name": TITLES.get(name, name), "lower_is_better": name in LOWER_IS_BETTER}
        for name, row in comparison["metrics"].items()
    ]
    ends = (abs(row["difference"][end]) for row in rows for end in ("low", "high"))
    return {**comparison, "rows": rows, "reach": max(ends, default=0.0) or 1.0}


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
