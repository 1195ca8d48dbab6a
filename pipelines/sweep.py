"""`mien sweep`: the search alone; its job as a file for another machine, and what comes back."""

import secrets
import shlex
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from components.common import tracking
from components.common.files import read_json
from components.common.quiet import output_to
from pipelines.config import Config
from pipelines.errors import UsageError
from pipelines.mlflow_runs import parent_run
from pipelines.run import Request, run_pipeline
from pipelines.store import executions
from tuning.sweep.archive import pack_job
from tuning.sweep.board import make_board
from tuning.sweep.job import Job
from tuning.sweep.trials import Trial, leaderboard, read_trials
from tuning.training.batches import Arrays

DEFAULT_TRIALS = 20
"""Where the config takes the defaults of its hypermodel: max_trials is 0."""

_MAX_BYTES = 2 * 1024**3
"""Of what an archive of results may hold."""


class Sweep(NamedTuple):
    """What a sweep left.

    Attributes:
        objective: the metric of its trials.
        trials: all of them, the best first.
        folder: its pictures and, from another machine, `best.keras`.
    """

    objective: str
    trials: list[Trial]
    folder: Path


def with_trials(config: Config, console: Console) -> Config:
    """A config that searches; says so where it did not."""
    _require_search(config)
    if config.tuner.max_trials:
        return config
    console.print(
        f"tuner.max_trials is 0, the hypermodel's defaults: this sweep makes {DEFAULT_TRIALS} "
        "trials; --trials says another number",
        highlight=False,
        soft_wrap=True,
    )
    tuner = config.tuner.model_copy(update={"max_trials": DEFAULT_TRIALS})
    return config.model_copy(update={"tuner": tuner})


def run_sweep(request: Request, console: Console) -> Sweep:
    """Runs the pipeline until the Tuner; a search that was stopped goes on.

    Raises:
        As `pipelines.run.run_pipeline`.
    """
    run_pipeline(replace(request, until="tuner"), console)
    # What was made or reused last is the newest.
    folder = executions(request.root / "store", "tuner")[0] / "tuner_results"
    trials = [Trial(**trial) for trial in read_json(folder / "trials.json")]
    return Sweep(request.config.tuner.objective, trials, folder)


def export_sweep(request: Request, path: Path, console: Console) -> dict[str, int]:
    """Writes the search as one file for a machine without TensorFlow; returns images a split.

    Of the train split the originals, not Transform's copies: those would double the file, and a
    hypermodel that augments makes its own. The test split stays here.

    Raises:
        UsageError: there is nothing to search on.
        As `pipelines.run.run_pipeline`.
    """
    from components.common.recipe import read_recipe
    from components.common.records import splits

    if not path.parent.is_dir() or path.suffix != ".zip":
        raise UsageError(f"--export {path}: wanted a .zip file in a folder that is there")
    if request.config.tuner.hypermodel == "transfer":
        raise UsageError("--export: the backbone of transfer lies on this machine: search it here")
    run_pipeline(replace(request, until="transform"), console)
    examples = executions(request.root / "store", "transform")[0] / "transformed_examples"
    if "validation" not in splits(examples):
        raise UsageError("there is no validation split to select on: say split.validation")
    recipe, labels = read_recipe(examples)
    shape = (recipe.height, recipe.width, recipe.channels)
    train, validation = _originals(examples, "train"), _originals(examples, "validation")
    pack_job(path, _job(request.config, shape, len(labels)), train, validation)
    return {"train": len(train.labels), "validation": len(validation.labels)}


def import_sweep(request: Request, source: Path) -> Sweep:
    """Takes over the trials of a search on another machine: MLflow gets them, and the pictures.

    Args:
        request: whose config the search was of.
        source: the folder of the search, or the `results.zip` that it left.

    Raises:
        UsageError: there are no trials of a search.
    """
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    root = request.root.resolve()
    folder = root / "sweeps" / run_id
    _take_over(source, folder)
    job, trials = _read_search(folder, source)
    with (
        output_to(folder / "sweep.log") if request.quiet else nullcontext(),
        parent_run(root, f"{request.name} sweep", run_id, {"job": job}),
    ):
        from components.common.sweep_figures import draw_sweep
        from components.common.trial_runs import trial_runs

        log = trial_runs()
        for trial in trials:
            log(trial)
        for path in [*draw_sweep(trials, job["objective"], folder), folder / "best.keras"]:
            if path.exists():
                tracking.log_artifact(path)
    return Sweep(job["objective"], leaderboard(trials, job["objective"]), folder)


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
        *(f"winner: {path}" for path in sweep.folder.glob("best.keras")),
        f"mien ui{where}: the same trials in the MLflow UI",
    ]
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


def _originals(examples: Path, name: str) -> Arrays:
    from components.common.records import load_split

    split = load_split(examples, name)
    kept = np.array(["+" not in example for example in split.ids])
    return Arrays(split.images[kept], split.labels[kept])


def _take_over(source: Path, folder: Path) -> None:
    """Copies what a search left, without its arrays."""
    if source.is_dir():
        for pattern in ("*.json", "trials/*.json", "best.keras"):
            for path in source.glob(pattern):
                (folder / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / path.relative_to(source))
        return
    try:
        with zipfile.ZipFile(source) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise UsageError(f"--import {source}: holds more than results of a search")
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"--import {source}: no folder or zip of a search: {error}") from None


def _read_search(folder: Path, source: Path) -> tuple[dict[str, Any], Sequence[Trial]]:
    trials = read_trials(folder / "trials")
    if not (folder / "job.json").exists() or not trials:
        shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(f"--import {source}: wanted job.json and trials/, as a search leaves them")
    return read_json(folder / "job.json"), trials
