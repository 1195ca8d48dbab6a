"""The compiled pipeline as tasks: what the local runner walks is what Kubeflow is given."""

from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from google.protobuf import json_format

Output = tuple[str, str]
"""The name of a task and of one of its outputs."""


class Task(NamedTuple):
    """A step of the compiled graph.

    Attributes:
        name: in snake_case, as on the command line.
        parameters: name -> the pipeline's parameter that it is given.
        inputs: name -> the output of an earlier task.
        outputs: name -> KFP's type of the artifact, e.g. `system.Model`.
    """

    name: str
    parameters: dict[str, str]
    inputs: dict[str, Output]
    outputs: dict[str, str]

    @property
    def upstream(self) -> set[str]:
        """The tasks whose outputs it reads."""
        return {producer for producer, _ in self.inputs.values()}


def read_graph(pipeline: Any) -> list[Task]:
    """The tasks of a `@dsl.pipeline`, each after all that it reads from."""
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    tasks = {
        task.name: task
        for task in (_task(spec, node) for node in spec["root"]["dag"]["tasks"].values())
    }
    order = TopologicalSorter({name: sorted(task.upstream) for name, task in tasks.items()})
    return [tasks[name] for name in order.static_order()]


def _task(spec: dict[str, Any], node: dict[str, Any]) -> Task:
    inputs = node.get("inputs", {})
    component = spec["components"][node["componentRef"]["name"]]
    return Task(
        name=_snake(node["taskInfo"]["name"]),
        parameters={
            name: source["componentInputParameter"]
            for name, source in inputs.get("parameters", {}).items()
        },
        inputs={
            name: (
                _snake(source["taskOutputArtifact"]["producerTask"]),
                source["taskOutputArtifact"]["outputArtifactKey"],
            )
            for name, source in inputs.get("artifacts", {}).items()
        },
        outputs={
            name: output["artifactType"]["schemaTitle"]
            for name, output in component["outputDefinitions"]["artifacts"].items()
        },
    )


def _snake(name: str) -> str:
    return name.replace("-", "_")
