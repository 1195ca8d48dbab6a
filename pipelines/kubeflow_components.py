"""The components as KFP knows them: a wrapper each, which imports the component and calls it.

KFP ships a wrapper's body alone into the container, so every import stands inside. It reads the
annotations at run time: no `from __future__ import annotations` here. What a wrapper puts into an
artifact's metadata is shown by Kubeflow, and is what the local runner reports of the run.
"""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

IMAGE = "mien:latest"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def example_gen(
    dataset: dict,
    split: dict,
    beam: dict,
    raw_dir: str,
    datasets_dir: str,
    examples: Output[Dataset],
):
    from pathlib import Path

    from components.common.splits import Shares
    from components.example_gen import Split, generate_examples
    from pipelines.parameters import plain

    dataset, split = plain(dataset), plain(split)
    generated = generate_examples(
        Path(examples.path),
        name=dataset["name"],
        options=dataset["options"],
        raw_dir=Path(raw_dir) if raw_dir else None,
        datasets=Path(datasets_dir or f"{examples.path}.work"),
        split=Split(
            method=split["method"],
            shares=Shares(split["train"], split["validation"], split["test"]),
            seed=split["seed"],
            folds=split["kfold"],
            fold=split.get("fold", 0),
        ),
        beam=plain(beam),
    )
    examples.metadata["images"] = generated.counts
    examples.metadata["warnings"] = generated.notes


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def statistics_gen(examples: Input[Dataset], beam: dict, statistics: Output[Artifact]):
    from pathlib import Path

    from components.statistics_gen import generate_statistics
    from pipelines.parameters import plain

    generate_statistics(Path(examples.path), Path(statistics.path), beam=plain(beam))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def example_validator(
    examples: Input[Dataset],
    statistics: Input[Artifact],
    parameters: dict,
    beam: dict,
    anomalies: Output[Artifact],
):
    from pathlib import Path

    from components.example_validator import validate_examples
    from pipelines.parameters import plain

    found = validate_examples(
        Path(examples.path),
        Path(statistics.path),
        Path(anomalies.path),
        **plain(parameters),
        beam=plain(beam),
    )
    anomalies.metadata["warnings"] = found.warnings
    anomalies.metadata["page"] = "anomalies.html"
    anomalies.metadata["quarantined"] = len(found.quarantined)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def transform(
    examples: Input[Dataset],
    anomalies: Input[Artifact],
    parameters: dict,
    beam: dict,
    transformed_examples: Output[Dataset],
):
    from pathlib import Path

    from components.common.balancing import Balance
    from components.common.pictures.augmentation import Augmentation
    from components.common.recipe import parse_recipe
    from components.transform import transform
    from pipelines.parameters import plain

    parameters = plain(parameters)
    counts = transform(
        Path(examples.path),
        Path(anomalies.path),
        Path(transformed_examples.path),
        recipe=parse_recipe(parameters),
        augmentation=Augmentation(**parameters["augmentation"]),
        balance=Balance(**parameters["balance"]),
        beam=plain(beam),
    )
    transformed_examples.metadata["counts"] = counts
    transformed_examples.metadata["warnings"] = [
        f"{split}: {number} of {of_split['in']} images rejected: {reason}"
        for split, of_split in counts.items()
        for reason, number in of_split["rejected"].items()
    ]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def tuner(
    transformed_examples: Input[Dataset],
    parameters: dict,
    features_dir: str,
    best_hyperparameters: Output[Artifact],
    tuner_results: Output[Artifact],
):
    from pathlib import Path

    from components.tuner import take_over, tune
    from pipelines.parameters import plain

    parameters = plain(parameters)
    results = parameters.pop("results", None)
    folders = (transformed_examples, best_hyperparameters, tuner_results)
    paths = [Path(folder.path) for folder in folders]
    work_dir = Path(f"{tuner_results.path}.work")
    if results:
        best = take_over(
            *paths,
            results=Path(results),
            hypermodel=parameters["hypermodel"],
            objective=parameters["objective"],
            work_dir=work_dir,
        )
    else:
        features = Path(features_dir) if features_dir else work_dir
        best = tune(*paths, work_dir=work_dir, features_dir=features, **parameters)
    best_hyperparameters.metadata["chosen_by"] = best["chosen_by"]
    best_hyperparameters.metadata["warnings"] = best.get("warnings", [])


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def trainer(
    transformed_examples: Input[Dataset],
    best_hyperparameters: Input[Artifact],
    parameters: dict,
    features_dir: str,
    model: Output[Model],
):
    from pathlib import Path

    from components.trainer import train
    from pipelines.parameters import plain
    from tuning.training.rules import ReduceRateRule, StoppingRule

    parameters = plain(parameters)
    reduce_rate = parameters.get("reduce_rate")
    trained = train(
        Path(transformed_examples.path),
        Path(best_hyperparameters.path),
        Path(model.path),
        epochs=parameters["epochs"],
        rule=StoppingRule(
            at_accuracy=parameters.get("stop_at_accuracy"),
            patience=parameters.get("patience"),
            monitor=parameters["monitor"],
        ),
        calibrate=parameters["calibrate"],
        reduce_rate=reduce_rate and ReduceRateRule(**reduce_rate),
        seed=parameters["seed"],
        work_dir=Path(f"{model.path}.work"),
        features_dir=Path(features_dir or f"{model.path}.work"),
    )
    model.metadata["epochs"] = len(trained.history)
    model.metadata["warnings"] = trained.warnings


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def baseline(
    transformed_examples: Input[Dataset],
    parameters: dict,
    model: Output[Model],
    best_hyperparameters: Output[Artifact],
    tuner_results: Output[Artifact],
):
    from pathlib import Path

    from components.baseline import train_baseline
    from pipelines.parameters import plain

    model.metadata["warnings"] = train_baseline(
        Path(transformed_examples.path),
        Path(model.path),
        Path(best_hyperparameters.path),
        Path(tuner_results.path),
        **plain(parameters),
    )


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluator(
    transformed_examples: Input[Dataset],
    statistics: Input[Artifact],
    model: Input[Model],
    parameters: dict,
    predictions_dir: str,
    evaluation: Output[Metrics],
    blessing: Output[Artifact],
    versions_dir: str = "",
):
    from pathlib import Path

    from components.common.evaluation.champions import champion_folder
    from components.evaluator import evaluate
    from pipelines.parameters import plain

    values = plain(parameters)
    version = values.pop("champion_version", None)
    verdict = evaluate(
        Path(transformed_examples.path),
        Path(statistics.path),
        Path(model.path),
        Path(evaluation.path),
        Path(blessing.path),
        champion=champion_folder(Path(versions_dir), version) if versions_dir else None,
        predictions_dir=Path(predictions_dir or f"{evaluation.path}.work"),
        **values,
    )
    for name, interval in verdict.metrics.items():
        evaluation.log_metric(f"{verdict.split}/{name}", interval.value)
        evaluation.log_metric(f"{verdict.split}/{name}_low", interval.low)
        evaluation.log_metric(f"{verdict.split}/{name}_high", interval.high)
    blessing.metadata["blessing"] = "BLESSED" if verdict.blessed else "NOT_BLESSED"
    blessing.metadata["reasons"] = verdict.reasons
    blessing.metadata["warnings"] = verdict.warnings


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def infra_validator(
    model: Input[Model],
    transformed_examples: Input[Dataset],
    evaluation: Input[Metrics],
    parameters: dict,
    infra_blessing: Output[Artifact],
):
    from pathlib import Path

    from components.infra_validator import validate_infra
    from pipelines.parameters import plain

    verdict = validate_infra(
        Path(model.path),
        Path(transformed_examples.path),
        Path(evaluation.path),
        Path(infra_blessing.path),
        **plain(parameters),
    )
    infra_blessing.metadata["infra_blessing"] = verdict["infra_blessing"]
    infra_blessing.metadata["reasons"] = verdict["reasons"]
    infra_blessing.metadata["largest_difference"] = verdict["largest_difference"]


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def pusher(
    model: Input[Model],
    evaluation: Input[Metrics],
    blessing: Input[Artifact],
    infra_blessing: Input[Artifact],
    parameters: dict,
    split: dict,
    serving_dir: str,
    pushed_model: Output[Model],
):
    from pathlib import Path

    from components.pusher import push
    from pipelines.parameters import plain

    pushed = push(
        Path(model.path),
        Path(evaluation.path),
        Path(blessing.path),
        Path(infra_blessing.path),
        Path(pushed_model.path),
        serving_dir=Path(serving_dir),
        split=plain(split),
        **plain(parameters),
    )
    # The runner verifies that the version is there still; what is held back is not served.
    pushed_model.metadata["version_dir"] = pushed.path
    pushed_model.metadata["pushed_model"] = pushed.path if pushed.alias == "champion" else None
    pushed_model.metadata["unregistered"] = pushed.unregistered
    pushed_model.metadata["reason"] = pushed.reason
    pushed_model.metadata["warnings"] = pushed.warnings
