"""The models that were pushed: `serving/<model>/<version>/` under the pipeline root."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from components.common.publishing.serving import (
    MANIFEST,
    Versions,
    read_manifest,
    read_versions,
    version_folders,
)
from pipelines.errors import UsageError


class NoModelError(UsageError):
    """There is no such pushed model; the message says which there are."""


class Version(NamedTuple):
    """A version of a model, as `mien models list` shows it.

    Attributes:
        model: its name.
        version: its number.
        status: `champion` is served; `challenger` is the newest held back, `held` another;
            `earlier` is published, and a newer one is served; `withdrawn` was served.
        folder: where it lies.
        manifest: what it is; empty where another than mien made it.
    """

    model: str
    version: int
    status: str
    folder: Path
    manifest: dict[str, Any]


def pushed_models(root: Path) -> dict[str, list[int]]:
    """The versions of every pushed model that a server finds, in order."""
    found = {folder.name: list(version_folders(folder)) for folder in _folders(root)}
    return {name: versions for name, versions in found.items() if versions}


def _folders(root: Path) -> Iterator[Path]:
    return (folder for folder in sorted((root / "serving").glob("*")) if folder.is_dir())


def choose_model(root: Path, name: str | None) -> str:
    """The model of that name, or the only one where none is named.

    Raises:
        NoModelError: there is none of that name, none at all, or several to choose from.
    """
    models = pushed_models(root)
    if not models:
        raise NoModelError(f"no model was pushed under {root}: run `mien run drawn_faces` first")
    if name is None and len(models) == 1:
        return next(iter(models))
    if name in models:
        return name
    said = f"{name}: no such model" if name else "several models"
    raise NoModelError(f"{said} under {root}: name one of {', '.join(models)}")


def newest_manifest(root: Path, name: str) -> dict[str, Any]:
    """The manifest of a model's newest version, which says how its pictures are prepared.

    Raises:
        NoModelError: it has none, or one that cannot be read.
    """
    version = root / "serving" / name / str(pushed_models(root)[name][-1])
    manifest = read_manifest(version)
    if not manifest:
        raise NoModelError(
            f"{version}: has no {MANIFEST} that can be read, which says how pictures are prepared; "
            f"`mien models rollback {name}` goes back to the version before, `mien run` pushes anew"
        )
    return manifest


def model_folders(root: Path) -> list[Path]:
    """The folder of every model that has a version, be it one that is held back."""
    return [folder for folder in _folders(root) if read_versions(folder).folders()]


def model_folder(root: Path, name: str) -> Path:
    """The folder of a model that has a version.

    Raises:
        NoModelError: there is none of that name.
    """
    folders = {folder.name: folder for folder in model_folders(root)}
    if name not in folders:
        there = ", ".join(folders) or "none; run `mien run drawn_faces` first"
        raise NoModelError(f"{name}: no such model under {root}; there are: {there}")
    return folders[name]


def list_versions(base: Path) -> list[Version]:
    """All versions of a model, in order."""
    versions = read_versions(base)
    return [
        Version(base.name, number, _status(number, versions), folder, read_manifest(folder))
        for number, folder in versions.folders().items()
    ]


def find_version(base: Path, number: int | None) -> Version:
    """A version of a model: that of the number, else the champion, else the newest.

    Raises:
        NoModelError: there is none of that number.
    """
    versions = {version.version: version for version in list_versions(base)}
    if number is None:
        number = read_versions(base).champion or max(versions)
    if number not in versions:
        there = ", ".join(map(str, versions))
        raise NoModelError(f"{base.name} has no version {number}; there are: {there}")
    return versions[number]


def _status(number: int, versions: Versions) -> str:
    if number == versions.champion:
        return "champion"
    if number in versions.published:
        return "earlier"
    if number in versions.withdrawn:
        return "withdrawn"
    return "challenger" if number == versions.challenger else "held"
