"""Pusher: publishes a blessed model for TF Serving, and moves the registry's `champion` to it.

Reads:   model, blessing, infra_blessing
Writes:  pushed_model (pushed_model.json: version and path, or why nothing was pushed), and the
         version folder itself
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from filelock import FileLock

from components.common import progress, tracking
from components.common.files import file_digests, read_json, sync_folder, write_json
from components.common.serving import MANIFEST, version_folders


class Pushed(NamedTuple):
    """Where a version was published, or why none was."""

    path: str | None
    version: int | None
    reason: str


def push(
    model: Path,
    blessing: Path,
    infra_blessing: Path,
    pushed_model: Path,
    *,
    model_name: str,
    serving_dir: Path,
) -> Pushed:
    """Publishes the model as the next version, unless it is the newest one already.

    Args:
        model: what Trainer wrote.
        blessing: the Evaluator's verdict.
        infra_blessing: the InfraValidator's verdict.
        pushed_model: folder to fill.
        model_name: TF Serving's and the registry's name.
        serving_dir: holds `<model_name>/<version>/`.
    """
    pushed = _push_if_blessed(model, blessing, infra_blessing, model_name, serving_dir)
    write_json(pushed_model / "pushed_model.json", pushed._asdict())
    return pushed


def _push_if_blessed(
    model: Path, blessing: Path, infra_blessing: Path, model_name: str, serving_dir: Path
) -> Pushed:
    verdict = read_json(blessing / "blessing.json")
    infra_verdict = read_json(infra_blessing / "infra_blessing.json")
    if verdict["blessing"] != "BLESSED":
        return Pushed(None, None, "not pushed: " + "; ".join(verdict["reasons"]))
    if infra_verdict["infra_blessing"] != "BLESSED":
        return Pushed(None, None, "not pushed: " + "; ".join(infra_verdict["reasons"]))
    version_dir = publish(model, model_name, serving_dir)
    _register(model, model_name, version_dir)
    return Pushed(str(version_dir), int(version_dir.name), "blessed")


def publish(model: Path, model_name: str, serving_dir: Path) -> Path:
    """Publishes the SavedModel as a version folder that appears only whole; returns the folder.

    TF Serving opens any folder with an integer name: so it is written under another one, loaded and
    asked once, synced to disk, and renamed.
    """
    base = serving_dir / model_name
    base.mkdir(parents=True, exist_ok=True)
    files = file_digests(model / "saved_model")
    with FileLock(base / ".lock"):
        newest = max(version_folders(base), default=0)
        if _holds(base / str(newest), files):
            return base / str(newest)
        version = newest + 1
        incoming = base / ".incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(model / "saved_model", incoming)
        manifest = {**_facts(model), "model": model_name, "version": version, "files": files}
        write_json(incoming / MANIFEST, manifest)
        progress.say(f"asking version {version} once before it is published")
        _ask_once(incoming)
        sync_folder(incoming)
        return incoming.rename(base / str(version))


def _facts(model: Path) -> dict[str, Any]:
    recipe = read_json(model / "recipe.json")
    return {
        "labels": recipe.pop("labels"),
        "recipe": recipe,
        "dataset": read_json(model / "dataset.json"),
        "trained": read_json(model / "model.json"),
        "mlflow_run_id": tracking.run_id(),
    }


def _holds(version_dir: Path, files: Mapping[str, Any]) -> bool:
    """Whether a version of ours has these files: what is there, not what its manifest claims."""
    there = file_digests(version_dir)
    return there.pop(MANIFEST, None) is not None and there == files


def _ask_once(folder: Path) -> None:
    """Loads the copy and runs one blank image through it; raises what TensorFlow raises."""
    predict = tf.saved_model.load(str(folder)).signatures["predict_pixels"]
    _, arguments = predict.structured_input_signature
    height, width, channels = arguments["pixels"].shape[1:]
    predict(pixels=tf.zeros((1, height, width, channels)))


def _register(model: Path, model_name: str, version_dir: Path) -> None:
    """Registers the Keras model in MLflow, where a run is active, as the `champion`."""

    def register(mlflow: Any) -> None:
        logged = mlflow.tensorflow.log_model(
            keras.models.load_model(model / "model.keras"),
            name="model",
            # Left to itself MLflow takes 20 s to infer these, and forgets keras.
            pip_requirements=[f"tensorflow=={tf.__version__}", f"keras=={keras.__version__}"],
            registered_model_name=model_name,
        )
        client = mlflow.MlflowClient()
        version = logged.registered_model_version
        client.set_registered_model_alias(model_name, "champion", version)
        client.set_model_version_tag(model_name, version, "serving_version", version_dir.name)

    tracking.tell(register)
