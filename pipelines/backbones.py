"""Another run's model as a backbone: fetched from the MLflow registry into the pipeline root."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.files import sha256_file
from pipelines.errors import UsageError
from pipelines.mlflow_runs import tracking_uri
from tfds_builders.files import written_whole

REGISTRY = "models:/"


def with_files(tuner: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Takes a tuner's section whose fixed `backbone` and `weights` may name a model or a file.

    Returns:
        The section, with the paths of files; and as it counts in a key, with their digests.

    Raises:
        UsageError: there is no such model in the registry.
    """
    fixed = dict(tuner.get("fixed", {}))
    counts_as = dict(fixed)
    for name in {"backbone", "weights"} & fixed.keys():
        if str(fixed[name]).startswith(REGISTRY):
            fixed[name] = str(fetch_backbone(fixed[name], root))
        path = Path(str(fixed[name]))
        if path.is_file():
            fixed[name], counts_as[name] = str(path.resolve()), sha256_file(path)
    return {**tuner, "fixed": fixed}, {**tuner, "fixed": counts_as}


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
    path = root / "backbones" / f"{sha256_file(found[0])}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        shutil.copy(found[0], part)
    return path
