"""The DAGs, written once: the local runner walks the compiled graph and Kubeflow runs it."""

from typing import Any

from kfp import dsl

from pipelines import kubeflow_components as c


def _transformed_examples(
    dataset: Any,
    split: Any,
    example_validator: Any,
    transform: Any,
    beam: Any,
    raw_dir: Any,
    datasets_dir: Any,
) -> tuple[Any, Any]:
    """The steps that all pipelines begin with; the statistics are returned for the Evaluator."""
    examples = c.example_gen(
        dataset=dataset, split=split, beam=beam, raw_dir=raw_dir, datasets_dir=datasets_dir
    ).outputs["examples"]
    statistics = c.statistics_gen(examples=examples, beam=beam).outputs["statistics"]
    anomalies = c.example_validator(
        examples=examples, statistics=statistics, parameters=example_validator, beam=beam
    ).outputs["anomalies"]
    transformed_examples = c.transform(
        examples=examples, anomalies=anomalies, parameters=transform, beam=beam
    ).outputs["transformed_examples"]
    return transformed_examples, statistics


@dsl.pipeline(name="mien-training", description="From raw pictures to a pushed model.")
def training_pipeline(
    dataset: dict,
    split: dict,
    example_validator: dict,
    transform: dict,
    tuner: dict,
    trainer: dict,
    evaluator: dict,
    infra_validator: dict,
    pusher: dict,
    beam: dict,
    raw_dir: str = "",
    datasets_dir: str = "",
    features_dir: str = "",
    predictions_dir: str = "",
    versions_dir: str = "",
    serving_dir: str = "",
) -> None:
    """Each parameter is a section of the config; the folders are the runner's to say."""
    transformed_examples, statistics = _transformed_examples(
        dataset, split, example_validator, transform, beam, raw_dir, datasets_dir
    )
    best_hyperparameters = c.tuner(
        transformed_examples=transformed_examples, parameters=tuner, features_dir=features_dir
    ).outputs["best_hyperparameters"]
    model = c.trainer(
        transformed_examples=transformed_examples,
        best_hyperparameters=best_hyperparameters,
        parameters=trainer,
        features_dir=features_dir,
    ).outputs["model"]
    verdict = c.evaluator(
        transformed_examples=transformed_examples,
        statistics=statistics,
        model=model,
        parameters=evaluator,
        predictions_dir=predictions_dir,
        versions_dir=versions_dir,
    )
    infra_blessing = c.infra_validator(
        model=model,
        transformed_examples=transformed_examples,
        evaluation=verdict.outputs["evaluation"],
        parameters=infra_validator,
    ).outputs["infra_blessing"]
    c.pusher(
        model=model,
        evaluation=verdict.outputs["evaluation"],
        blessing=verdict.outputs["blessing"],
        infra_blessing=infra_blessing,
        parameters=pusher,
        split=split,
        serving_dir=serving_dir,
    )


@dsl.pipeline(name="mien-baseline", description="From raw pictures to a judged landmark SVM.")
def baseline_pipeline(
    dataset: dict,
    split: dict,
    example_validator: dict,
    transform: dict,
    baseline: dict,
    evaluator: dict,
    beam: dict,
    raw_dir: str = "",
    datasets_dir: str = "",
    predictions_dir: str = "",
) -> None:
    """What the networks are measured against; it is judged like them, and never pushed."""
    transformed_examples, statistics = _transformed_examples(
        dataset, split, example_validator, transform, beam, raw_dir, datasets_dir
    )
    trained = c.baseline(transformed_examples=transformed_examples, parameters=baseline)
    c.evaluator(
        transformed_examples=transformed_examples,
        statistics=statistics,
        model=trained.outputs["model"],
        parameters=evaluator,
        predictions_dir=predictions_dir,
    )


PIPELINES = {"training": training_pipeline, "baseline": baseline_pipeline}
"""As `pipeline` in a config names them."""
