"""A run in a few lines of Markdown: what the MLflow UI shows above everything else."""

from pathlib import Path

from pipelines.display import next_commands
from pipelines.local_runner import Run


def describe_run(run: Run, root: Path) -> str:
    """The verdict and why, the metrics with their intervals, and what to do next."""
    parts = [_headline(run), "\n".join(f"- {reason}" for reason in run.reasons), _metrics(run)]
    failed = [step for step in run.steps if step.state == "failed"]
    parts += [f"Step `{step.name}` failed: {step.reason}" for step in failed]
    if run.pushed_model:
        parts += [f"Pushed to `{run.pushed_model}`."]
    parts += ["\n".join(f"    {command}" for command, _ in next_commands(run, root))]
    return "\n\n".join(part for part in parts if part)


def _headline(run: Run) -> str:
    verdict = f": **{run.blessing}**" if run.blessing else ""
    return f"Config `{run.config}`, run `{run.run_id}`{verdict}"


def _metrics(run: Run) -> str:
    rows = [
        f"| {name} | {value:.4f} | {run.metrics[f'{name}_low']:.4f} .. "
        f"{run.metrics[f'{name}_high']:.4f} |"
        for name, value in run.metrics.items()
        if f"{name}_low" in run.metrics
    ]
    head = ["| metric | value | 95 % interval |", "|---|---|---|"]
    return "\n".join(head + rows) if rows else ""
