"""What a person sees of a run: a live table on a terminal, plain lines elsewhere."""

import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pipelines.local_runner import Listener, Run, Step

SHOWN_WARNINGS = 5

# A path or a message is not rich's markup, and one line stays one line.
_PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False}
_STYLES = {
    "waiting": "dim",
    "running": "cyan",
    "executed": "green",
    "reused": "blue",
    "failed": "bold red",
    "skipped": "dim",
}


@contextmanager
def shown(console: Console, steps: Sequence[Step]) -> Iterator[Listener]:
    """Shows the steps for the length of the block, and gives the listener to tell of them."""
    if console.is_terminal:
        table = _LiveTable(steps)
        with Live(
            table,
            console=console,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield table.listen
    else:
        yield _plain_lines(console)


class _LiveTable:
    """Rich draws it eight times a second, from its own thread."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._progress: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self._spinner = Spinner("dots")

    def listen(self, step: Step, progress: str) -> None:
        self._progress[step.name] = progress
        self._started.setdefault(step.name, time.perf_counter())

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, expand=False)
        # What may not wrap does not shrink: a narrow terminal cuts the last column alone.
        table.add_column("", no_wrap=True)
        table.add_column("step", no_wrap=True)
        table.add_column("state", no_wrap=True, min_width=8)
        table.add_column("time", no_wrap=True, min_width=7, justify="right")
        table.add_column("")
        for step in self._steps:
            table.add_row(*self._row(step))
        return table

    def _row(self, step: Step) -> Iterator[RenderableType]:
        style = _STYLES[step.state]
        running = step.state == "running"
        seconds = (
            time.perf_counter() - self._started[step.name]
            if running and step.name in self._started
            else step.seconds
        )
        yield self._spinner if running else Text(_mark(step), style=style)
        yield step.name
        yield Text(step.state, style=style)
        yield f"{seconds:.1f} s" if seconds else ""
        detail = self._progress.get(step.name) or step.reason
        yield Text(detail, style="dim", no_wrap=True, overflow="ellipsis")


def _mark(step: Step) -> str:
    return {"executed": "✓", "reused": "✓", "failed": "✗"}.get(step.state, "·")


def _plain_lines(console: Console) -> Listener:
    """A line a change of state, and one for a progress at most every ten seconds."""
    last_said: dict[str, float] = {}

    def listen(step: Step, progress: str) -> None:
        now = time.perf_counter()
        if progress:
            if now - last_said.setdefault(step.name, now) >= 10:
                last_said[step.name] = now
                console.print(f"{step.name}: {progress}", **_PLAIN)
            return
        took = f" in {step.seconds:.1f} s" if step.state in ("executed", "reused", "failed") else ""
        why = f": {step.reason}" if step.reason and step.state != "executed" else ""
        if step.state != "running" or step.reason:
            text = f"{step.name} {step.state}{took}{why}"
            console.print(text, **_PLAIN)

    return listen


def print_result(console: Console, run: Run, root: Path) -> None:
    """Prints the metrics with their intervals, the verdict, and what to do next."""
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value in run.metrics.items():
        if f"{name}_low" in run.metrics:
            low, high = run.metrics[f"{name}_low"], run.metrics[f"{name}_high"]
            within = f"{low:.4f} .. {high:.4f}" if low < high else "-"  # No width says nothing.
            table.add_row(name, f"{value:.4f}", within)
    for warning in run.warnings[:SHOWN_WARNINGS]:
        console.print(f"warning: {warning}", style="yellow", **_PLAIN)
    if len(run.warnings) > SHOWN_WARNINGS:
        hidden = len(run.warnings) - SHOWN_WARNINGS
        console.print(f"and {hidden} more warnings, in run.json", style="yellow")
    for name, page in run.pages.items():
        console.print(f"{name}: {page}", **_PLAIN)
    if run.metrics:
        console.print()
        console.print(table)
        console.print()
    if run.blessing:
        style = "bold green" if run.blessing == "BLESSED" else "bold red"
        console.print(Text(run.blessing, style=style))
        for reason in run.reasons:
            console.print(f"  {reason}", **_PLAIN)
    if run.pushed_model:
        console.print(f"pushed to {run.pushed_model}", **_PLAIN)
    report = root / "runs" / run.run_id / "report.html"
    if report.exists():
        console.print(f"report: {report}", **_PLAIN)
    commands = next_commands(run, root)
    width = max(len(command) for command, _ in commands)
    console.print()
    for command, what in commands:
        console.print(f"  {command:<{width}}  {what}", **_PLAIN)


def next_commands(run: Run, root: Path) -> list[tuple[str, str]]:
    """What to do with a run that has ended: commands, and what each is for."""
    mien = "mien" if shutil.which("mien") else sys.argv[0]
    where = "" if root == Path("mien_root") else f" --root {shlex.quote(str(root))}"
    lines = [(f"{mien} ui{where}", "look at the runs in the MLflow UI")]
    if run.pushed_model:
        model = Path(run.pushed_model).parent.name
        lines += [
            (f"{mien} serve {model}{where}", "serve the model by REST and gRPC"),
            (f"{mien} predict PICTURE --model {model}{where}", "ask it what a face expresses"),
            (f"{mien} demo {model}{where}", "try it on a page, with a picture or the camera"),
        ]
    return lines
