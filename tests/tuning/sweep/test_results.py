import json
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from tuning.sweep.archive import ArchiveError
from tuning.sweep.job import Job, job_to_json
from tuning.sweep.results import pack_results, unpack_results
from tuning.sweep.trials import Trial, write_trial

JOB = Job("emoji_cnn", (22, 22, 1), 2, "random", "val_loss", 2, None, 1, None, 8, "auto", 0)
WINNER = {"hypermodel": "emoji_cnn", "values": {}, "trial": "2"}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "search"
    for number, score in (("1", 0.7), ("2", 0.5)):
        write_trial(folder / "trials", Trial(number, "COMPLETED", score, {}, []))
    (folder / "job.json").write_text(job_to_json(JOB))
    (folder / "best_hyperparameters.json").write_text(json.dumps(WINNER))
    (folder / "best.keras").write_bytes(b"weights" * 1000)
    (folder / "train_images.npy").write_bytes(b"pictures")
    return pack_results(folder, folder)


def test_what_is_packed_comes_back_without_the_pictures(results: Path, tmp_path: Path) -> None:
    found = unpack_results(results, tmp_path / "here")
    assert found.job == JOB
    assert [trial.id for trial in found.trials] == ["2", "1"]
    assert found.winner == WINNER
    assert (tmp_path / "here" / "best.keras").read_bytes() == b"weights" * 1000
    assert not list((tmp_path / "here").glob("*.npy"))


def test_every_damaged_byte_is_refused_or_does_no_harm(results: Path, tmp_path: Path) -> None:
    whole = results.read_bytes()
    broken = tmp_path / "broken.zip"
    for at in range(0, len(whole), 7):
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        with suppress(ArchiveError):
            assert unpack_results(broken, tmp_path / f"{at}").winner == WINNER


def test_something_else_is_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.zip").write_text("not a zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("notes.txt", "no search")
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as archive:
        archive.writestr("job.json", "{}")
    for name in ("notes.zip", "other.zip", "job.zip", "nowhere.zip", "search"):
        with pytest.raises(ArchiveError, match=r"not the results\.zip of an ended search"):
            unpack_results(tmp_path / name, tmp_path / "here")
