"""The DAG, written once: the local runner walks the compiled graph and Kubeflow runs it."""

from kfp import dsl

from pipelines import kubeflow_components as c


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
    serving_dir: str = "",
) -> None:
    """Each parameter is a section of the config; the folders are the runner's to say."""
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
    best_hyperparameters = c.tuner(
        transformed_examples=transformed_examples, parameters=tuner
    ).outputs["best_hyperparameters"]
    model = c.trainer(
        transformed_examples=transformed_examples,
        best_hyperparameters=best_hyperparameters,
        parameters=trainer,
    ).outputs["model"]
    verdict = c.evaluator(
        transformed_examples=transformed_examples, model=model, parameters=evaluator
    )
    infra_blessing = c.infra_validator(
        model=model,
        transformed_examples=transformed_examples,
        evaluation=verdict.outputs["evaluation"],
        parameters=infra_validator,
    ).outputs["infra_blessing"]
    c.pusher(
        model=model,
        blessing=verdict.outputs["blessing"],
        infra_blessing=infra_blessing,
        parameters=pusher,
        serving_dir=serving_dir,
    )
