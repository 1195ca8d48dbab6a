"""Trainer: full training with the best hyperparameters, and the export for TF Serving.

Reads:   transformed_examples, best_hyperparameters
Writes:  model (model.keras, saved_model/, history.json, learning_curves.png, model.json,
         summary.txt, network.png where graphviz is installed)
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from components.common import figures, progress, records, tracking
from components.common.class_counts import count_classes
from components.common.evaluation.calibration import fit_temperature
from components.common.evaluation.classifiers import predict
from components.common.export import export_saved_model
from components.common.features import inputs_of
from components.common.files import read_json, write_json
from components.common.network import describe_network
from components.common.recipe import read_recipe
from components.common.tracking.dataset_inputs import log_split
from tfds_builders.catalog import OptionError
from tuning.accelerator import has_gpu
from tuning.backbones import BackboneError, on_top
from tuning.heads import with_temperature
from tuning.hypermodels import frozen_part
from tuning.optimizers import schedule_of
from tuning.sweep.results import HISTORY, MODEL, WINNER
from tuning.training.rules import ReduceRateRule, StoppingRule, best_epoch
from tuning.training.winner import train_winner

WARM_UP_IMAGES = 4


class Trained(NamedTuple):
    """What a training left.

    Attributes:
        history: a row an epoch.
        warnings: what of its options counts for nothing.
    """

    history: list[dict[str, float]]
    warnings: list[str]


def train(
    transformed_examples: Path,
    best_hyperparameters: Path,
    model: Path,
    *,
    epochs: int,
    rule: StoppingRule,
    reduce_rate: ReduceRateRule | None = None,
    calibrate: bool,
    seed: int,
    work_dir: Path,
    features_dir: Path,
) -> Trained:
    """Trains, keeps the best epoch, exports it.

    What was trained where it was searched, on another machine, is not trained again: `epochs`,
    `rule`, `reduce_rate` and `seed` are then those of its training there.

    Args:
        transformed_examples: what Transform wrote; of its splits, train and validation are read.
        best_hyperparameters: what Tuner chose: hypermodel, values, batch size.
        model: folder to fill.
        epochs: at most so many.
        rule: when training ends before, and which epoch is the best.
        reduce_rate: when the learning rate is reduced; None: the hypermodel's own stands, as does
            one that follows a schedule.
        calibrate: divides the logits by the temperature that gives the least log loss on
            validation, in what is saved and in what is served.
        seed: of the weights and the order of the images.
        work_dir: checkpoints; a training that was killed goes on from them.
        features_dir: keeps the features of frozen backbones.

    Raises:
        OptionError: there is no validation split to calibrate on, or the backbone cannot be had.
    """
    if not has_gpu():
        # The same seed gives the same model, whether or not it was interrupted. On a GPU it would
        # cost XLA.
        tf.config.experimental.enable_op_determinism()
    recipe, labels = read_recipe(transformed_examples)
    there = records.splits(transformed_examples)
    if calibrate and "validation" not in there:
        raise OptionError(
            "trainer.calibrate: there is no validation split to find the temperature on: leave it "
            "out, or give validation a share (split.validation)"
        )
    best = read_json(best_hyperparameters / WINNER)
    image_shape = (recipe.height, recipe.width, recipe.channels)
    try:
        backbone = frozen_part(best["hypermodel"], best["values"], image_shape)
    except BackboneError as error:
        raise OptionError(f"tuner.fixed: {error}") from error
    splits = {
        name: records.load_split(transformed_examples, name)
        for name in ("train", "validation")
        if name in there
    }
    for name in splits:
        log_split(transformed_examples, name)
    arrays = {
        name: inputs_of(split, name, backbone, transformed_examples, features_dir)
        for name, split in splits.items()
    }
    validation = arrays.get("validation")

    def on_epoch(row: Mapping[str, float]) -> None:
        metrics = {name: value for name, value in row.items() if name != "epoch"}
        tracking.log_metrics(metrics, step=int(row["epoch"]))
        progress.say(f"epoch {row['epoch']:.0f}/{epochs}, {progress.figures(row)}")

    warnings = []
    if elsewhere := best.get("trained"):
        trained = keras.models.load_model(best_hyperparameters / MODEL, safe_mode=True)
        history = read_json(best_hyperparameters / HISTORY)
        epochs, seed = len(history), elsewhere["seed"]
        rule = StoppingRule(monitor=elsewhere["monitor"])
        for row in history:
            on_epoch(row)
    else:
        schedule = schedule_of(best["values"])
        if reduce_rate and schedule:
            reduce_rate = None
            warnings.append(
                "trainer.reduce_rate counts for nothing: the learning rate follows the schedule "
                f"{schedule}; tuner.fixed.schedule=constant leaves it to reduce_rate"
            )
        trained, history = train_winner(
            best,
            arrays["train"],
            validation,
            classes=len(labels),
            epochs=epochs,
            seed=seed,
            rule=rule,
            reduce_rate=reduce_rate,
            checkpoints=work_dir / "checkpoints",
            on_epoch=on_epoch,
        )
    calibration = {}
    if calibrate and validation:
        temperature = fit_temperature(validation.labels, predict(trained, validation.images))
        trained = with_temperature(trained, temperature)
        calibration = {"temperature": round(temperature, 4)}
    if backbone:
        trained = on_top(backbone, trained)
    model.mkdir(parents=True, exist_ok=True)
    trained.save(model / "model.keras")
    warm_up = splits["train"].images[:WARM_UP_IMAGES]
    export_saved_model(trained, recipe, labels, warm_up, model / "saved_model")
    figures.learning_curves(history, model / "learning_curves.png")
    write_json(model / "history.json", history)
    describe_network(trained, model)
    facts = {
        "hypermodel": best["hypermodel"],
        "hyperparameters": best["values"],
        "parameters": trained.count_params(),
        "epochs": len(history),
        "best_epoch": best_epoch(history, rule) + 1,
        "seed": seed,
        "data": {name: count_classes(split, labels) for name, split in splits.items()},
        **calibration,
    }
    write_json(model / "model.json", facts)
    for facts_of_data in ("recipe.json", "dataset.json"):
        shutil.copy(transformed_examples / facts_of_data, model)
    logged = {"parameters": facts["parameters"], "best_epoch": facts["best_epoch"]}
    tracking.log_params(logged | calibration)
    tracking.log_artifact(model / "learning_curves.png")
    return Trained(history, warnings)
