"""The page's parts on the search, the training and the model that came of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.report.artifacts import pictures, read_if_there
from pipelines.store import Execution
from tuning.sweep.board import make_board
from tuning.sweep.trials import Trial

SHOWN_TRIALS = 15

_OF_THE_SEARCH = {
    "objective.png": "The objective over the trials",
    "importance.png": "Importance: each hyperparameter's share of the objective's variance",
    "parallel_coordinates.png": "Parallel coordinates: the hyperparameters of each trial",
}
_CURVES = {"learning_curves.png": "Learning curves: loss, accuracy and learning rate over epochs"}
_DRAWING = {"network.png": "The network, layer by layer"}


def describe_search(
    folders: Mapping[str, Path], found: Mapping[str, Execution]
) -> dict[str, Any] | None:
    """Gathers the leaderboard's first rows and the pictures of a search; None without its results.

    Args:
        folders: of outputs, by name.
        found: the executions, whose parameters say what was searched for.
    """
    if "tuner_results" not in folders:
        return None
    step = "tuner" if "tuner" in found else "baseline"
    asked = found[step].manifest["cause"]["parameters"][step]
    trials = [Trial(**trial) for trial in read_if_there(folders["tuner_results"] / "trials.json")]
    best = read_if_there(folders["best_hyperparameters"] / "best_hyperparameters.json")
    board = make_board(trials, asked["objective"]) if trials else None
    return {
        **asked,
        "trials": len(trials),
        "chosen_by": best["chosen_by"],
        "columns": board.columns if board else [],
        "rows": board.rows[:SHOWN_TRIALS] if board else [],
        "same": board.same if board else {},
        "pictures": pictures(folders["tuner_results"], _OF_THE_SEARCH),
    }


def describe_training(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """Gathers the learning curves and the rows of the first, the best and the last epoch."""
    if "model" not in folders or not (folders["model"] / "history.json").exists():
        return None
    history = read_if_there(folders["model"] / "history.json")
    facts = read_if_there(folders["model"] / "model.json")
    shown = {1: "first", len(history): "last", facts["best_epoch"]: "best, kept"}
    return {
        "pictures": pictures(folders["model"], _CURVES),
        "columns": [name for name in history[0] if name != "epoch"],
        "rows": [history[epoch - 1] | {"which": shown[epoch]} for epoch in sorted(shown)],
    }


def describe_model(folders: Mapping[str, Path]) -> dict[str, Any] | None:
    """Gathers the hyperparameters, the summary and the drawing of a model; None without one."""
    if "model" not in folders:
        return None
    summary = folders["model"] / "summary.txt"
    return {
        **read_if_there(folders["model"] / "model.json"),
        "recipe": read_if_there(folders["model"] / "recipe.json"),
        "summary": summary.read_text(encoding="utf-8") if summary.exists() else "",
        "pictures": pictures(folders["model"], _DRAWING),
    }
