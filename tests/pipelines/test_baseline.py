"""The baseline's pipeline as a user runs it, on tiny drawn faces."""

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.files import read_json
from tests.pipelines.conftest import TINY
from tests.pipelines.runs import execution, read_run, states

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("dlib") is None, reason="the extra `landmarks` is not installed"
    ),
    pytest.mark.xdist_group("tiny_baseline"),
]

Mien = Callable[..., subprocess.CompletedProcess[str]]

STEPS = [
    *("example_gen", "statistics_gen", "example_validator", "transform"),
    *("baseline", "evaluator"),
]
BASELINE = """\
pipeline: baseline
baseline: {kernels: [linear, poly], max_trials: 2}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny_svm.yaml"
    with_landmarks = TINY.replace(
        "transform: {height: 24, width: 24", "transform: {height: 96, width: 96, landmarks: pixels"
    )
    path.write_text(with_landmarks + BASELINE)
    return path


@pytest.fixture(scope="module")
def root(
    mien: Mien, config: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A pipeline root after one run; tests only read it, or run on in it."""
    root = tmp_path_factory.mktemp("svm") / "root"
    finished = mien("run", config, "--root", root, env=environment)
    assert finished.returncode == 0, finished.stderr + (root / "runs/latest/run.log").read_text()
    return root


def test_the_svm_is_judged_and_not_pushed(root: Path) -> None:
    assert states(root) == dict.fromkeys(STEPS, "executed")
    run = read_run(root)
    assert run["blessing"] == "BLESSED"
    assert run["pushed_model"] is None
    assert not (root / "serving").exists()
    # Seven classes: by chance it would be 0.14.
    assert run["metrics"]["test/accuracy"] > 0.4
    trials = read_json(execution(root, "baseline") / "tuner_results" / "trials.json")
    assert len(trials) == 2


def test_mlflow_has_its_trials_and_names_the_pipeline(root: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mien")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent = client.get_run(read_run(root)["mlflow_run_id"])
    assert parent.data.params["pipeline"] == "baseline"
    assert not [name for name in parent.data.params if name.startswith(("tuner", "pusher"))]
    for trial in ("trial 1", "trial 2"):
        assert runs[trial].data.tags["mlflow.parentRunId"] == runs["baseline"].info.run_id
        assert runs[trial].data.params["kernel"] in ("linear", "poly")
        assert "val_accuracy" in runs[trial].data.metrics


@pytest.mark.parametrize("options", [("--until", "pusher"), ("--force", "trainer")])
@pytest.mark.parametrize("folds", [(), ("--set", "split.kfold=3")])
def test_steps_of_the_other_pipeline_are_unknown(
    mien: Mien,
    config: Path,
    tmp_path: Path,
    environment: dict[str, str],
    options: tuple[str, ...],
    folds: tuple[str, ...],
) -> None:
    failed = mien("run", config, "--root", tmp_path / "root", *options, *folds, env=environment)
    assert failed.returncode == 2
    assert failed.stderr == f"mien: step {options[1]}: unknown; there are {', '.join(STEPS)}\n"


def test_without_landmarks_it_is_told_before_a_step_runs(
    mien: Mien, config: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    options = ("--root", tmp_path / "root", "--set", "transform.landmarks=none")
    failed = mien("run", config, *options, env=environment)
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert line.startswith("mien: transform: landmarks is none")
    assert line.endswith("say transform.landmarks=scale_free")
    assert not (tmp_path / "root").exists()


def test_folds_of_it_have_a_mean(
    mien: Mien, config: Path, root: Path, environment: dict[str, str]
) -> None:
    options = ("--set", "split.kfold=3", "--set", "baseline.max_trials=0")
    finished = mien("run", config, "--root", root, *options, env=environment)
    assert finished.returncode == 0, finished.stderr
    assert states(root) == {f"fold_{fold}": "executed" for fold in range(3)}
    assert {"test/accuracy", "test/accuracy_low"} <= set(read_run(root)["metrics"])
