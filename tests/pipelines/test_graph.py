from pathlib import Path

import pytest
import yaml

from pipelines.config import config_names, load_config
from pipelines.graph import read_graph
from pipelines.kubeflow_runner import compile_pipeline
from pipelines.pipeline import training_pipeline

UPSTREAM = {
    "example_gen": set(),
    "statistics_gen": {"example_gen"},
    "example_validator": {"example_gen", "statistics_gen"},
    "transform": {"example_gen", "example_validator"},
    "tuner": {"transform"},
    "trainer": {"transform", "tuner"},
    "evaluator": {"transform", "trainer"},
    "infra_validator": {"transform", "trainer", "evaluator"},
    "pusher": {"trainer", "evaluator", "infra_validator"},
}


def test_the_local_runner_walks_these_tasks_in_an_order_that_works() -> None:
    graph = read_graph(training_pipeline)
    assert {task.name: task.upstream for task in graph} == UPSTREAM
    order = [task.name for task in graph]
    assert all(order.index(earlier) < order.index(t.name) for t in graph for earlier in t.upstream)


@pytest.mark.parametrize("name", config_names())
def test_the_compiled_yaml_is_that_graph(name: str, tmp_path: Path) -> None:
    _, config = load_config(name)
    output = tmp_path / "pipeline.yaml"
    compile_pipeline(config, output, image="registry/mien:1", raw_dir="/raw", serving_dir="/models")
    spec = yaml.safe_load(output.read_text().split("---\n")[0])

    tasks = spec["root"]["dag"]["tasks"]
    assert {
        task.replace("-", "_"): {name.replace("-", "_") for name in node.get("dependentTasks", [])}
        for task, node in tasks.items()
    } == UPSTREAM
    defaults = {
        key: value["defaultValue"]
        for key, value in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    assert defaults["trainer"]["epochs"] == config.trainer.epochs
    assert (defaults["raw_dir"], defaults["serving_dir"]) == ("/raw", "/models")
    executors = spec["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"registry/mien:1"}
