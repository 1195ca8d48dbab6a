"""`mien run CONFIG --set split.kfold=3` as a user runs it, killed in between."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from components.common.examples import Example, read_table
from components.common.files import read_json
from pipelines.errors import exit_status
from pipelines.folds import mean_over_folds
from pipelines.local_runner import Step, StepFailedError, running
from tests.pipelines.runs import MIEN, read_run, states
from tfds_builders.catalog import OptionError

pytestmark = pytest.mark.xdist_group("folds")

Mien = Callable[..., subprocess.CompletedProcess[str]]

TINIEST = """\
extends: drawn_faces
dataset: {options: {images_per_class: 6, subjects: 6, size: 48}}
split: {kfold: 3}
example_validator: {min_class_size: 3}
transform: {height: 16, width: 16, face_crop: null, balance: {method: none}}
tuner: {max_trials: 0, batch_size: 16}
trainer: {epochs: 1}
evaluator: {resamples: 5, thresholds: {accuracy: 0.0, macro_f1: 0.0}}
"""
FOLDS = ["fold_0", "fold_1", "fold_2"]
IMAGES = 7 * 6


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "folds.yaml"
    path.write_text(TINIEST)
    return path


class Killed(NamedTuple):
    """A root whose run was killed, and what `run.json` said by then."""

    root: Path
    run: dict[str, Any]


class Finished(NamedTuple):
    """The same root after the run was started again: what that one printed and wrote."""

    root: Path
    stdout: str
    run: dict[str, Any]
    folds: list[dict[str, Any]]


@pytest.fixture(scope="module")
def killed(
    config: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Killed:
    """Killed after the first fold."""
    root = tmp_path_factory.mktemp("folds") / "root"
    command = [MIEN, "run", str(config), "--root", str(root)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("fold_0 executed"):
                break
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return Killed(root, read_run(root))


@pytest.fixture(scope="module")
def finished(mien: Mien, config: Path, environment: dict[str, str], killed: Killed) -> Finished:
    root, _ = killed
    again = mien("run", config, "--root", root, env=environment)
    assert again.returncode == 0, again.stderr + (root / "runs/latest/run.log").read_text()
    run = read_run(root)
    folds = [read_json(root / "runs" / run_id / "run.json") for run_id in run["folds"]]
    return Finished(root, again.stdout, run, folds)


def test_a_killed_cross_validation_goes_on_after_its_last_whole_fold(
    killed: Killed, finished: Finished
) -> None:
    assert killed.run["config"] == "folds fold_0"
    assert {step["name"]: step["state"] for step in finished.run["steps"]} == {
        "fold_0": "reused",
        "fold_1": "executed",
        "fold_2": "executed",
    }
    assert "fold_0 reused in " in finished.stdout
    assert "fold_2 executed in " in finished.stdout


def test_nobody_is_said_to_wait_who_runs_alone(finished: Finished) -> None:
    assert "waiting for another run" not in finished.stdout


def test_a_fold_is_a_run_of_its_own_that_ends_with_the_evaluator(
    killed: Killed, finished: Finished
) -> None:
    assert [fold["config"] for fold in finished.folds] == [f"folds {name}" for name in FOLDS]
    for fold in finished.folds:
        assert fold["blessing"] == "BLESSED"
        assert fold["pushed_model"] is None
        assert fold["folds"] == []
        skipped = [step for step in fold["steps"] if step["state"] == "skipped"]
        assert [step["name"] for step in skipped] == ["infra_validator", "pusher"]
        assert {step["reason"] for step in skipped} == {"not asked for"}
        assert Path(fold["pages"]["anomalies"]).is_file()
        assert (finished.root / "runs" / fold["run_id"] / "run.log").is_file()
    first = finished.folds[0]
    reused = [step["reason"] for step in first["steps"] if step["state"] == "reused"]
    assert set(reused) == {f"made by run {killed.run['run_id']}"}
    assert first["metrics"] == killed.run["metrics"]
    assert not (finished.root / "serving").exists()


def test_the_whole_is_the_mean_of_the_folds_with_its_interval(finished: Finished) -> None:
    run, folds = finished.run, finished.folds
    assert run["config"] == "folds"
    assert [step["name"] for step in run["steps"]] == FOLDS
    assert len(set(run["folds"])) == 3
    assert (run["blessing"], run["pushed_model"]) == (None, None)
    metrics = run["metrics"]
    assert metrics == mean_over_folds([fold["metrics"] for fold in folds])
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"):
        of_folds = [fold["metrics"][f"test/{name}"] for fold in folds]
        assert metrics[f"test/{name}"] == pytest.approx(sum(of_folds) / 3)
        low, high = metrics[f"test/{name}_low"], metrics[f"test/{name}_high"]
        assert low <= metrics[f"test/{name}"] <= high
        assert f"{metrics[f'test/{name}']:.4f}" in finished.stdout
        assert (f"{low:.4f} .. {high:.4f}" in finished.stdout) == (low < high)


def _tables(root: Path) -> dict[int, list[Example]]:
    """The table of examples of each fold."""
    made = (manifest.parent for manifest in (root / "store/example_gen").glob("*/manifest.json"))
    return {
        read_json(folder / "manifest.json")["cause"]["parameters"]["split"]["fold"]: read_table(
            folder / "examples"
        )
        for folder in made
    }


def test_what_all_folds_warn_of_is_said_once(finished: Finished) -> None:
    tiny = "tiny class: class 'angry' has only 2 images in train (and 6 more)"
    assert all(tiny in fold["warnings"] for fold in finished.folds)
    assert finished.run["warnings"].count(tiny) == 1
    assert set(finished.run["warnings"]) == {w for fold in finished.folds for w in fold["warnings"]}
    assert finished.stdout.count(f"warning: {tiny}\n") == 1


def test_every_picture_is_tested_once_and_no_subject_is_on_two_sides(finished: Finished) -> None:
    tables = _tables(finished.root)
    assert sorted(tables) == [0, 1, 2]
    tested = Counter(row.id for table in tables.values() for row in table if row.split == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == IMAGES
    for table in tables.values():
        assert len(table) == IMAGES
        assert len({(row.subject, row.split) for row in table}) == 6


def test_the_records_are_made_once_for_all_folds(finished: Finished) -> None:
    root = finished.root
    (prepared,) = (path for path in (root / "datasets/drawn_faces").iterdir() if path.is_dir())
    (shard,) = (prepared / "records").glob("*.tfrecord*")
    # A link and no copy: were they made again for a fold, that one would have another file.
    of_folds = list((root / "store/example_gen").glob(f"*/examples/records/{shard.name}"))
    assert len(of_folds) == 3
    assert {path.stat().st_ino for path in of_folds} == {shard.stat().st_ino}


def test_mlflow_has_the_folds_below_the_whole_and_the_steps_below_the_folds(
    finished: Finished,
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{finished.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mien")
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}

    def below(run_id: str) -> set[str]:
        return {
            run.info.run_id
            for run in runs.values()
            if run.data.tags.get("mlflow.parentRunId") == run_id
        }

    whole = runs[finished.run["mlflow_run_id"]]
    assert whole.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in whole.data.tags
    assert whole.data.params["split.kfold"] == "3"
    metrics = {n: v for n, v in whole.data.metrics.items() if not n.startswith("system/")}
    assert metrics == pytest.approx(finished.run["metrics"])
    assert below(whole.info.run_id) == {fold["mlflow_run_id"] for fold in finished.folds}
    for number, fold in enumerate(finished.folds):
        run = runs[fold["mlflow_run_id"]]
        assert run.info.status == "FINISHED"
        assert run.data.params["split.fold"] == str(number)
        assert run.data.metrics == pytest.approx(fold["metrics"])
        executed = {step["name"] for step in fold["steps"] if step["state"] == "executed"}
        steps = {runs[step].info.run_name for step in below(fold["mlflow_run_id"])}
        assert steps == executed


def test_a_second_run_reuses_every_fold_and_says_so(
    mien: Mien, config: Path, environment: dict[str, str], finished: Finished
) -> None:
    root = finished.root
    again = mien("run", config, "--root", root, env=environment)
    assert again.returncode == 0, again.stderr
    run = read_run(root)
    assert (root / "runs" / "latest").readlink() == Path(run["run_id"])
    assert states(root) == dict.fromkeys(FOLDS, "reused")
    assert all(f"{fold} reused in " in again.stdout for fold in FOLDS)
    assert run["metrics"] == finished.run["metrics"]


def test_one_fold_alone_is_the_fold_of_the_whole(
    mien: Mien, config: Path, environment: dict[str, str], finished: Finished
) -> None:
    root = finished.root
    options = ("--set", "split.fold=1", "--until", "evaluator")
    alone = mien("run", config, "--root", root, *options, env=environment)
    assert alone.returncode == 0, alone.stderr
    run = read_run(root)
    assert list(states(root).values()) == ["reused"] * 7 + ["skipped"] * 2
    assert run["config"] == "folds"
    assert run["metrics"] == finished.folds[1]["metrics"]
    assert run["blessing"] == "BLESSED"
    assert run["folds"] == []


def test_until_ends_every_fold_there(
    mien: Mien, config: Path, environment: dict[str, str], finished: Finished
) -> None:
    root = finished.root
    options = ("--until", "example_gen", "--force", "example_gen")
    short = mien("run", config, "--root", root, *options, env=environment)
    assert short.returncode == 0, short.stderr
    run = read_run(root)
    assert states(root) == dict.fromkeys(FOLDS, "executed")
    assert (run["metrics"], run["blessing"]) == ({}, None)
    for run_id in run["folds"]:
        fold = read_json(root / "runs" / run_id / "run.json")
        assert [step["state"] for step in fold["steps"]] == ["executed"] + ["skipped"] * 8


def test_more_folds_than_subjects_are_one_line_and_a_run_json(
    mien: Mien, config: Path, environment: dict[str, str], finished: Finished
) -> None:
    root = finished.root
    failed = mien("run", config, "--root", root, "--set", "split.kfold=7", env=environment)
    assert failed.returncode == 2
    (line,) = failed.stderr.strip().splitlines()
    assert line.startswith("mien: fold_0 failed: example_gen failed: split.kfold=7: ")
    assert "only 6 subjects" in line
    run = read_run(root)
    report = root / "runs" / run["run_id"] / "report.html"
    assert failed.stdout.splitlines()[-1] == f"report: {report}"
    assert (run["config"], run["metrics"]) == ("folds", {})
    assert [step["state"] for step in run["steps"]] == ["failed"] + ["skipped"] * 6
    assert "only 6 subjects" in run["steps"][0]["reason"]
    assert {step["reason"] for step in run["steps"][1:]} == {"an earlier step failed"}


def test_a_step_that_no_fold_reaches_cannot_be_forced(
    mien: Mien, config: Path, tmp_path: Path
) -> None:
    failed = mien("run", config, "--root", tmp_path, "--force", "pusher")
    assert failed.returncode == 2
    assert failed.stderr == "mien: --force pusher: --until evaluator ends before it\n"
    assert not (tmp_path / "runs").exists()


def test_an_impossible_option_is_the_users_in_a_fold_too() -> None:
    def listen(step: Step, progress: str) -> None:
        """Says nothing."""

    with (
        pytest.raises(StepFailedError) as caught,
        running(Step("fold_0"), listen),
        running(Step("example_gen"), listen),
    ):
        raise OptionError("imgs: unknown")
    assert str(caught.value) == "fold_0 failed: example_gen failed: imgs: unknown"
    assert exit_status(caught.value) == 2
