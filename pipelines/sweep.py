"""`mien sweep`: the search alone; its job as a file for another machine, and what comes back."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from components.common.files import read_json
from pipelines.config import Config
from pipelines.errors import UsageError
from pipelines.run import Request, run_pipeline
from pipelines.store import executions
from tuning.sweep.archive import pack_job
from tuning.sweep.board import make_board
from tuning.sweep.job import Job, digest_of
from tuning.sweep.results import WINNER
from tuning.sweep.trials import Trial
from tuning.task import Task

DEFAULT_TRIALS = 20
"""Where the config takes the defaults of its hypermodel: max_trials is 0."""

_NOTHING_TO_SELECT_ON = "there is no validation split to select on: say split.validation"


class Sweep(NamedTuple):
    """What a sweep left.

    Attributes:
        objective: the metric of its trials.
        trials: all of them, the best first.
        folder: its pictures.
        warnings: where it ended before its budget.
    """

    objective: str
    trials: list[Trial]
    folder: Path
    warnings: Sequence[str] = ()


def with_trials(config: Config, console: Console) -> Config:
    """A config that searches; says so where it did not, and where time alone ends it."""
    _require_search(config)
    tuner, text = config.tuner, ""
    if tuner.max_trials is None:
        text = f"trials are started for {tuner.minutes:g} minutes; --trials says how many at most"
    elif tuner.max_trials == 0:
        text = (
            f"tuner.max_trials is 0, the hypermodel's defaults: this sweep makes {DEFAULT_TRIALS} "
            "trials; --trials says another number"
        )
        tuner = tuner.model_copy(update={"max_trials": DEFAULT_TRIALS})
    if text:
        console.print(text, highlight=False, soft_wrap=True)
    return config.model_copy(update={"tuner": tuner})


def run_sweep(request: Request, console: Console) -> Sweep:
    """Runs the pipeline until the Tuner; a search that was stopped goes on.

    Raises:
        UsageError: there is nothing to select on.
        As `pipelines.run.run_pipeline`.
    """
    run_pipeline(replace(request, until="tuner"), console)
    # What was made or reused last is the newest.
    step = executions(request.root / "store", "tuner")[0]
    folder = step / "tuner_results"
    trials = [Trial(**trial) for trial in read_json(folder / "trials.json")]
    if not trials and not request.config.tuner.results:  # Those may be of the defaults.
        raise UsageError(_NOTHING_TO_SELECT_ON)
    warnings = read_json(step / "best_hyperparameters" / WINNER).get("warnings", [])
    return Sweep(request.config.tuner.objective, trials, folder, warnings)


def export_sweep(request: Request, path: Path, console: Console) -> dict[str, int]:
    """Writes the search as one file for a machine without TensorFlow; returns images a split.

    Without trials (`max_trials` 0) it is the training of the hypermodel's defaults.

    Of the train split the originals, not Transform's copies: those would double the file, and a
    hypermodel that augments makes its own; what is left out is said. The test split stays here.

    Raises:
        UsageError: there is nothing to search on, or tuner.fixed has what cannot be.
        As `pipelines.run.run_pipeline`.
    """
    from components.common.features import originals_of
    from components.common.recipe import read_recipe
    from components.common.records import load_split, splits
    from tuning.hypermodels import get_hypermodel
    from tuning.space import SpaceError, require_possible

    _require_search(request.config)
    if not path.parent.is_dir() or path.suffix != ".zip":
        raise UsageError(f"--export {path}: wanted a .zip file in a folder that is there")
    if request.config.tuner.hypermodel == "transfer":
        raise UsageError("--export: the backbone of transfer lies on this machine: search it here")
    run_pipeline(replace(request, until="transform"), console)
    examples = executions(request.root / "store", "transform")[0] / "transformed_examples"
    if "validation" not in splits(examples):
        raise UsageError(_NOTHING_TO_SELECT_ON)
    recipe, labels = read_recipe(examples)
    shape = (recipe.height, recipe.width, recipe.channels)
    tuner, task = request.config.tuner, Task(shape, len(labels), 1, request.config.tuner.epochs)
    try:
        require_possible(lambda hp: get_hypermodel(tuner.hypermodel)(hp, task), tuner.fixed)
    except SpaceError as error:
        raise UsageError(f"tuner.fixed.{error}") from error
    with_copies = load_split(examples, "train")
    train, validation = originals_of(with_copies), originals_of(load_split(examples, "validation"))
    job = _job(request.config, shape, len(labels))._replace(digest=digest_of(train, validation))
    pack_job(path, job, train, validation)
    copies = len(with_copies) - len(train.labels)
    console.print(
        f"left out: Transform's copies of train pictures ({copies:,}), and the section trainer: "
        "there --train-best says how many epochs, and tuner.objective which one is kept",
        highlight=False,
        soft_wrap=True,
    )
    return {"train": len(train.labels), "validation": len(validation.labels)}


def import_sweep(request: Request, results: Path, console: Console) -> Sweep:
    """Takes over a search from another machine: as if the Tuner had made it here.

    Args:
        request: whose config and data the search was exported with.
        results: the `results.zip` that it left.
        console: what is going on is shown there.

    Raises:
        As `pipelines.run.run_pipeline`.
    """
    _require_search(request.config)
    tuner = request.config.tuner.model_copy(update={"results": str(results)})
    config = request.config.model_copy(update={"tuner": tuner})
    return run_sweep(replace(request, config=config), console)


def print_sweep(console: Console, sweep: Sweep, root: Path) -> None:
    """Prints the leaderboard, where the pictures lie, and what to do next."""
    board = make_board(sweep.trials, sweep.objective)
    table = Table(box=None, pad_edge=False)
    for column in board.columns:
        table.add_column(column, overflow="fold")
    for row in board.rows:
        table.add_row(*row)
    console.print(table, highlight=False, markup=False)
    where = "" if root == Path("mien_root") else f" --root {shlex.quote(str(root))}"
    same = ", ".join(f"{name} {value}" for name, value in board.same.items())
    lines = [
        *([f"the same in all: {same}"] if same else []),
        *(f"{path.stem}: {path}" for path in sorted(sweep.folder.glob("*.png"))),
        f"mien ui{where}: the same trials in the MLflow UI",
    ]
    for warning in sweep.warnings:
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _require_search(config: Config) -> None:
    if config.pipeline != "training":
        raise UsageError(f"the {config.pipeline} pipeline has no search of its own: use `mien run`")
    if config.split.kfold and config.split.fold is None:
        raise UsageError("a sweep searches one split: say --set split.fold=0, or split.kfold=0")


def _job(config: Config, shape: tuple[int, int, int], classes: int) -> Job:
    """The config's search; precision and batch size are left to the machine that it runs on."""
    tuner = config.tuner
    return Job(
        hypermodel=tuner.hypermodel,
        image_shape=shape,
        classes=classes,
        oracle=tuner.oracle,
        objective=tuner.objective,
        max_trials=tuner.max_trials,
        minutes=tuner.minutes,
        epochs=tuner.epochs,
        patience=tuner.patience,
        batch_size=None if tuner.batch_size == "auto" else tuner.batch_size,
        precision=tuner.precision,
        seed=tuner.seed,
        fixed=tuner.fixed,
    )
