import io
import re
from pathlib import Path

from rich.console import Console

from pipelines.display import print_result, shown
from pipelines.local_runner import Run, Step


def test_a_narrow_terminal_cuts_the_reason_and_nothing_else() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=60, force_terminal=True, color_system=None)
    step = Step("example_validator", "executed", 12.3, "input examples changed; " * 9)
    with shown(console, [step]) as listener:
        listener(step, "")
    (row,) = {line for line in screen.getvalue().splitlines() if "example_validator" in line}
    assert "example_validator  executed   12.3 s  input" in row
    assert row.rstrip().endswith("…")


def test_a_pipe_gets_a_line_for_a_change_and_the_reason_once() -> None:
    screen = io.StringIO()
    step = Step("trainer", "running", 0.0, "parameter trainer.epochs was 3, is 2")
    with shown(Console(file=screen, width=200), [step]) as listener:
        listener(step, "")
        step.state, step.seconds = "executed", 1.5
        listener(step, "")
    assert screen.getvalue().splitlines() == [
        "trainer running: parameter trainer.epochs was 3, is 2",
        "trainer executed in 1.5 s",
    ]


def test_the_end_names_metrics_verdict_place_and_what_is_next() -> None:
    screen = io.StringIO()
    run = Run(
        config="tiny",
        run_id="r",
        mlflow_run_id="m",
        steps=[],
        metrics={"test/accuracy": 0.9, "test/accuracy_low": 0.8, "test/accuracy_high": 0.95}
        | dict.fromkeys(("test/kappa", "test/kappa_low", "test/kappa_high"), 1.0),
        blessing="BLESSED",
        reasons=["test/accuracy is 0.9000, wanted at least 0.5: holds"],
        warnings=[f"warning {number}" for number in range(7)],
        pushed_model="/a [b]/serving/tiny/4",
        pages={"anomalies": "/a [b]/store/example_validator/1/anomalies/anomalies.html"},
    )
    print_result(Console(file=screen, width=200), run, Path("/a [b]"))
    lines = screen.getvalue()
    assert "report:" not in lines
    assert "0.9000  0.8000 .. 0.9500" in lines
    assert re.search(r"test/kappa +1\.0000 +-\n", re.sub(" +\n", "\n", lines))
    assert "and 2 more warnings" in lines
    assert "anomalies: /a [b]/store/example_validator/1/anomalies/anomalies.html\n" in lines
    assert "pushed to /a [b]/serving/tiny/4" in lines
    for command in ("ui", "serve tiny", "predict PICTURE --model tiny", "demo tiny"):
        assert f" {command} --root '/a [b]'" in lines


def test_the_end_names_the_report_that_was_written(tmp_path: Path) -> None:
    screen = io.StringIO()
    report = tmp_path / "runs" / "r" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    print_result(Console(file=screen, width=200), Run("tiny", "r", "m", []), tmp_path)
    assert f"\nreport: {report}\n" in f"\n{screen.getvalue()}"
