"""`mien run`, from a config's name to a finished run."""

import logging
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from components.common import tracking
from components.common.quiet import output_to
from pipelines import display
from pipelines.config import Config
from pipelines.errors import UsageError
from pipelines.graph import read_graph
from pipelines.local_runner import Plan, Run, Step, run_graph, wanted_tasks
from pipelines.mlflow_runs import parent_run, tracking_uri
from tfds_builders import catalog


def run_pipeline(
    name: str,
    config: Config,
    *,
    root: Path,
    raw_dir: Path | None,
    until: str | None = None,
    force: Collection[str] = (),
    console: Console,
    quiet: bool = True,
) -> Run:
    """Runs a config's pipeline locally and returns what `run.json` holds.

    Args:
        name: the config's.
        config: validated.
        root: the pipeline root; made where it is not there.
        raw_dir: where the raw files lie.
        until: the last step to run.
        force: steps to execute again.
        console: where the steps are shown.
        quiet: sends what libraries print to the run's log file.

    Raises:
        FileNotFoundError: raw files are missing; says which, where and how to get them.
        UsageError: `until` or `force` names no step, or the root cannot be written.
        StepFailedError: a step failed.
    """
    raw_digest = catalog.raw_digest(config.dataset.name, raw_dir)
    from pipelines.pipeline import training_pipeline

    graph = read_graph(training_pipeline)
    steps = [task.name for task in graph]
    for step in (*force, *([until] if until else [])):
        if step not in steps:
            raise UsageError(f"step {step}: unknown; there are {', '.join(steps)}")
    for step in set(force) - wanted_tasks(graph, until):
        raise UsageError(f"--force {step}: --until {until} ends before it")
    root = root.resolve()
    plan = Plan(
        graph=graph,
        parameters={
            **config.parameters(),
            "raw_dir": str(raw_dir.resolve()) if raw_dir else "",
            "serving_dir": str(root / "serving"),
        },
        # Where the raw files lie, and which engine does the work, makes no difference.
        counts_as={"raw_dir": raw_digest, "beam": {}},
        root=root,
        until=until,
        force=force,
    )
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = root / "runs" / run_id
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--root {root}: {error.strerror}") from None
    with (
        _logging_to(folder / "run.log", quiet),
        parent_run(root, name, run_id, config.parameters()) as mlflow_run_id,
    ):
        run = Run(name, run_id, mlflow_run_id, [Step(step) for step in steps])
        if not mlflow_run_id:
            run.warnings.append(f"{tracking_uri(root)} does not answer: this run is not tracked")
        with display.shown(console, run.steps) as listener:
            run_graph(plan, run, listener)
        tracking.log_metrics(run.metrics)
        tracking.log_artifact(folder / "run.json")
    return run


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
