"""That the manifest of a search, KerasTuner and `python -m tuning` name the same things."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.kubeflow_components import IMAGE
from tuning.__main__ import _parser
from tuning.sweep.workers import is_worker

MANIFEST = Path(__file__).parents[2] / "deploy" / "kubernetes" / "sweep.yaml"
JOBS = ("sweep-chief", "sweep-worker")


def manifests() -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(MANIFEST.read_text())


def manifest(kind: str, name: str) -> dict[str, Any]:
    return next(m for m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name))


def container(job: str) -> dict[str, Any]:
    (found,) = manifest("Job", job)["spec"]["template"]["spec"]["containers"]
    return found


def environment(job: str) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container(job)["env"]}


def test_one_is_the_chief_and_the_others_are_its_workers() -> None:
    assert not is_worker(environment("sweep-chief"))
    assert is_worker(environment("sweep-worker"))


def test_the_workers_find_the_chief_by_its_service() -> None:
    chief, worker = (environment(job) for job in JOBS)
    service = manifest("Service", worker["KERASTUNER_ORACLE_IP"])["spec"]
    (port,) = service["ports"]
    assert chief["KERASTUNER_ORACLE_IP"] == "0.0.0.0"
    assert int(chief["KERASTUNER_ORACLE_PORT"]) == port["port"]
    assert worker["KERASTUNER_ORACLE_PORT"] == chief["KERASTUNER_ORACLE_PORT"]
    labels = [manifest("Job", job)["spec"]["template"]["metadata"]["labels"] for job in JOBS]
    assert [service["selector"].items() <= of_pod.items() for of_pod in labels] == [True, False]
    allowed = manifest("NetworkPolicy", "mien-sweep")["spec"]
    for selector in (allowed["podSelector"], allowed["ingress"][0]["from"][0]["podSelector"]):
        assert all(selector["matchLabels"].items() <= of_pod.items() for of_pod in labels)


def test_a_worker_that_is_replaced_has_the_id_of_the_one_before() -> None:
    workers = manifest("Job", "sweep-worker")["spec"]
    assert workers["completionMode"] == "Indexed"
    assert workers["completions"] == workers["parallelism"]
    index, *others = container("sweep-worker")["env"]
    path = index["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    # Kubernetes puts in only what is defined before.
    assert {"name": "KERASTUNER_TUNER_ID", "value": f"worker-$({index['name']})"} in others


@pytest.mark.parametrize("job", JOBS)
def test_both_run_the_same_search_on_the_same_volume(job: str) -> None:
    (mount,) = container(job)["volumeMounts"]
    (volume,) = manifest("Job", job)["spec"]["template"]["spec"]["volumes"]
    claim = manifest("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert (mount["name"], container(job)["image"]) == (volume["name"], IMAGE)
    python, flag, module, *arguments = container(job)["args"]
    assert [python, flag, module] == ["python", "-m", "tuning"]
    archive = _parser().parse_args(arguments).job
    assert str(archive) == f"{mount['mountPath']}/sweep.zip"
