"""What a search left, as one small file to carry back to where its pictures came from."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from tuning.sweep.archive import ArchiveError
from tuning.sweep.job import Job, job_from_json
from tuning.sweep.trials import Trial, leaderboard, read_trials

RESULTS = "results.zip"
WINNER = "best_hyperparameters.json"
MODEL = "best.keras"
HISTORY = "best_history.json"
"""Of the model's training; is written after the model, which without it is not whole."""

_MAX_BYTES = 2 * 1024**3


class Results(NamedTuple):
    """What a search left.

    Attributes:
        job: what was searched, and on which pictures.
        trials: all of them, the best first.
        winner: of `tuning.sweep.search.describe_winner`.
    """

    job: Job
    trials: list[Trial]
    winner: dict[str, Any]


def pack_results(folder: Path, training: Path) -> Path:
    """Puts what a search left, without the arrays, into one file; returns it.

    Args:
        folder: of the search.
        training: folder of its winner and the winner's training, which the file goes to.
    """
    files = [folder / "job.json", *(training / name for name in (WINNER, MODEL, HISTORY))]
    with zipfile.ZipFile(training / RESULTS, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in filter(Path.exists, files):
            archive.write(path, path.name)
        for path in sorted((folder / "trials").glob("*.json")):
            archive.write(path, path.relative_to(folder))
    return training / RESULTS


def unpack_results(path: Path, folder: Path) -> Results:
    """Reads the file of `pack_results`; what is in it then lies in the folder.

    Raises:
        ArchiveError: it is damaged, or something else, or its search had no winner.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise ValueError("larger than the results of a search")
            archive.extractall(folder)
        job = job_from_json((folder / "job.json").read_bytes())
        winner = json.loads((folder / WINNER).read_bytes())
    except Exception as error:  # A damaged zip raises a dozen kinds.
        raise ArchiveError(f"{path}: not the {RESULTS} of an ended search: {error}") from None
    return Results(job, leaderboard(read_trials(folder / "trials"), job.objective), winner)
