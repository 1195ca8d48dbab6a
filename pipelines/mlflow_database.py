"""MLflow's sqlite database in the pipeline root: made whole, and right where the root was moved."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)

_PATIENCE = 0.5
"""Seconds to wait for a database that another process has locked: the run shall begin."""

_PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""Where MLflow 3 keeps the absolute addresses of artifacts: tables, and their columns."""


def prepare_database(root: Path, experiment: str, artifacts: str) -> None:
    """Makes the database of a new root; in one that was moved, artifacts are where it is now.

    Args:
        root: the pipeline root.
        experiment: its name.
        artifacts: the URI of the folder that artifacts of the experiment lie in.
    """
    path = root / "mlflow.db"
    with FileLock(root / ".mlflow.lock"):
        if not path.exists():
            _make(path)
            return
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database, database:
                _follow(database, experiment, artifacts)
        except sqlite3.Error as error:  # Locked, or damaged, which the run outlives.
            log.warning("%s: %s", path, error)


def _make(path: Path) -> None:
    """Makes a database, which takes MLflow 5 to 9 s and is no outage.

    It gets its name when it is whole: a killed process leaves none, and two first runs make one.
    """
    import mlflow

    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    mlflow.MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)
    part.rename(path)


def _follow(database: sqlite3.Connection, experiment: str, artifacts: str) -> None:
    """Where artifacts lie elsewhere, the root was moved, and its artifacts with it."""
    asked = "SELECT artifact_location FROM experiments WHERE name = ?"
    found = database.execute(asked, [experiment]).fetchone()
    if found is None or found[0] == artifacts:
        return
    log.info("the pipeline root was moved: artifacts are in %s", artifacts)
    before = f"{found[0]}/"
    for table, column in _PLACES.items():
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE substr({column} || '/', 1, ?) = ?",
            [artifacts, len(before), len(before), before],
        )
