"""`mien models promote`, `rollback` and `sync`: the folder first, which decides, then the registry.

MLflow that does not answer costs a warning: the next command of `mien models` puts its aliases in
step, as after a kill between the two.
"""

import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.common.publishing import registry, serving
from components.common.publishing.serving import VersionError, read_versions
from pipelines.errors import UsageError
from pipelines.mlflow_runs import configure_mlflow, open_sender


class Settled(NamedTuple):
    """What was done in the registry, in words, and a warning, "" where all is in step."""

    done: list[str]
    warning: str


def promote(base: Path, version: int) -> list[str]:
    """Has a version served; returns what was done, in words.

    Raises:
        UsageError: there is no such version, or it is damaged.
    """
    return _move(base, lambda: serving.promote(base, version))


def roll_back(base: Path) -> list[str]:
    """Has the version before the champion served; returns what was done, in words.

    Raises:
        UsageError: there is no version before, or it is damaged.
    """
    return _move(base, lambda: serving.roll_back(base))


def _move(base: Path, move: Callable[[], object]) -> list[str]:
    with serving.lock(base):
        before = read_versions(base)
        try:
            move()
        except VersionError as error:
            raise UsageError(str(error)) from None
        now = read_versions(base)
    if now == before:
        return [f"{base.name}: version {now.champion} is served already"]
    withdrawn = ", ".join(map(str, sorted(now.withdrawn.keys() - before.withdrawn.keys())))
    was = f" (it was version {before.champion})" if before.champion else ""
    done = [f"{base.name}: version {now.champion} is served now{was}"]
    return done + ([f"withdrawn: version {withdrawn}"] if withdrawn else [])


def put_in_step(root: Path, folders: Sequence[Path]) -> Settled:
    """Moves the registry's aliases to what is served, but for those that another root has."""
    return _ask(root, folders, registry.set_own_aliases) if _is_there(root) else Settled([], "")


def move_aliases(root: Path, folders: Sequence[Path]) -> Settled:
    """Moves the registry's aliases to what is served: after a person said what that is."""
    return _ask(root, folders, registry.set_aliases) if _is_there(root) else Settled([], "")


def register(root: Path, folders: Sequence[Path]) -> Settled:
    """Registers the versions that the registry lacks, and moves the aliases."""

    def with_versions(mlflow: Any, base: Path) -> list[str]:
        missing = registry.register_missing(mlflow, base)
        registered = [f"version {number} is registered" for number in missing]
        return registered + registry.set_aliases(mlflow, base)

    return _ask(root, folders, with_versions)


def _ask(root: Path, folders: Sequence[Path], change: Callable[[Any, Path], list[str]]) -> Settled:
    done: list[str] = []
    failed: list[str] = []
    try:
        mlflow = _mlflow(root.resolve())
    except Exception as error:  # the databases behind MLflow raise whatever they like
        return Settled([], _not_in_step(_why(error)))
    for base in folders:
        try:
            with serving.lock(base):
                done += [f"{base.name}: {text}" for text in change(mlflow, base)]
        except Exception as error:  # one that is damaged keeps no other from being put in step
            failed.append(f"{base.name}: {_why(error)}")
    return Settled(done, _not_in_step("; ".join(failed)) if failed else "")


def _why(error: Exception) -> str:
    return textwrap.shorten(f"{error}" or type(error).__name__, 200, placeholder=" ...")


def _not_in_step(why: str) -> str:
    return f"the registry is not in step, `mien models sync` tries again: {why}"


def tags_of(root: Path, base: Path, version: int) -> dict[str, str]:
    """The tags of a version in the registry; empty where it is not there, or MLflow is not."""
    found: dict[str, str] = {}

    def read(mlflow: Any, base: Path) -> list[str]:
        registered = registry.registered_versions(mlflow, base).get(version)
        found.update(registered.tags if registered else {})
        return []

    if _is_there(root):
        _ask(root, [base], read)
    return found


def _is_own() -> bool:
    return not os.environ.get("MLFLOW_TRACKING_URI")


def _is_there(root: Path) -> bool:
    """Whether there is a registry to ask: to look at models is no reason to make one."""
    return not _is_own() or (root / "mlflow.db").exists()


def _mlflow(root: Path) -> Any:
    """The mlflow module, set to the root's registry."""
    configure_mlflow(seconds=10)
    import mlflow

    sender = open_sender(root)
    mlflow.set_tracking_uri(sender.uri)
    mlflow.set_experiment(experiment_id=sender.experiment())
    return mlflow
