"""The pipeline as a user runs it, in processes of its own, on tiny drawn faces."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.files import read_json
from components.common.records import load_split
from tests.pipelines.runs import MIEN, execution, read_run, states

pytestmark = pytest.mark.xdist_group("tiny_run")

Mien = Callable[..., subprocess.CompletedProcess[str]]

STEPS = [
    "example_gen",
    "statistics_gen",
    "example_validator",
    "transform",
    "tuner",
    "trainer",
    "evaluator",
    "infra_validator",
    "pusher",
]

KEYS = {
    *("config", "run_id", "mlflow_run_id", "steps", "metrics", "blessing", "reasons"),
    *("warnings", "pushed_model", "pages", "folds"),
}


def test_run_json_tells_of_the_run(tiny_root: Path) -> None:
    run = read_run(tiny_root)
    assert run["config"] == "tiny"
    assert set(run) == KEYS
    assert [step["name"] for step in run["steps"]] == STEPS
    assert {step["state"] for step in run["steps"]} == {"executed"}
    assert all(step["seconds"] >= 0 and step["reason"] == "first run" for step in run["steps"])
    metrics = run["metrics"]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss"):
        low, value, high = (metrics[f"test/{name}{end}"] for end in ("_low", "", "_high"))
        assert low <= value <= high
    assert run["blessing"] == "BLESSED"
    assert Path(run["pushed_model"]) == tiny_root / "serving" / "tiny" / "1"
    assert (tiny_root / "runs" / "latest").readlink() == Path(run["run_id"])
    assert run["folds"] == []
    assert set(run["pages"]) == {"anomalies"}
    page = Path(run["pages"]["anomalies"])
    assert page == execution(tiny_root, "example_validator") / "anomalies" / "anomalies.html"
    assert "<h1>Anomalies of drawn_faces</h1>" in page.read_text()


def test_counts_in_are_counts_out_and_no_subject_is_on_two_sides(tiny_root: Path) -> None:
    examples = execution(tiny_root, "transform") / "transformed_examples"
    counts = read_json(examples / "counts.json")
    assert sum(of_split["in"] for of_split in counts.values()) == 7 * 18
    subjects = {}
    for split, of_split in counts.items():
        loaded = load_split(examples, split)
        assert len(loaded) == of_split["kept"] + of_split["copies"]
        subjects[split] = set(loaded.subjects)
    assert not subjects["train"] & subjects["validation"]
    assert not (subjects["train"] | subjects["validation"]) & subjects["test"]


def test_the_pushed_version_says_where_it_came_from(tiny_root: Path) -> None:
    version = tiny_root / "serving" / "tiny" / "1"
    manifest = read_json(version / "mien_manifest.json")
    dataset = read_json(execution(tiny_root, "example_gen") / "examples" / "dataset.json")
    assert manifest["labels"] == dataset["labels"]
    assert manifest["dataset"]["digest"] == dataset["digest"]
    assert (version / "assets" / "labels.txt").read_text().split() == dataset["labels"]
    assert {"saved_model.pb", "assets.extra/tf_serving_warmup_requests"} <= set(manifest["files"])
    assert manifest["origin"]["config"] == "tiny"
    assert manifest["origin"]["run_id"] == read_run(tiny_root)["run_id"]
    assert "# tiny, version 1" in (version / "model_card.md").read_text()
    assert [path.name for path in version.parent.iterdir() if path.name.isdecimal()] == ["1"]


def test_mlflow_has_parent_steps_trials_and_curves(tiny_root: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tiny_root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mien")
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}

    def children(run_id: str) -> dict[str, str]:
        return {
            run.info.run_name: run.info.run_id
            for run in runs.values()
            if run.data.tags.get("mlflow.parentRunId") == run_id
        }

    parent = runs[read_run(tiny_root)["mlflow_run_id"]]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["trainer.epochs"] == "3"
    assert len(parent.data.tags["mien.git_commit"]) >= 7
    steps = children(parent.info.run_id)
    assert set(steps) == set(STEPS)
    trials = children(steps["tuner"])
    assert len(trials) == 3
    for trial in trials.values():
        assert "val_accuracy" in runs[trial].data.metrics
        assert "learning_rate" in runs[trial].data.params
    curve = client.get_metric_history(steps["trainer"], "val_accuracy")
    assert [point.step for point in curve] == [1, 2, 3]
    figures = [file.path for file in client.list_artifacts(steps["evaluator"])]
    assert "confusion_matrix.png" in figures
    assert list((tiny_root / "mlartifacts").rglob("confusion_matrix.png"))
    champion = client.get_model_version_by_alias("tiny", "champion")
    assert champion.tags["serving_version"] == "1"


def test_a_second_run_reuses_every_step(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str]
) -> None:
    before = read_run(tiny_root)
    finished = mien("run", tiny_config, "--root", tiny_root, env=environment)
    assert finished.returncode == 0, finished.stderr
    after = read_run(tiny_root)
    assert set(states(tiny_root).values()) == {"reused"}
    assert {step["reason"] for step in after["steps"]} == {f"made by run {before['run_id']}"}
    assert after["metrics"] == before["metrics"]
    assert after["pushed_model"] == before["pushed_model"]
    assert after["pages"] == before["pages"]
    assert f"anomalies: {after['pages']['anomalies']}\n" in finished.stdout


def test_a_changed_parameter_runs_its_step_and_what_follows(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str]
) -> None:
    finished = mien(
        *("run", tiny_config, "--root", tiny_root, "--set", "trainer.epochs=2"), env=environment
    )
    assert finished.returncode == 0, finished.stderr
    first = STEPS.index("trainer")
    expected = ["reused"] * first + ["executed"] * (len(STEPS) - first)
    assert list(states(tiny_root).values()) == expected
    trainer = read_run(tiny_root)["steps"][first]
    assert trainer["reason"] == "parameter trainer.epochs was 3, is 2"
    assert "parameter trainer.epochs was 3, is 2" in finished.stdout


def test_another_version_of_the_detector_runs_transform_again(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    root = shutil.copytree(tiny_root, tmp_path / "root", symlinks=True)
    other = tmp_path / "opencv_python_headless-99.0.dist-info" / "METADATA"
    other.parent.mkdir()
    other.write_text("Metadata-Version: 2.1\nName: opencv-python-headless\nVersion: 99.0\n")
    options = ("--root", root, "--until", "transform")
    finished = mien("run", tiny_config, *options, env=environment | {"PYTHONPATH": str(tmp_path)})
    assert finished.returncode == 0, finished.stderr
    assert list(states(root).values())[:4] == ["reused"] * 3 + ["executed"]
    reason = read_run(root)["steps"][STEPS.index("transform")]["reason"]
    assert reason.startswith("parameter transform.detector_version was opencv-python-headless ")
    assert reason.endswith(", is opencv-python-headless 99.0")


def test_a_missing_extra_is_told_before_a_step_runs(
    mien: Mien, tiny_config: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['dlib'] = None\n")
    options = ("--root", tmp_path / "root", "--set", "transform.landmarks=pixels")
    finished = mien("run", tiny_config, *options, env=environment | {"PYTHONPATH": str(tmp_path)})
    assert finished.returncode == 2
    assert "make landmarks" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "root").exists()


def test_until_and_force(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str]
) -> None:
    options = ("--until", "example_validator", "--force", "statistics_gen")
    finished = mien("run", tiny_config, "--root", tiny_root, *options, env=environment)
    assert finished.returncode == 0, finished.stderr
    expected = ["reused", "executed", "reused"] + ["skipped"] * 6
    assert list(states(tiny_root).values()) == expected
    assert read_run(tiny_root)["blessing"] is None


def test_not_blessed_is_not_pushed_and_has_its_own_status(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str]
) -> None:
    options = ("--set", "evaluator.thresholds.accuracy=1.0", "--require-blessing")
    finished = mien("run", tiny_config, "--root", tiny_root, *options, env=environment)
    assert finished.returncode == 3, finished.stderr
    run = read_run(tiny_root)
    assert run["blessing"] == "NOT_BLESSED"
    assert run["pushed_model"] is None
    assert "wanted at least 1: fails" in finished.stdout


def test_a_change_threshold_compares_with_the_model_that_is_served(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    root = shutil.copytree(tiny_root, tmp_path / "root", symlinks=True)
    rule = ("--until", "evaluator", "--set", "evaluator.not_worse_than_champion.accuracy=0.5")
    finished = mien("run", tiny_config, "--root", root, *rule, env=environment)
    assert finished.returncode == 0, finished.stderr
    run = read_run(root)
    assert run["blessing"] == "BLESSED"
    assert "the champion's (version " in run["reasons"][-1]
    assert run["steps"][STEPS.index("evaluator")]["state"] == "executed"
    mien("run", tiny_config, "--root", root, *rule, env=environment)
    assert states(root)["evaluator"] == "reused"
    newest = max((root / "serving" / "tiny").glob("[0-9]*"), key=lambda path: int(path.name))
    shutil.copytree(newest, newest.with_name("99"))
    mien("run", tiny_config, "--root", root, *rule, env=environment)
    again = read_run(root)["steps"][STEPS.index("evaluator")]
    assert (again["state"], again["reason"]) == (
        "executed",
        f"parameter evaluator.champion.version was {newest.name}, is 99",
    )


def test_a_model_that_the_server_answers_otherwise_is_not_blessed(
    mien: Mien, tiny_config: Path, tiny_root: Path, environment: dict[str, str]
) -> None:
    options = ("--set", "infra_validator.tolerance=0", "--require-blessing")
    finished = mien("run", tiny_config, "--root", tiny_root, *options, env=environment)
    assert finished.returncode == 3, finished.stderr
    assert read_run(tiny_root)["blessing"] == "NOT_BLESSED"
    assert "differs from the evaluation by" in finished.stdout


def test_a_failed_step_is_a_line_a_report_and_a_run_json(
    mien: Mien, tiny_config: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    options = ("--set", "dataset.options.subjects=0")
    finished = mien("run", tiny_config, "--root", tmp_path, *options, env=environment)
    assert finished.returncode == 2
    (line,) = finished.stderr.strip().splitlines()
    assert line.startswith("mien: example_gen failed: ")
    assert "subjects" in line
    report = finished.stdout.splitlines()[-1].removeprefix("report: ")
    assert "example_gen failed" in Path(report).read_text()
    assert list(states(tmp_path).values()) == ["failed"] + ["skipped"] * 8


def test_a_run_that_is_killed_in_every_step_ends_as_an_undisturbed_one(
    tiny_config: Path, tiny_root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for step in STEPS:
        assert _run_and_kill(tiny_config, tmp_path, step, environment) == -signal.SIGKILL
        assert not (tmp_path / "serving" / "tiny" / "1").exists() or step == "pusher"
    finished = subprocess.run(
        [MIEN, "run", str(tiny_config), "--root", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    for step in STEPS[:4]:
        assert _digests(tmp_path, step) == _digests(tiny_root, step)
    # A .keras file and a SavedModel carry the time they were written; what they say must agree.
    predictions = Path("evaluation", "predictions.csv")
    undisturbed = _execution_of(tiny_root, "evaluator", epochs=3) / predictions
    assert (execution(tmp_path, "evaluator") / predictions).read_text() == undisturbed.read_text()


def _run_and_kill(config: Path, root: Path, step: str, environment: dict[str, str]) -> int:
    """Starts a run, kills it with all its children as soon as a step runs."""
    command = [MIEN, "run", str(config), "--root", str(root)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(f"{step} running"):
                break
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _execution_of(root: Path, step: str, epochs: int) -> Path:
    for manifest in (root / "store" / step).glob("*/manifest.json"):
        predictions = manifest.parent
        trainer = read_json(manifest)["cause"]["inputs"]["model"]
        for made in (root / "store" / "trainer").glob("*/manifest.json"):
            model = read_json(made)
            same = model["outputs"]["model"]["digest"] == trainer
            if same and model["cause"]["parameters"]["trainer"]["epochs"] == epochs:
                return predictions
    raise AssertionError(f"no {step} of {epochs} epochs")


def _digests(root: Path, step: str) -> dict[str, str]:
    manifest = read_json(execution(root, step) / "manifest.json")
    return {name: output["digest"] for name, output in manifest["outputs"].items()}


def test_a_damaged_tracking_database_costs_the_record_and_not_the_run(
    mien: Mien, tiny_config: Path, tiny_root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    shutil.copytree(tiny_root / "store", tmp_path / "store")
    (tmp_path / "mlflow.db").write_text("no database")
    options = ("--root", tmp_path, "--until", "example_validator")
    finished = mien("run", tiny_config, *options, env=environment)
    assert finished.returncode == 0, finished.stderr
    (spool,) = (tmp_path / "tracking").glob("*/*")
    said = f"MLflow was not told all: the next run sends what lies in {spool}"
    assert f"warning: {said}" in finished.stdout
    assert read_run(tmp_path)["warnings"][0] == said


def test_without_a_tracking_server_the_run_goes_on_and_says_so(
    mien: Mien, tiny_config: Path, tiny_root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    shutil.copytree(tiny_root / "store", tmp_path / "store")
    finished = mien(
        *("run", tiny_config, "--root", tmp_path, "--until", "example_validator"),
        env={**environment, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
    )
    assert finished.returncode == 0, finished.stderr
    (spool,) = (tmp_path / "tracking").glob("*/*")
    assert f"the next run sends what lies in {spool}" in finished.stdout
    assert read_run(tmp_path)["mlflow_run_id"] == ""
