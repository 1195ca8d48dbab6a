"""Trainer: full training with the best hyperparameters, and the export for TF Serving.

Reads:   transformed_examples, best_hyperparameters
Writes:  model (model.keras, saved_model/, history.json, learning_curves.png, model.json)
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import tensorflow as tf

from components.common import figures, progress, records, tracking
from components.common.export import export_saved_model
from components.common.files import read_json, write_json
from components.common.recipe import Recipe, read_recipe
from tuning.fitting import StoppingRule, best_epoch, fit
from tuning.hypermodels import get_hypermodel

WARM_UP_IMAGES = 4


def train(
    transformed_examples: Path,
    best_hyperparameters: Path,
    model: Path,
    *,
    epochs: int,
    rule: StoppingRule,
    seed: int,
    work_dir: Path,
) -> list[dict[str, float]]:
    """Trains, keeps the best epoch, exports it; returns the history, a row an epoch.

    Args:
        transformed_examples: what Transform wrote; of its splits, train and validation are read.
        best_hyperparameters: what Tuner chose: hypermodel, values, batch size.
        model: folder to fill.
        epochs: at most so many.
        rule: when training ends before, and which epoch is the best.
        seed: of the weights and the order of the images.
        work_dir: checkpoints; a training that was killed goes on from them.
    """
    # The same seed gives the same model, on this machine, whether or not it was interrupted.
    tf.config.experimental.enable_op_determinism()
    recipe, labels = read_recipe(transformed_examples)
    best = read_json(best_hyperparameters / "best_hyperparameters.json")
    train_split = records.load_split(transformed_examples, "train")
    validation = _validation(transformed_examples)

    def on_epoch(row: Mapping[str, float]) -> None:
        metrics = {name: value for name, value in row.items() if name != "epoch"}
        tracking.log_metrics(metrics, step=int(row["epoch"]))
        progress.say(f"epoch {row['epoch']:.0f}/{epochs}, {progress.figures(row)}")

    trained, history = fit(
        lambda: _build(best, recipe, len(labels)),
        (train_split.images, train_split.labels),
        validation,
        epochs=epochs,
        batch_size=best["batch_size"],
        seed=seed,
        rule=rule,
        checkpoints=work_dir / "checkpoints",
        on_epoch=on_epoch,
    )
    model.mkdir(parents=True, exist_ok=True)
    trained.save(model / "model.keras")
    warm_up = train_split.images[:WARM_UP_IMAGES]
    export_saved_model(trained, recipe, labels, warm_up, model / "saved_model")
    figures.learning_curves(history, model / "learning_curves.png")
    write_json(model / "history.json", history)
    facts = {
        "hypermodel": best["hypermodel"],
        "hyperparameters": best["values"],
        "parameters": trained.count_params(),
        "epochs": len(history),
        "best_epoch": best_epoch(history, rule) + 1,
    }
    write_json(model / "model.json", facts)
    for name in ("recipe.json", "dataset.json"):
        shutil.copy(transformed_examples / name, model)
    tracking.log_params({"parameters": facts["parameters"], "best_epoch": facts["best_epoch"]})
    tracking.log_artifact(model / "learning_curves.png")
    return history


def _build(best: Mapping[str, Any], recipe: Recipe, classes: int) -> keras.Model:
    hp = kt.HyperParameters()
    hp.values.update(best["values"])
    shape = (recipe.height, recipe.width, recipe.channels)
    return get_hypermodel(best["hypermodel"])(hp, shape, classes)


def _validation(transformed_examples: Path) -> tuple[Any, Any] | None:
    if "validation" not in records.splits(transformed_examples):
        return None
    split = records.load_split(transformed_examples, "validation")
    return split.images, split.labels
