from pathlib import Path

import pytest
import yaml

from pipelines.config import config_names, load_config
from pipelines.graph import read_graph
from pipelines.kubeflow_runner import compile_pipeline
from pipelines.pipeline import PIPELINES

DATA = {
    "example_gen": set(),
    "statistics_gen": {"example_gen"},
    "example_validator": {"example_gen", "statistics_gen"},
    "transform": {"example_gen", "example_validator"},
}
FOLDERS = {
    "raw_dir",
    "datasets_dir",
    "features_dir",
    "predictions_dir",
    "versions_dir",
    "serving_dir",
}
UPSTREAM = {
    "training": DATA
    | {
        "tuner": {"transform"},
        "trainer": {"transform", "tuner"},
        "evaluator": {"transform", "statistics_gen", "trainer"},
        "infra_validator": {"transform", "trainer", "evaluator"},
        "pusher": {"trainer", "evaluator", "infra_validator"},
    },
    "baseline": DATA
    | {"baseline": {"transform"}, "evaluator": {"transform", "statistics_gen", "baseline"}},
}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_local_runner_walks_these_tasks_in_an_order_that_works(pipeline: str) -> None:
    graph = read_graph(PIPELINES[pipeline])
    assert {task.name: task.upstream for task in graph} == UPSTREAM[pipeline]
    order = [task.name for task in graph]
    assert all(order.index(earlier) < order.index(t.name) for t in graph for earlier in t.upstream)


@pytest.mark.parametrize("name", ["fer2013", "facial_expressions_svm"])
def test_a_config_gives_what_its_pipeline_takes(name: str) -> None:
    _, config = load_config(name)
    taken = set(PIPELINES[config.pipeline].component_spec.inputs)
    assert taken - set(config.parameters()) <= FOLDERS
    assert set(config.parameters()) <= taken


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
    } == UPSTREAM[config.pipeline]
    defaults = {
        key: value["defaultValue"]
        for key, value in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    versions_dir = f"/models/{name}"
    folders = {"raw_dir": "/raw", "serving_dir": "/models", "versions_dir": versions_dir}
    given = {**config.parameters(), **folders}
    assert {key: given.get(key, "") for key in defaults} == defaults
    assert defaults["transform"]["height"] == config.transform.height
    executors = spec["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"registry/mien:1"}
