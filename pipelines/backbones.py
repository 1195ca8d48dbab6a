"""Files that a tuner's section names: copied into the pipeline root, or fetched from MLflow.

The Trainer knows no more of a file than its path among the best hyperparameters, and must find
there what the Tuner found.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.files import sha256_file
from pipelines.errors import UsageError
from pipelines.mlflow_runs import tracking_uri
from tfds_builders.files import written_whole

REGISTRY = "models:/"


def with_files(tuner: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """A tuner's section with the paths of copies in the root, in place of models and files.

    A copy's path has the file's digest, and counts in the keys of the steps: a file that changed
    is another one, and so is that of a root that was moved.

    Args:
        tuner: the section; its `results`, and of what is fixed `backbone` and `weights`.
        root: the pipeline root.

    Raises:
        UsageError: there is no such model in the registry, or no such file of results.
    """
    section, fixed = dict(tuner), dict(tuner.get("fixed", {}))
    if results := section.get("results"):
        if not Path(results).is_file():
            raise UsageError(f"tuner.results: {results} is no file")
        section["results"] = str(_keep(Path(results), root / "sweeps"))
    for name in {"backbone", "weights"} & fixed.keys():
        if str(fixed[name]).startswith(REGISTRY):
            fixed[name] = str(fetch_backbone(fixed[name], root))
        elif Path(str(fixed[name])).is_file():
            fixed[name] = str(_keep(Path(str(fixed[name])), root / "backbones"))
    return section | {"fixed": fixed}


def fetch_backbone(uri: str, root: Path) -> Path:
    """Fetches a registered model; returns its file, named by its digest.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        root: the pipeline root; its own registry is asked where MLFLOW_TRACKING_URI is not set.

    Raises:
        UsageError: there is no such model, or it is no Keras model.
    """
    import mlflow

    mlflow.set_tracking_uri(tracking_uri(root))
    try:
        folder = Path(mlflow.artifacts.download_artifacts(uri))
    except Exception as error:  # the databases behind MLflow raise whatever they like
        why = str(error).splitlines()[0]
        raise UsageError(
            f"backbone {uri}: {why}; run and push that model first with this --root, or set "
            "MLFLOW_TRACKING_URI"
        ) from None
    found = list(folder.rglob("*.keras"))
    if not found:
        raise UsageError(f"backbone {uri}: it holds no .keras file")
    return _keep(found[0], root / "backbones")


def _keep(path: Path, folder: Path) -> Path:
    """Copies a file into a folder, under its digest; returns the copy."""
    # Keras takes another `.h5` for the format of an earlier Keras.
    suffix = ".weights.h5" if path.name.endswith(".weights.h5") else path.suffix
    kept = folder.resolve() / f"{sha256_file(path)}{suffix}"
    if kept.is_file() and kept.stat().st_size == path.stat().st_size:
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(kept) as part:
        shutil.copy(path, part)
    return kept
