import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tuning import jobs
from tuning.__main__ import main
from tuning.heads import with_class_probabilities
from tuning.sweep.archive import pack_job
from tuning.sweep.results import unpack_results
from tuning.sweep.trials import read_trials
from tuning.training.batches import Arrays

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")

LABELS = np.arange(24) % 2
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 22, 22, 1), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    """So small a model takes longer to trace than to train."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


JOB = jobs.JOB._replace(precision="auto")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    pack_job(tmp_path / "sweep.zip", JOB, Arrays(PIXELS, LABELS), Arrays(PIXELS[:8], LABELS[:8]))
    return tmp_path / "sweep.zip"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    def call(*arguments: str | Path) -> str | None:
        monkeypatch.setattr("sys.argv", ["tuning", *map(str, arguments)])
        return main()

    return call


def test_from_the_archive_to_leaderboard_winner_and_results(
    run: Callable[..., str | None], archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(archive, "--train-best", "2") is None
    folder = archive.with_suffix("")
    lines = capsys.readouterr().out.splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("rank  trial  val_loss"))
    trials = {trial.id: trial for trial in read_trials(folder / "trials")}
    assert sorted(trials) == ["1", "2"]
    winner = json.loads((folder / "best_hyperparameters.json").read_text())
    assert winner["score"] == min(trial.score for trial in trials.values())  # type: ignore[type-var]
    assert lines[head + 1].split()[:3] == ["1", winner["trial"], f"{winner['score']:.4f}"]
    assert winner["values"] == trials[winner["trial"]].values
    assert (winner["hypermodel"], winner["precision"]) == ("emoji_cnn", "float32")
    with zipfile.ZipFile(folder / "results.zip") as results:
        assert set(results.namelist()) == {
            "job.json",
            "best_hyperparameters.json",
            "best.keras",
            "best_history.json",
            "trials/1.json",
            "trials/2.json",
        }
    history = json.loads((folder / "best_history.json").read_text())
    model = with_class_probabilities(keras.models.load_model(folder / "best.keras"))
    loss = -np.log(model.predict(PIXELS[:8], verbose=0)[np.arange(8), LABELS[:8]]).mean()
    assert len(history) == 2
    assert loss == pytest.approx(min(row["val_loss"] for row in history), rel=1e-4)


def test_each_seed_of_the_full_training_has_its_own_results(
    run: Callable[..., str | None], archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = archive.with_suffix("")
    weights = {}
    for seed in (1, 2):
        assert run(archive, "--train-best", "1", "--seed", str(seed)) is None
        (row,) = json.loads((folder / f"seed-{seed}" / "best_history.json").read_text())
        told = capsys.readouterr().out
        assert f"in full, seed {seed}: val_loss {row['val_loss']:.4f}" in told
        with zipfile.ZipFile(folder / f"seed-{seed}" / "results.zip") as results:
            winner = json.loads(results.read("best_hyperparameters.json"))
            assert {"job.json", "best.keras", "trials/2.json"} <= set(results.namelist())
        assert winner["trained"] == {"monitor": "val_loss", "seed": seed}
        weights[seed] = keras.models.load_model(folder / f"seed-{seed}" / "best.keras").weights
    assert any((np.array(a) != np.array(b)).any() for a, b in zip(*weights.values(), strict=True))
    assert not (folder / "best.keras").exists()


def test_without_trials_the_defaults_are_trained(
    run: Callable[..., str | None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JOB._replace(max_trials=0, fixed={"filters": 8})
    pack_job(tmp_path / "none.zip", job, Arrays(PIXELS, LABELS), Arrays(PIXELS[:8], LABELS[:8]))
    assert run(tmp_path / "none.zip", "--train-best", "1") is None
    assert "the defaults in full, epoch 1/1" in capsys.readouterr().out
    found = unpack_results(tmp_path / "none" / "results.zip", tmp_path / "here")
    assert found.trials == []
    assert found.winner == {
        "hypermodel": "emoji_cnn",
        "precision": "float32",
        "batch_size": 8,
        "values": {"filters": 8, "units": 512, "learning_rate": 1e-3},
        "chosen_by": "defaults: no search was asked for",
        "warnings": [],
    }
    assert (tmp_path / "here" / "best.keras").exists()


def test_a_seed_is_that_of_the_full_training_alone(
    run: Callable[..., str | None], archive: Path
) -> None:
    with pytest.raises(SystemExit):
        run(archive, "--seed", "1")


def test_a_second_start_runs_no_trial_again(
    run: Callable[..., str | None], archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(archive)
    before = read_trials(archive.with_suffix("") / "trials")
    capsys.readouterr()
    assert run(archive) is None
    assert read_trials(archive.with_suffix("") / "trials") == before
    assert "epoch" not in capsys.readouterr().out.replace("s/epoch", "")


def test_what_is_no_job_is_one_line(run: Callable[..., str | None], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a zip")
    assert "notes.txt: not what `mien sweep --export` writes" in str(run(tmp_path / "notes.txt"))
    assert "nowhere" in str(run(tmp_path / "nowhere"))
