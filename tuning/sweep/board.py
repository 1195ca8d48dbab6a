"""The leaderboard as rows of text, for whoever draws the table."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tuning.sweep.trials import Trial, leaderboard, models_own


class Board(NamedTuple):
    """Column heads, and a row of as many cells for each trial, the best first.

    Attributes:
        columns: heads; those of hyperparameters are their names.
        rows: cells.
        same: hyperparameters that are the same in all trials, which have no column.
    """

    columns: list[str]
    rows: list[list[str]]
    same: dict[str, Any]


def make_board(trials: Iterable[Trial], objective: str) -> Board:
    """Ranks trials by the objective; of the hyperparameters, those that differ have a column."""
    ranked = leaderboard(trials, objective)
    names = list(dict.fromkeys(name for t in ranked for name in models_own(t.values)))
    differ = [n for n in names if len({repr(t.values.get(n)) for t in ranked}) > 1]
    same = {n: ranked[0].values[n] for n in names if n not in differ}
    facts = ["rank", "trial", objective, "parameters", "s/epoch", "images/s", "status"]
    rows = [
        [str(rank), *_facts(trial), *(_cell(trial.values.get(name)) for name in differ)]
        for rank, trial in enumerate(ranked, start=1)
    ]
    return Board(facts + differ, rows, same)


def in_lines(board: Board) -> list[str]:
    """The board as lines of a text, columns aligned."""
    table = [board.columns, *board.rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]


def _facts(trial: Trial) -> list[str]:
    failed = trial.status == "FAILED"
    return [
        trial.id,
        "-" if trial.score is None else f"{trial.score:.4f}",
        f"{trial.parameters:,}",
        _mean(trial.epochs, "seconds", ".1f"),
        _mean(trial.epochs, "images_per_second", ",.0f"),
        f"failed: {trial.reason}" if failed else trial.status.lower(),
    ]


def _mean(epochs: Sequence[dict[str, float]], name: str, form: str) -> str:
    """The mean over the epochs without the first, in which the model is compiled."""
    values = [row[name] for row in epochs[1:] or epochs if name in row]
    return format(sum(values) / len(values), form) if values else "-"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
