"""The pictures of a sweep, by Optuna: scores over trials, parallel coordinates, importance."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import TrialState
from optuna.visualization import matplotlib as drawings

from tuning.sweep.trials import Trial, models_own
from tuning.training.rules import direction

SHOWN = 7
"""Hyperparameters in parallel coordinates, the most important ones: more cannot be read."""

_CHOICES = 5
"""So few numbers are choices, not a range."""

_MIN_TRIALS = 4
"""Completed ones, for an importance that says anything."""


def draw_sweep(trials: Sequence[Trial], objective: str, folder: Path) -> list[Path]:
    """Draws what the trials give; returns the pictures' files.

    Without a completed trial there is nothing to draw; with few of them, or where no
    hyperparameter differs, the picture that would say nothing is left out.

    Args:
        trials: of one search.
        objective: their metric.
        folder: is there already.
    """
    if all(trial.score is None for trial in trials):
        return []
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plt.switch_backend("agg")
    study = _study(trials, objective)
    completed = study.get_trials(states=[TrialState.COMPLETE])
    names = _comparable(completed)
    drawn = {"objective": lambda: _history(study, objective)}
    shown = names
    if len(completed) >= _MIN_TRIALS and len({trial.value for trial in completed}) > 1 and names:
        # Fixed: the forest behind it is random, and the same trials give the same picture.
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
        shown = list(found)[:SHOWN]
        drawn["importance"] = lambda: _importance(found)
    if len(completed) > 1 and shown:
        drawn["parallel_coordinates"] = lambda: _parallel(study, shown[:SHOWN], objective)
    return [_save(draw, folder / f"{name}.png") for name, draw in drawn.items()]


def _study(trials: Sequence[Trial], objective: str) -> Any:
    study = optuna.create_study(
        direction="minimize" if direction(objective) == "min" else "maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    values = {trial.id: models_own(trial.values) for trial in trials}
    names = dict.fromkeys(name for of_trial in values.values() for name in of_trial)
    ranges = {name: _range([v[name] for v in values.values() if name in v]) for name in names}
    for trial in sorted(trials, key=lambda trial: int(trial.id)):
        completed = trial.score is not None
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE if completed else TrialState.FAIL,
                value=trial.score,
                params=values[trial.id],
                distributions={name: ranges[name] for name in values[trial.id]},
            )
        )
    return study


def _range(values: Sequence[Any]) -> BaseDistribution:
    """What the values may have been drawn from: rates go by orders of magnitude."""
    numbers = all(type(value) in (int, float) for value in values)
    if not numbers or len(set(values)) <= _CHOICES:
        return CategoricalDistribution(sorted(set(values), key=None if numbers else repr))
    low, high = float(min(values)), float(max(values))
    return FloatDistribution(low, high, log=low > 0 and high / low > 30)


def _comparable(completed: Sequence[Any]) -> list[str]:
    """Hyperparameters that every completed trial has, and that are not the same in all."""
    names = completed[0].params
    values = {name: {repr(trial.params.get(name)) for trial in completed} for name in names}
    return [
        name
        for name, of_name in values.items()
        if len(of_name) > 1 and all(name in trial.params for trial in completed)
    ]


def _history(study: Any, objective: str) -> Axes:
    axes = drawings.plot_optimization_history(study, target_name=objective)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda number, _: f"{number + 1:.0f}")  # Ours count from 1.
    axes.set_title(f"{objective} over trials")
    return axes


def _parallel(study: Any, names: list[str], objective: str) -> Axes:
    axes = drawings.plot_parallel_coordinate(study, params=names, target_name=objective)
    axes.set_title("The trials, the best ones dark", pad=20)
    # Optuna's own colours begin with white, on white.
    (lines,) = axes.collections
    lines.set_cmap("viridis" if direction(objective) == "min" else "viridis_r")
    return axes


def _importance(found: dict[str, float]) -> Axes:
    shown = list(reversed(found.items()))
    _, axes = plt.subplots()
    axes.barh([name for name, _ in shown], [share for _, share in shown])
    axes.set_title("Share of the objective's variance (fANOVA)")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _save(draw: Callable[[], Axes], path: Path) -> Path:
    with warnings.catch_warnings(), plt.style.context("default"):
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        draw()
    figure = plt.gcf()
    figure.set_size_inches(9, 4.8)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
    return path
