"""`mien sweep` on tiny drawn faces: searched here, carried elsewhere, brought back."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.config import load_config
from pipelines.errors import UsageError
from pipelines.mlflow_runs import tracking_uri
from pipelines.run import Request, run_pipeline
from pipelines.sweep import (
    DEFAULT_TRIALS,
    Sweep,
    export_sweep,
    import_sweep,
    print_sweep,
    run_sweep,
    with_trials,
)
from tuning.__main__ import main
from tuning.sweep.archive import unpack_job
from tuning.sweep.job import load_job
from tuning.sweep.trials import Trial

OVERRIDES = (
    "tuner.hypermodel=emoji_cnn",
    "tuner.max_trials=2",
    "transform.balance.method=oversample",
)


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def request_(tiny_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Request:
    name, config = load_config(str(tiny_config), OVERRIDES)
    return Request(name, config, tmp_path_factory.mktemp("sweep") / "root", quiet=False)


@pytest.fixture(scope="module", autouse=True)
def _tracked_in_the_root() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def swept(request_: Request) -> Sweep:
    return run_sweep(request_, console())


@pytest.fixture(scope="module")
def archive(request_: Request, swept: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("away") / "away.zip"
    export_sweep(request_, path, console())
    return path


@pytest.fixture(scope="module")
def results(archive: Path) -> Path:
    """What the search left on the other machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tuning", str(archive), "--train-best", "1"])
        assert main() is None
    return archive.with_suffix("") / "results.zip"


def test_a_sweep_ends_with_as_many_trials_as_were_asked_for(swept: Sweep) -> None:
    assert sorted(trial.id for trial in swept.trials) == ["1", "2"]
    assert (swept.folder / "objective.png").exists()


def test_a_sweep_that_is_done_is_reused_whoever_does_the_work(
    request_: Request, swept: Sweep
) -> None:
    tuner = request_.config.tuner.model_copy(update={"workers": 2})
    config = request_.config.model_copy(update={"tuner": tuner})
    run = run_pipeline(replace(request_, config=config, until="tuner"), console())
    states = {step.name: step.state for step in run.steps}
    assert states["tuner"] == "reused"


def test_the_leaderboard_the_pictures_and_the_ui_are_said(swept: Sweep, request_: Request) -> None:
    said = console()
    print_sweep(said, swept, request_.root)
    text = said.file.getvalue()  # type: ignore[attr-defined]
    head, first, *_ = text.splitlines()
    assert head.split()[:3] == ["rank", "trial", swept.objective]
    assert first.split()[:3] == ["1", swept.trials[0].id, f"{swept.trials[0].score:.4f}"]
    assert f"objective: {swept.folder / 'objective.png'}" in text
    assert f"mien ui --root {request_.root}: " in text


def test_a_sweep_that_ended_before_its_budget_says_so(swept: Sweep, request_: Request) -> None:
    assert swept.warnings == []
    said = console()
    print_sweep(said, swept._replace(warnings=["grid ended after 2 of 9 trials"]), request_.root)
    text = said.file.getvalue()  # type: ignore[attr-defined]
    assert "\nwarning: grid ended after 2 of 9 trials\n" in text


def test_without_trials_in_the_config_there_is_a_default_and_it_is_said(request_: Request) -> None:
    tuner = request_.config.tuner.model_copy(update={"max_trials": 0})
    said = console()
    config = with_trials(request_.config.model_copy(update={"tuner": tuner}), said)
    assert config.tuner.max_trials == DEFAULT_TRIALS
    assert f"{DEFAULT_TRIALS} trials" in said.file.getvalue()  # type: ignore[attr-defined]


def test_minutes_alone_are_a_budget_and_it_is_said(request_: Request) -> None:
    update = {"max_trials": None, "minutes": 90.0}
    tuner = request_.config.tuner.model_copy(update=update)
    said = console()
    config = with_trials(request_.config.model_copy(update={"tuner": tuner}), said)
    assert (config.tuner.max_trials, config.tuner.minutes) == (None, 90.0)
    text = "trials are started for 90 minutes; --trials says how many at most"
    assert text in said.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "max_trials"),
    [
        (["--minutes", "60"], None),
        (["--minutes", "60", "--trials", "5"], 5),
        (["--minutes", "60", "--set", "tuner.max_trials=7"], 7),
        ([], 3),
    ],
)
def test_the_configs_number_of_trials_does_not_bound_minutes_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    tiny_config: Path,
    tmp_path: Path,
    arguments: list[str],
    max_trials: int | None,
) -> None:
    asked: list[Request] = []

    def sweep(request: Request, console: Console) -> Sweep:
        asked.append(request)
        return Sweep("val_loss", [Trial("1", "COMPLETED", 0.5, {}, [])], tmp_path)

    monkeypatch.setattr("pipelines.sweep.run_sweep", sweep)
    finished = CliRunner().invoke(app, ["sweep", str(tiny_config), *arguments])
    assert finished.exit_code == 0, finished.output
    assert asked[0].config.tuner.max_trials == max_trials


def test_folds_are_not_searched(request_: Request) -> None:
    split = request_.config.split.model_copy(update={"kfold": 3})
    with pytest.raises(UsageError, match=r"split\.fold=0"):
        with_trials(request_.config.model_copy(update={"split": split}), console())


def test_the_archive_has_originals_only_and_leaves_precision_to_the_other_machine(
    archive: Path, request_: Request
) -> None:
    from components.common.records import load_split
    from pipelines.store import executions

    job, train, validation = load_job(unpack_job(archive))
    examples = executions(request_.root / "store", "transform")[0] / "transformed_examples"
    split = load_split(examples, "train")
    originals = [n for n, example in enumerate(split.ids) if "+" not in example]
    assert 0 < len(originals) < len(split)
    np.testing.assert_array_equal(train.images, split.images[originals])
    np.testing.assert_array_equal(train.labels, split.labels[originals])
    assert len(validation.labels) == len(load_split(examples, "validation"))
    assert (job.precision, job.max_trials, job.image_shape) == ("auto", 2, (24, 24, 1))


def test_what_an_archive_leaves_out_is_said(
    archive: Path, request_: Request, tmp_path: Path
) -> None:
    said = console()
    images = export_sweep(request_, tmp_path / "again.zip", said)
    _, train, _ = load_job(unpack_job(archive))
    assert images["train"] == len(train.labels)
    text = said.file.getvalue()  # type: ignore[attr-defined]
    copies = re.search(r"left out: Transform's copies of train pictures \((\d+)\)", text)
    assert copies
    assert int(copies[1]) > 0
    assert "the section trainer: there --train-best says" in text


def test_without_trials_the_training_of_the_defaults_is_exported_and_taken_over(
    request_: Request,
    tiny_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "none.zip"
    overrides = [f"--set={text}" for text in OVERRIDES]
    options = ["--root", str(request_.root), "--trials", "0", "--export", str(path)]
    finished = CliRunner().invoke(app, ["sweep", str(tiny_config), *overrides, *options])
    assert finished.exit_code == 0, finished.output
    assert load_job(unpack_job(path))[0].max_trials == 0
    monkeypatch.setattr("sys.argv", ["tuning", str(path), "--train-best", "1"])
    assert main() is None
    sweep = import_sweep(request_, tmp_path / "none" / "results.zip", console())
    assert sweep.trials == []
    print_sweep(console(), sweep, request_.root)


@pytest.mark.parametrize("name", ["nowhere/away.zip", "away.tar"])
def test_an_archive_that_cannot_be_written_is_said_first(
    request_: Request, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match=r"wanted a \.zip file in a folder that is there"):
        export_sweep(request_, tmp_path / name, console())


def test_a_backbone_is_not_exported(request_: Request, tmp_path: Path) -> None:
    tuner = request_.config.tuner.model_copy(update={"hypermodel": "transfer"})
    request = replace(request_, config=request_.config.model_copy(update={"tuner": tuner}))
    with pytest.raises(UsageError, match="search it here"):
        export_sweep(request, tmp_path / "away.zip", console())


def test_what_cannot_be_fixed_is_not_exported(
    request_: Request, swept: Sweep, tmp_path: Path
) -> None:
    tuner = request_.config.tuner.model_copy(update={"fixed": {"filters": 12}})
    request = replace(request_, config=request_.config.model_copy(update={"tuner": tuner}))
    with pytest.raises(UsageError, match=r"tuner\.fixed\.filters: 12 .*: one of 8, 16, 32"):
        export_sweep(request, tmp_path / "away.zip", console())


def test_what_comes_back_is_in_mlflow_and_ranked(request_: Request, results: Path) -> None:
    sweep = import_sweep(request_, results, console())
    assert sweep.trials[0].score == max(trial.score for trial in sweep.trials)  # type: ignore[type-var]
    assert (sweep.folder / "objective.png").exists()
    client = mlflow.MlflowClient(tracking_uri(request_.root.resolve()))
    tuner = client.search_runs(["1"], "tags.`mlflow.runName` = 'tuner'", max_results=1)[0]
    tag = f"tags.`mlflow.parentRunId` = '{tuner.info.run_id}'"
    scores = {
        run.info.run_name: run.data.metrics["score"] for run in client.search_runs(["1"], tag)
    }
    assert scores == {f"trial {trial.id}": pytest.approx(trial.score) for trial in sweep.trials}
    logged = {file.path for file in client.list_artifacts(tuner.info.run_id)}
    assert "objective.png" in logged


def test_the_winner_that_comes_back_is_judged_and_published_as_it_was_trained(
    request_: Request, results: Path
) -> None:
    tuner = request_.config.tuner.model_copy(update={"results": str(results)})
    config = request_.config.model_copy(update={"tuner": tuner})
    run = run_pipeline(replace(request_, config=config), console())
    assert run.steps[-1].name == "pusher"
    (version,) = (request_.root / "serving" / config.pusher.model_name).glob("[0-9]*")
    there = keras.models.load_model(results.parent / "best.keras", safe_mode=True)
    published = keras.models.load_model(version / "assets.extra" / "model.keras", safe_mode=True)
    for ours, theirs in zip(published.weights, there.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_validation_split_a_sweep_says_so(request_: Request, tmp_path: Path) -> None:
    split = request_.config.split.model_copy(update={"train": 0.8, "validation": 0.0, "test": 0.2})
    request = replace(request_, config=request_.config.model_copy(update={"split": split}))
    with pytest.raises(UsageError, match=r"split\.validation"):
        run_sweep(request, console())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--oracle", "guess"], "'guess' is not one of 'random', 'bayesian', 'hyperband', 'grid'"),
        (["--trials", "-1"], "--trials"),
        (["--trials", "0"], "--trials 0 is no sweep: mien run"),
        (["--minutes", "-1"], "tuner.minutes"),
    ],
)
def test_an_impossible_search_is_a_usage_error(
    mien: Callable[..., Any], arguments: list[str], said: str
) -> None:
    finished = mien("sweep", "drawn_faces", *arguments, env={"COLUMNS": "200", "PATH": ""})
    assert finished.returncode == 2
    assert said in finished.stderr
