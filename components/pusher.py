"""Pusher: publishes a blessed model for TF Serving, and registers it.

Reads:   model, evaluation, blessing, infra_blessing
Writes:  pushed_model (pushed_model.json: version and path, or why nothing was pushed), and the
         version folder itself: SavedModel, model card, the Evaluator's predictions, manifest
"""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tensorflow as tf

from components.common import progress, tracking
from components.common.files import file_digests, read_json, sync_folder, write_json
from components.common.publishing import registry
from components.common.publishing.model_card import render_card
from components.common.publishing.serving import (
    BESIDE_THE_MODEL,
    CARD,
    HELD,
    KERAS_MODEL,
    MANIFEST,
    PREDICTIONS,
    is_published,
    lock,
    read_versions,
)

Alias = Literal["champion", "challenger"]


class Pushed(NamedTuple):
    """Where a version was published, or why none was.

    Attributes:
        path: the version's folder.
        version: its number.
        reason: why, in words.
        alias: `champion`: it is served; `challenger`: it is held back; None: it is withdrawn.
        warnings: what a person should do about it.
        unregistered: whether MLflow was to know it and did not answer.
    """

    path: str | None
    version: int | None
    reason: str
    alias: str | None = None
    warnings: tuple[str, ...] = ()
    unregistered: bool = False


def push(
    model: Path,
    evaluation: Path,
    blessing: Path,
    infra_blessing: Path,
    pushed_model: Path,
    *,
    model_name: str,
    alias: Alias = "champion",
    serving_dir: Path,
    split: Mapping[str, Any],
    origin: Mapping[str, str] | None = None,
) -> Pushed:
    """Publishes the model as the next version, unless it is the newest one already.

    Args:
        model: what Trainer wrote.
        evaluation: what the Evaluator wrote.
        blessing: its verdict.
        infra_blessing: the InfraValidator's verdict.
        pushed_model: folder to fill.
        model_name: TF Serving's and the registry's name.
        alias: `champion` is served at once; `challenger` is held back, until it is promoted.
        serving_dir: holds `<model_name>/<version>/`.
        split: how the examples were split, for the model card.
        origin: `config`, `run_id` and `git_commit`, as far as they are known.
    """
    verdict, infra_verdict = _read_verdicts(blessing, infra_blessing)
    if verdict["blessing"] != "BLESSED":
        pushed = Pushed(None, None, "not pushed: " + "; ".join(verdict["reasons"]))
    elif infra_verdict["infra_blessing"] != "BLESSED":
        pushed = Pushed(None, None, "not pushed: " + "; ".join(infra_verdict["reasons"]))
    else:
        facts = {**_facts(model, evaluation), "split": dict(split), "origin": dict(origin or {})}
        version_dir = publish(
            model, evaluation, verdict["reasons"], facts, serving_dir / model_name, alias
        )
        pushed = _registered(version_dir, serving_dir / model_name)
    write_json(pushed_model / "pushed_model.json", pushed._asdict())
    return pushed


def _read_verdicts(blessing: Path, infra_blessing: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    infra_verdict = read_json(infra_blessing / "infra_blessing.json")
    return read_json(blessing / "blessing.json"), infra_verdict


def publish(
    model: Path,
    evaluation: Path,
    reasons: list[str],
    facts: Mapping[str, Any],
    base: Path,
    alias: Alias,
) -> Path:
    """Publishes the SavedModel as a version folder that appears only whole; returns the folder.

    TF Serving opens any folder with an integer name: so it is written under another one, loaded and
    asked once, synced to disk, and renamed. A model that a person took out of service stays there.

    Args:
        model: what Trainer wrote.
        evaluation: what the Evaluator wrote.
        reasons: of the blessing, for the model card.
        facts: for the manifest.
        base: the model's folder, which holds those of its versions; is made.
        alias: where the version goes.
    """
    base.mkdir(parents=True, exist_ok=True)
    files = file_digests(model / "saved_model")
    with lock(base):
        versions = read_versions(base)
        champion = [folder for n, folder in versions.published.items() if n == versions.champion]
        for version_dir in (*champion, *versions.held.values(), *versions.withdrawn.values()):
            if _holds(version_dir, files):
                return version_dir
        version = max(versions.folders(), default=0) + 1
        incoming = base / ".incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        manifest = {**facts, "model": base.name, "version": version}
        _fill(incoming, model, evaluation, reasons, manifest)
        progress.say(f"asking version {version} once before it is published")
        _ask_once(incoming)
        sync_folder(incoming)
        parent = base if alias == "champion" else base / HELD
        parent.mkdir(exist_ok=True)
        return incoming.rename(parent / str(version))


def _fill(
    folder: Path,
    model: Path,
    evaluation: Path,
    reasons: list[str],
    facts: Mapping[str, Any],
) -> None:
    """Writes a version folder: the SavedModel, and what lies beside it."""
    shutil.copytree(model / "saved_model", folder)
    (folder / KERAS_MODEL).parent.mkdir(exist_ok=True)
    shutil.copy(model / "model.keras", folder / KERAS_MODEL)
    shutil.copy(evaluation / "predictions.csv", folder / PREDICTIONS)
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    manifest = {**facts, "published_at": now, "files": file_digests(folder)}
    write_json(folder / MANIFEST, manifest)
    # Not one of the manifest's files: people add to a card, and the version stays whole.
    (folder / CARD).write_text(render_card(manifest, evaluation, reasons))


def _facts(model: Path, evaluation: Path) -> dict[str, Any]:
    recipe = read_json(model / "recipe.json")
    return {
        "labels": recipe.pop("labels"),
        "recipe": recipe,
        "dataset": read_json(model / "dataset.json"),
        "trained": read_json(model / "model.json"),
        "evaluation": read_json(evaluation / "metrics.json"),
        "mlflow_run_id": tracking.run_id(),
    }


def _holds(version_dir: Path, files: Mapping[str, Any]) -> bool:
    """Whether a version of ours has these files: what is there, not what its manifest claims."""
    there = file_digests(version_dir)
    served = {name: digest for name, digest in there.items() if name not in BESIDE_THE_MODEL}
    # An earlier mien kept no predictions, which the Evaluator compares with.
    return {MANIFEST, PREDICTIONS} <= there.keys() and served == files


def _ask_once(folder: Path) -> None:
    """Loads the copy and runs one blank image through it; raises what TensorFlow raises."""
    predict = tf.saved_model.load(str(folder)).signatures["predict_pixels"]
    _, arguments = predict.structured_input_signature
    height, width, channels = arguments["pixels"].shape[1:]
    predict(pixels=tf.zeros((1, height, width, channels)))


def _registered(version_dir: Path, base: Path) -> Pushed:
    """Registers it, with versions that were not before, and moves the aliases."""
    unregistered = not registry.register(base)
    path, version = str(version_dir), int(version_dir.name)
    if is_published(version_dir):
        return Pushed(path, version, "blessed", "champion", unregistered=unregistered)
    held = version_dir.parent.name == HELD
    alias, state = ("challenger", "held back") if held else (None, "withdrawn")
    warning = f"version {version} is {state}: `mien models promote {base.name} {version}` serves it"
    return Pushed(path, version, "blessed", alias, (warning,), unregistered)
