"""Compiles the pipeline for Kubeflow: the graph that the local runner walks, and a config."""

from pathlib import Path

from pipelines.config import Config
from pipelines.errors import UsageError
from pipelines.kubeflow_components import IMAGE


def compile_pipeline(
    config: Config, output: Path, *, image: str = IMAGE, raw_dir: str = "", serving_dir: str = ""
) -> None:
    """Writes the pipeline's YAML, the config as the defaults of its parameters.

    Args:
        config: validated.
        output: the file to write.
        image: the container image that the steps run in; it holds this checkout.
        raw_dir: where the raw files lie in the container.
        serving_dir: where the container publishes models.

    Raises:
        UsageError: the output cannot be written, or the config is for folds and names none.
    """
    if config.split.kfold and config.split.fold is None:
        raise UsageError("split.kfold: a pipeline runs one fold; say which with split.fold")
    if output.suffix not in {".yaml", ".yml"} or not output.parent.is_dir():
        raise UsageError(f"-o {output}: wanted a .yaml file in a folder that is there")
    from kfp import compiler

    from pipelines.pipeline import PIPELINES

    pipeline = PIPELINES[config.pipeline]
    folders = {
        "raw_dir": raw_dir,
        "serving_dir": serving_dir,
        "versions_dir": f"{serving_dir}/{config.pusher.model_name}" if serving_dir else "",
    }
    taken = {name: path for name, path in folders.items() if name in pipeline.component_spec.inputs}
    compiler.Compiler().compile(
        pipeline, str(output), pipeline_parameters={**config.parameters(), **taken}
    )
    if image != IMAGE:
        output.write_text(output.read_text().replace(f"image: {IMAGE}\n", f"image: {image}\n"))
