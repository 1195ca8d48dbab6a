"""`mien run`, from a config's name to a finished run; with folds, once for each of them."""

import logging
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from rich.console import Console

from components.common import tracking
from components.common.quiet import output_to
from pipelines import display
from pipelines.backbones import with_files
from pipelines.config import Config
from pipelines.errors import UsageError
from pipelines.folds import mean_over_folds
from pipelines.graph import Task, read_graph
from pipelines.local_runner import (
    Listener,
    Plan,
    Run,
    Step,
    run_graph,
    running,
    skip_the_rest,
    wanted_tasks,
    write_run,
)
from pipelines.mlflow_runs import parent_run, tracking_uri
from tfds_builders import catalog

LAST_STEP_OF_A_FOLD = "evaluator"
STEPS_OF_NO_FOLD = ("infra_validator", "pusher")
"""A fold's model is there to be judged; the one to push is trained on more."""


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        name: the config's.
        config: validated.
        root: the pipeline root; made where it is not there.
        raw_dir: where the raw files lie.
        until: the last step to run.
        force: steps to execute again.
        quiet: sends what libraries print to the run's log file.
    """

    name: str
    config: Config
    root: Path
    raw_dir: Path | None = None
    until: str | None = None
    force: Collection[str] = ()
    quiet: bool = True


def run_pipeline(request: Request, console: Console) -> Run:
    """Runs a config's pipeline locally and returns what `run.json` holds.

    Raises:
        FileNotFoundError: raw files are missing; says which, where and how to get them.
        UsageError: `until` or `force` names no step, or the root cannot be written.
        OptionError: an extra that the config wants is not installed; says how to get it.
        StepFailedError: a step failed.
    """
    plan = _plan(request, _raw_digest(request))
    with _opened(request, _steps(plan)) as run:
        with display.shown(console, run.steps) as listener:
            run_graph(plan, run, listener)
        _log(plan.root, run)
    return run


def run_folds(request: Request, console: Console) -> Run:
    """Runs the pipeline up to the Evaluator once a fold; returns the mean over the folds.

    The steps of the run are the folds, each a run of its own below this one. What a fold made is
    reused like any step, so that a killed cross-validation goes on.

    Raises:
        As `run_pipeline`.
    """
    request = replace(request, until=request.until or LAST_STEP_OF_A_FOLD)
    requests = [_of_fold(request, fold) for fold in range(request.config.split.kfold)]
    raw_digest = _raw_digest(request)
    plans = [_plan(of_fold, raw_digest) for of_fold in requests]
    if request.until in STEPS_OF_NO_FOLD:
        raise UsageError(f"--until {request.until}: the model of a fold is judged, not pushed")
    done: list[Run] = []
    with _opened(request, [f"fold_{fold}" for fold in range(len(plans))]) as run:
        root = request.root.resolve()
        with display.shown(console, run.steps) as listener:
            try:
                for step, of_fold, plan in zip(run.steps, requests, plans, strict=True):
                    with running(step, listener):
                        done.append(_run_fold(of_fold, plan, step, run, listener))
                run.metrics = mean_over_folds([of_fold.metrics for of_fold in done])
            finally:
                skip_the_rest(run.steps, [step.name for step in run.steps], listener)
                warnings = chain.from_iterable(of_fold.warnings for of_fold in done)
                run.warnings += dict.fromkeys(warnings)  # What all folds say is said once.
                write_run(root, run)
        _log(root, run)
    return run


def _of_fold(request: Request, fold: int) -> Request:
    split = request.config.split.model_copy(update={"fold": fold})
    config = request.config.model_copy(update={"split": split})
    return replace(request, name=f"{request.name} fold_{fold}", config=config)


def _run_fold(request: Request, plan: Plan, fold: Step, whole: Run, listener: Listener) -> Run:
    def tell_of_fold(step: Step, progress: str) -> None:
        listener(fold, f"{step.name}: {progress}" if progress else "")

    with _opened(request, _steps(plan)) as run:
        whole.folds.append(run.run_id)
        run_graph(plan, run, tell_of_fold)
        _log(plan.root, run)
    reused = all(step.state != "executed" for step in run.steps)
    fold.state = "reused" if reused else "executed"
    return run


def _steps(plan: Plan) -> list[str]:
    return [task.name for task in plan.graph]


def _raw_digest(request: Request) -> str:
    dataset = request.config.dataset
    return catalog.raw_digest(dataset.name, request.raw_dir, dataset.options)


def _plan(request: Request, raw_digest: str) -> Plan:
    from components.common.recipe import parse_recipe, versions
    from pipelines.pipeline import PIPELINES

    graph = read_graph(PIPELINES[request.config.pipeline])
    _check_steps(graph, request)
    root = request.root.resolve()
    sections = request.config.parameters()
    models = versions(parse_recipe(sections["transform"]))
    tuner, tuner_counts_as = with_files(sections.get("tuner", {}), root)
    return Plan(
        graph=graph,
        parameters={
            **sections,
            "tuner": tuner,
            "raw_dir": str(request.raw_dir.resolve()) if request.raw_dir else "",
            "datasets_dir": str(root / "datasets"),
            "features_dir": str(root / "features"),
            "serving_dir": str(root / "serving"),
        },
        # Where files lie, and who does the work, makes no difference; which models find faces does.
        counts_as={
            "raw_dir": raw_digest,
            "datasets_dir": "",
            "features_dir": "",
            "beam": {},
            "tuner": {key: v for key, v in tuner_counts_as.items() if key != "workers"},
            "transform": sections["transform"] | models,
        },
        root=root,
        until=request.until,
        force=request.force,
    )


def _check_steps(graph: Sequence[Task], request: Request) -> None:
    steps = [task.name for task in graph]
    for step in (*request.force, *([request.until] if request.until else [])):
        if step not in steps:
            raise UsageError(f"step {step}: unknown; there are {', '.join(steps)}")
    for step in set(request.force) - wanted_tasks(graph, request.until):
        raise UsageError(f"--force {step}: --until {request.until} ends before it")


@contextmanager
def _opened(request: Request, steps: Sequence[str]) -> Iterator[Run]:
    """A new run with its folder, its log file and its MLflow run."""
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    root = request.root.resolve()
    folder = root / "runs" / run_id
    logged = {"pipeline": request.config.pipeline, **request.config.parameters()}
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--root {root}: {error.strerror}") from None
    with (
        _logging_to(folder / "run.log", request.quiet),
        parent_run(root, request.name, run_id, logged) as mlflow_run_id,
    ):
        run = Run(request.name, run_id, mlflow_run_id, [Step(step) for step in steps])
        if not mlflow_run_id:
            run.warnings.append(f"{tracking_uri(root)} does not answer: this run is not tracked")
        yield run


def _log(root: Path, run: Run) -> None:
    tracking.log_metrics(run.metrics)
    tracking.log_artifact(root / "runs" / run.run_id / "run.json")


@contextmanager
def _logging_to(path: Path, quiet: bool) -> Iterator[None]:
    """Sends logging to a file, and with `quiet` what libraries print."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with output_to(path) if quiet else nullcontext():
            yield
    finally:
        root.removeHandler(handler)
        handler.close()
