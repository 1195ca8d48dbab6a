"""The runner on a graph of one step, which stands in for Pusher."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp import dsl

from components import pusher
from components.common.files import write_json
from components.common.publishing import registry, serving
from components.common.publishing.serving import HELD
from components.pusher import Pushed
from pipelines import kubeflow_components
from pipelines.graph import Task
from pipelines.local_runner import Plan, Run, Step, run_graph

WRAPPER = kubeflow_components.pusher.python_func


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Run]:
    """Runs the wrapper of Pusher, which finds the version where it lies; 1 is held back first."""
    base = tmp_path / "serving" / "faces"
    (base / HELD / "1").mkdir(parents=True)
    (base / HELD / "1" / "saved_model.pb").write_text("graph")

    def push(*_: Path, **__: object) -> Pushed:
        ((number, folder),) = serving.read_versions(base).folders().items()
        told = ("champion", ()) if serving.is_published(folder) else ("challenger", ("held back",))
        return Pushed(str(folder), number, "blessed", *told, unregistered=True)

    def wrapper(pushed_model: dsl.Artifact) -> None:
        write_json(Path(pushed_model.path) / "pushed_model.json", {})
        nothing = SimpleNamespace(path="")
        inputs = dict.fromkeys(("model", "evaluation", "blessing", "infra_blessing"), nothing)
        WRAPPER(**inputs, parameters={}, split={}, serving_dir="", pushed_model=pushed_model)

    monkeypatch.setattr(pusher, "push", push)
    monkeypatch.setattr(kubeflow_components, "pusher", SimpleNamespace(python_func=wrapper))
    monkeypatch.setattr(registry, "register_late", lambda base_path: True)
    graph = [Task("pusher", {}, {}, {"pushed_model": "system.Model"})]

    def call() -> Run:
        run = Run("tiny", "r1", "", [Step("pusher")])
        run_graph(Plan(graph, {}, {}, tmp_path), run, lambda step, progress: None)
        return run

    return call


def test_a_version_that_was_held_back_and_is_served_now_is_the_runs(
    run: Callable[[], Run], tmp_path: Path
) -> None:
    base = tmp_path / "serving" / "faces"
    assert (run().pushed_model, run().warnings) == (None, ["held back"])
    assert run().steps[0].state == "reused"
    serving.promote(base, 1)
    promoted = run()
    assert promoted.steps[0].state == "executed"
    assert (promoted.pushed_model, promoted.warnings) == (str(base / "1"), [])
    assert run().steps[0].state == "reused"


def test_what_pusher_could_not_register_is_registered_when_mlflow_answers(
    run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = "version 1 is not registered in MLflow: `mien models sync` does it"
    monkeypatch.setattr(registry, "register_late", lambda base_path: False)
    assert missing in run().warnings
    known = []

    def register(base_path: Path) -> bool:
        known.append(base_path)
        return True

    monkeypatch.setattr(registry, "register_late", register)
    again = run()
    assert again.steps[0].state == "reused"
    assert missing not in again.warnings
    assert known == [tmp_path / "serving" / "faces"]
