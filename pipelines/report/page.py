"""Writes `runs/<run id>/report.html`: gathers what the steps left, and fills the template."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import jinja2
import yaml

from components.common.files import read_json
from pipelines.display import next_commands
from pipelines.errors import UsageError
from pipelines.local_runner import Run, Step
from pipelines.report.artifacts import find_executions, output_folders, read_if_there
from pipelines.report.data import describe_data
from pipelines.report.evaluation import describe_evaluation, headline
from pipelines.report.flow import draw_flow
from pipelines.report.folds import describe_folds
from pipelines.report.model import describe_model, describe_search, describe_training
from pipelines.report.words import duration, verdict, when
from pipelines.store import flat
from tfds_builders.files import written_whole

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


def report_path(root: Path, run_id: str) -> Path:
    """Where the report of a run lies."""
    return root / "runs" / run_id / "report.html"


def read_run(root: Path, run_id: str) -> Run:
    """A run as `run.json` tells of it.

    Args:
        root: the pipeline root.
        run_id: the run's, or `latest`.

    Raises:
        UsageError: there is no such run, or it was killed before it could tell of itself.
    """
    path = root / "runs" / run_id / "run.json"
    if not path.exists():
        whole = sorted(found.parent.name for found in root.glob("runs/2*/run.json"))
        there = f"the last ones are {', '.join(whole[-3:])}" if whole else "there are none"
        raise UsageError(f"run {run_id}: not under {root}; {there}")
    content = read_json(path)
    known = {field.name for field in fields(Run)}
    told = {name: value for name, value in content.items() if name in known}
    return Run(**told | {"steps": [Step(**step) for step in content["steps"]]})


def write_report(root: Path, run: Run) -> Path:
    """Writes the report of a run that has ended, well or not; returns where it lies.

    Args:
        root: the pipeline root, as the user says it: the page repeats it in commands.
        run: as it ended.
    """
    found = find_executions(root, run)
    folders = output_folders(found.values())
    folder = root / "runs" / run.run_id
    config, infra = folder / "config.yaml", folders.get("infra_blessing")
    content = {
        "run": run,
        "when": when(run.run_id),
        "verdict": verdict(run),
        "failed": next((step for step in run.steps if step.state == "failed"), None),
        "headline": headline(run.metrics),
        "flow": draw_flow(run.steps),
        "pushed": "/".join(Path(run.pushed_model or "").parts[-3:]),
        "infra": infra and read_if_there(infra / "infra_blessing.json"),
        "data": describe_data(folders),
        "search": describe_search(folders, found),
        "training": describe_training(folders),
        "evaluation": describe_evaluation(folders),
        "folds": describe_folds(_folds(root, run), run.metrics),
        "model": describe_model(folders),
        "commands": next_commands(run, root),
        "config": config.read_text() if config.exists() else "",
        "seeds": _seeds(config),
        "environment": read_if_there(folder / "environment.json"),
    }
    path = report_path(root, run.run_id)
    with written_whole(path) as part:
        html = _TEMPLATES.get_template("report.html.jinja").render(content)
        part.write_text(html, encoding="utf-8")
    return path


def _folds(root: Path, run: Run) -> list[Run]:
    there = [fold for fold in run.folds if (root / "runs" / fold / "run.json").exists()]
    return [read_run(root, fold) for fold in there]


def _seeds(config: Path) -> dict[str, Any]:
    if not config.exists():
        return {}
    values = flat(yaml.safe_load(config.read_text()))
    return {name: value for name, value in values.items() if name.endswith(".seed")}


_TEMPLATES.filters["duration"] = duration
_TEMPLATES.filters["number"] = lambda value: f"{value:,}"
