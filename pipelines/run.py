"""`mien run`, from a config's name to a finished run; with folds, once for each of them."""

import logging
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from components.common import tracking
from components.common.files import write_json
from components.common.quiet import output_to
from pipelines import display
from pipelines.backbones import with_files
from pipelines.config import Config
from pipelines.environment import describe_environment, git_commit
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
from pipelines.mlflow_runs import parent_run, untold
from pipelines.report.page import write_report
from pipelines.run_description import describe_run
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
            run_graph(_with_origin(plan, run), run, listener)
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
    versions_dir = root / "serving" / request.config.pusher.model_name
    tuner = with_files(sections.get("tuner", {}), root)
    champion = _champion(sections, versions_dir)
    planned = {"champion_version": champion["version"]} if champion else {}
    return Plan(
        graph=graph,
        parameters={
            **sections,
            "tuner": tuner,
            "evaluator": sections["evaluator"] | planned,
            "raw_dir": str(request.raw_dir.resolve()) if request.raw_dir else "",
            "datasets_dir": str(root / "datasets"),
            "features_dir": str(root / "features"),
            "predictions_dir": str(root / "predictions"),
            "versions_dir": str(versions_dir),
            "serving_dir": str(root / "serving"),
        },
        # Where files lie, and who does the work, makes no difference; which models find faces does,
        # and which champion a change threshold is about.
        counts_as={
            "pusher": sections.get("pusher", {}),  # Not which run it is, which is said later.
            "raw_dir": raw_digest,
            "datasets_dir": "",
            "features_dir": "",
            "predictions_dir": "",
            "versions_dir": "",
            "beam": {},
            "tuner": {key: v for key, v in tuner.items() if key != "workers"},
            "transform": sections["transform"] | models,
            "evaluator": sections["evaluator"] | {"champion": champion},
        },
        root=root,
        until=request.until,
        force=request.force,
    )


def _champion(sections: Mapping[str, Any], versions_dir: Path) -> dict[str, Any]:
    """Who the candidate is compared with; nobody where no threshold asks for it.

    Else a second run, whose champion is what the first one pushed, would judge everything again.
    """
    from components.common.evaluation.champions import champion_identity

    is_compared = "pusher" in sections and sections["evaluator"]["not_worse_than_champion"]
    return champion_identity(versions_dir) if is_compared else {}


def _with_origin(plan: Plan, run: Run) -> Plan:
    """The plan, whose Pusher knows which run it is: the model card and the registry say so."""
    if "pusher" not in plan.parameters:
        return plan
    origin = {"config": run.config, "run_id": run.run_id, "git_commit": git_commit()}
    pusher = {**plan.parameters["pusher"], "origin": origin}
    return replace(plan, parameters={**plan.parameters, "pusher": pusher})


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
    (folder / "config.yaml").write_text(yaml.safe_dump(logged, sort_keys=False))
    write_json(folder / "environment.json", describe_environment())
    run = Run(request.name, run_id, "", [Step(step) for step in steps])
    try:
        with (
            _logging_to(folder / "run.log", request.quiet),
            parent_run(root, request.name, run_id, logged) as run.mlflow_run_id,
        ):
            tracking.log_artifact(folder / "config.yaml")
            try:
                yield run
            finally:
                _leave_report(request.root, run)
                tracking.set_tags({"mien.blessing": run.blessing or "none"})
                tracking.describe(describe_run(run, request.root))
    except Exception as error:
        if (report := folder / "report.html").exists():
            error.add_note(f"report: {report}")
        raise
    finally:
        if lost := untold(root, run_id):
            run.warnings[:0] = lost  # A screen shows the first ones.
            write_run(root, run)


def _leave_report(root: Path, run: Run) -> None:
    try:
        tracking.log_artifact(write_report(root, run))
    except Exception as error:  # The run is done, and what it gave is in run.json.
        logging.getLogger(__name__).warning("no report was written", exc_info=error)


def _log(root: Path, run: Run) -> None:
    if not run.mlflow_run_id:  # It may answer by now.
        run.mlflow_run_id = tracking.run_id()
        write_run(root, run)
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
