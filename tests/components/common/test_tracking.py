import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.common import tracking


class MlflowError(Exception):
    pass


class FakeMlflow(SimpleNamespace):
    """The part of mlflow that components use; it takes notes, or fails where it is told to."""

    def __init__(self, active: bool = True, error: Exception | None = None) -> None:
        super().__init__(exceptions=SimpleNamespace(MlflowException=MlflowError))
        self.active, self.error = active, error
        self.calls: list[tuple[Any, ...]] = []

    def active_run(self) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id="run7")) if self.active else None

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*arguments: Any, **keywords: Any) -> None:
            if self.error:
                raise self.error
            self.calls.append((name, *arguments, keywords))

        return call


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeMlflow], FakeMlflow]:
    def put(mlflow: FakeMlflow) -> FakeMlflow:
        monkeypatch.setitem(sys.modules, "mlflow", mlflow)
        return mlflow

    return put


def log_everything(folder: Path) -> None:
    tracking.log_metrics({"loss": 0.5}, step=3)
    tracking.log_params({"seed": 1})
    tracking.log_artifact(folder)
    (folder / "plot.png").touch()
    tracking.log_artifact(folder / "plot.png")


def test_without_mlflow_nothing_happens_and_nobody_imports_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    log_everything(tmp_path)
    with tracking.child_run("trial", {}):
        pass
    assert tracking.run_id() == ""
    assert "mlflow" not in sys.modules


def test_without_an_active_run_nothing_is_logged(
    install: Callable[[FakeMlflow], FakeMlflow], tmp_path: Path
) -> None:
    mlflow = install(FakeMlflow(active=False))
    log_everything(tmp_path)
    with tracking.child_run("trial", {}):
        pass
    assert tracking.run_id() == ""
    assert mlflow.calls == []


def test_what_is_logged_to_the_active_run(
    install: Callable[[FakeMlflow], FakeMlflow], tmp_path: Path
) -> None:
    mlflow = install(FakeMlflow())
    log_everything(tmp_path)
    assert tracking.run_id() == "run7"
    assert mlflow.calls == [
        ("log_metrics", {"loss": 0.5}, {"step": 3}),
        ("log_params", {"seed": 1}, {}),
        ("log_artifacts", str(tmp_path), {"artifact_path": tmp_path.name}),
        ("log_artifact", str(tmp_path / "plot.png"), {}),
    ]


@pytest.mark.parametrize("error", [MlflowError("no such run"), ConnectionError("server is down")])
def test_a_tracking_server_that_fails_costs_a_warning(
    install: Callable[[FakeMlflow], FakeMlflow],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    install(FakeMlflow(error=error))
    done = []
    with caplog.at_level(logging.WARNING):
        log_everything(tmp_path)
        with tracking.child_run("trial", {"width": 8}):
            done.append("the work")
    assert done == ["the work"]
    assert str(error) in caplog.text
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_child_run_is_finished(install: Callable[[FakeMlflow], FakeMlflow]) -> None:
    mlflow = install(FakeMlflow())
    with tracking.child_run("trial 0", {"width": 8}):
        tracking.log_metrics({"loss": 1.0})
    assert mlflow.calls == [
        ("start_run", {"run_name": "trial 0", "nested": True}),
        ("log_params", {"width": 8}, {}),
        ("log_metrics", {"loss": 1.0}, {"step": None}),
        ("end_run", "FINISHED", {}),
    ]


def test_a_child_run_that_raises_is_failed(install: Callable[[FakeMlflow], FakeMlflow]) -> None:
    mlflow = install(FakeMlflow())
    with pytest.raises(ZeroDivisionError), tracking.child_run("trial 0", {}):
        raise ZeroDivisionError("nothing to divide by")
    reason = "ZeroDivisionError: nothing to divide by"
    assert mlflow.calls[-2] == ("set_tag", "mien.error", reason, {})
    assert mlflow.calls[-1] == ("end_run", "FAILED", {})
