"""The models that were pushed: `serving/<model>/<version>/` under the pipeline root."""

from pathlib import Path
from typing import Any

from components.common.files import read_json
from components.common.serving import MANIFEST, version_folders
from pipelines.errors import UsageError


class NoModelError(UsageError):
    """There is no such pushed model; the message says which there are."""


def pushed_models(root: Path) -> dict[str, list[int]]:
    """The versions of every pushed model, in order."""
    found = {
        folder.name: list(version_folders(folder))
        for folder in sorted((root / "serving").glob("*"))
        if folder.is_dir()
    }
    return {name: versions for name, versions in found.items() if versions}


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
    """The manifest of a model's newest version."""
    version = pushed_models(root)[name][-1]
    return read_json(root / "serving" / name / str(version) / MANIFEST)
