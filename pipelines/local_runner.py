"""Walks the compiled graph in one process: each step from the store, or executed and stored."""

import hashlib
import inspect
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kfp import dsl

from components.common import progress, tracking
from components.common.files import write_json
from components.common.publishing import registry
from components.common.publishing.serving import base_path_of
from pipelines import kubeflow_components, store
from pipelines.code import code_digests
from pipelines.errors import explain
from pipelines.graph import Task
from pipelines.store import Cause, Execution

State = Literal["waiting", "running", "executed", "reused", "failed", "skipped"]


@dataclass
class Step:
    """A step as `run.json` tells of it; `reason` says why it ran, failed or was skipped."""

    name: str
    state: State = "waiting"
    seconds: float = 0.0
    reason: str = ""


@dataclass
class Run:
    """A run as `run.json` tells of it.

    Attributes:
        config: its name.
        run_id: the folder under `runs/`.
        mlflow_run_id: the parent run's, "" where MLflow did not answer in time.
        steps: all of the graph, in order.
        metrics: with `<name>_low` and `<name>_high` of their intervals.
        blessing: BLESSED or NOT_BLESSED; None where it did not come to a verdict.
        reasons: what the verdict rests on, a line a threshold.
        warnings: of the steps, or that MLflow has not been told all.
        pushed_model: the version folder, or None.
        pages: what a step left to look at, by the name of its output.
        folds: the ids of the folds' runs, of a cross-validation.
    """

    config: str
    run_id: str
    mlflow_run_id: str
    steps: list[Step]
    metrics: dict[str, float] = field(default_factory=dict)
    blessing: str | None = None
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    pushed_model: str | None = None
    pages: dict[str, str] = field(default_factory=dict)
    folds: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        graph: the tasks, each after all that it reads from.
        parameters: the pipeline's.
        counts_as: parameters that count as something else in a key: a folder as the digest of what
            is in it.
        root: the pipeline root.
        until: the last step to run; None runs all.
        force: steps that are executed though the store has them.
    """

    graph: Sequence[Task]
    parameters: Mapping[str, Any]
    counts_as: Mapping[str, Any]
    root: Path
    until: str | None = None
    force: Collection[str] = ()


class StepFailedError(RuntimeError):
    """A step raised; the cause is its own exception, the message is for a person."""


Listener = Callable[[Step, str], None]
"""Told of a step each time that its state or its progress, the second argument, changes."""


def run_graph(plan: Plan, run: Run, listener: Listener) -> None:
    """Runs the steps and fills in the run, which is written to `run.json` however it ends.

    Raises:
        StepFailedError: from the exception of the step that failed; the steps after it are skipped.
    """
    done: dict[str, Execution] = {}
    wanted = wanted_tasks(plan.graph, plan.until)
    try:
        for task, step in zip(plan.graph, run.steps, strict=True):
            if task.name in wanted:
                cause = _cause(plan, task, run.config, done)
                wait = partial(listener, step, "waiting for another run of this step")
                with store.locked(plan.root / "store", cause, wait):
                    done[task.name] = _run_step(plan, task, step, cause, run, done, listener)
                _report(run, task, done[task.name])
    finally:
        skip_the_rest(run.steps, wanted, listener)
        write_run(plan.root, run)


def skip_the_rest(steps: Sequence[Step], wanted: Collection[str], listener: Listener) -> None:
    """Says of the steps that were not reached why not."""
    for step in steps:
        if step.state == "waiting":
            step.state = "skipped"
            step.reason = "an earlier step failed" if step.name in wanted else "not asked for"
            listener(step, "")


@contextmanager
def running(step: Step, listener: Listener) -> Iterator[None]:
    """Keeps a step's state and time while the block runs; the block says how it was done.

    Raises:
        StepFailedError: from what the block raised.
    """
    started = time.perf_counter()
    step.state = "running"
    listener(step, "")
    try:
        yield
    except Exception as error:
        step.state, step.reason = "failed", explain(error)
        raise StepFailedError(f"{step.name} failed: {step.reason}") from error
    except KeyboardInterrupt:
        step.state, step.reason = "failed", "interrupted"
        raise
    finally:
        step.seconds = round(time.perf_counter() - started, 3)
        listener(step, "")


def write_run(root: Path, run: Run) -> None:
    """Writes `runs/<run id>/run.json` and points `runs/latest` at it."""
    runs = root / "runs"
    write_json(runs / run.run_id / "run.json", asdict(run))
    link = runs / f".latest-{run.run_id}"
    link.symlink_to(run.run_id)
    link.replace(runs / "latest")


def wanted_tasks(graph: Collection[Task], until: str | None) -> set[str]:
    """All tasks, or the task `until` and all that it hangs on."""
    tasks = {task.name: task for task in graph}
    if until is None:
        return set(tasks)
    return {until}.union(*(wanted_tasks(graph, name) for name in tasks[until].upstream))


def _cause(plan: Plan, task: Task, config: str, done: Mapping[str, Execution]) -> Cause:
    values = {**plan.parameters, **plan.counts_as}
    return Cause(
        pipeline=config,
        step=task.name,
        code={**code_digests(task.name), "wrapper": _wrapper_digest(task.name)},
        parameters={source: values[source] for source in task.parameters.values()},
        inputs={
            name: done[producer].digest(output) for name, (producer, output) in task.inputs.items()
        },
    )


def _wrapper_digest(step: str) -> str:
    source = inspect.getsource(getattr(kubeflow_components, step).python_func)
    return hashlib.sha256(source.encode()).hexdigest()


def _run_step(
    plan: Plan,
    task: Task,
    step: Step,
    cause: Cause,
    run: Run,
    done: Mapping[str, Execution],
    listener: Listener,
) -> Execution:
    with running(step, listener):
        found, step.reason = store.find(plan.root / "store", cause)
        if found and task.name not in plan.force:
            step.state, step.reason = "reused", f"made by run {found.made_by['run']}"
            _link_to_maker(task.name, found)
            return found
        if found:
            step.reason = "forced"
        if task.name in plan.force:
            store.forget(plan.root / "store", cause)
        listener(step, "")
        with progress.listening(lambda text: listener(step, text)):
            execution = _execute(plan, task, cause, run, done)
        step.state = "executed"
        return execution


def _execute(
    plan: Plan, task: Task, cause: Cause, run: Run, done: Mapping[str, Execution]
) -> Execution:
    """Calls the wrapper with artifacts that lie in the store and its staging folder."""
    started = time.perf_counter()
    part = store.staging(plan.root / "store", cause, task.outputs)
    inputs = {
        name: dsl.Artifact(
            uri=str(done[producer].output(output)), metadata=done[producer].metadata(output)
        )
        for name, (producer, output) in task.inputs.items()
    }
    outputs = {
        name: (dsl.Metrics if kind == "system.Metrics" else dsl.Artifact)(uri=str(part / name))
        for name, kind in task.outputs.items()
    }
    parameters = {name: plan.parameters[source] for name, source in task.parameters.items()}
    # What counts as nothing, such as where files lie, says nothing.
    told = {name: value for name, value in store.flat(cause.parameters).items() if value != ""}
    with tracking.child_run(task.name, told):
        getattr(kubeflow_components, task.name).python_func(**parameters, **inputs, **outputs)
        made_by = {"run": run.run_id, "mlflow_run": tracking.run_id()}
    return store.publish(
        plan.root / "store",
        cause,
        {name: artifact.metadata for name, artifact in outputs.items()},
        seconds=time.perf_counter() - started,
        made_by=made_by,
    )


def _link_to_maker(step: str, found: Execution) -> None:
    maker = found.made_by["mlflow_run"] or found.made_by["run"]
    tracking.set_tags({f"mien.reused.{step}": maker})


def _report(run: Run, task: Task, execution: Execution) -> None:
    """Takes over what a step said of its outputs."""
    for name, kind in task.outputs.items():
        metadata = execution.metadata(name)
        if kind == "system.Metrics":
            run.metrics |= metadata
        run.blessing = metadata.get("blessing", run.blessing)
        if metadata.get("infra_blessing") == "NOT_BLESSED":
            run.blessing = "NOT_BLESSED"
        run.reasons += metadata.get("reasons", [])
        run.warnings += metadata.get("warnings", [])
        if metadata.get("unregistered"):
            run.warnings += _register(Path(metadata["version_dir"]))
        if "page" in metadata:
            run.pages[name] = str(execution.output(name) / metadata["page"])
        run.pushed_model = metadata.get("pushed_model", run.pushed_model)


def _register(version_dir: Path) -> list[str]:
    """What Pusher could not, when MLflow did not answer; it may by now."""
    if registry.register_late(base_path_of(version_dir)):
        return []
    return [f"version {version_dir.name} is not registered in MLflow: `mien models sync` does it"]
