"""That the manifests for serving are valid, and fit each other, Docker's files and mien."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import requests
import yaml

from deploy.server.configs import read_models
from pipelines.kubeflow_components import IMAGE

DEPLOY = Path(__file__).parents[2] / "deploy"
VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that has all that is used, and the newest that is known."""
FILES = ("kubernetes/serving", "kubernetes/mien", "kubernetes/sweep", "flink/kubernetes")


def manifests(file: str) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((DEPLOY / f"{file}.yaml").read_text())


def manifest(kind: str, name: str = "serving", file: str = "kubernetes/serving") -> dict[str, Any]:
    return next(m for m in manifests(file) if (m["kind"], m["metadata"]["name"]) == (kind, name))


def pod() -> dict[str, Any]:
    template: dict[str, Any] = manifest("Deployment")["spec"]["template"]
    return template


def container() -> dict[str, Any]:
    (found,) = pod()["spec"]["containers"]
    return found


def ports() -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container()["ports"]}


def mounts() -> dict[str, dict[str, Any]]:
    return {mount["name"]: mount for mount in container()["volumeMounts"]}


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())
    return read


def models() -> list[Any]:
    return [*read_models(DEPLOY / "docker" / "models.config").model_config_list.config]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES)
def test_it_is_what_kubernetes_takes(file: str, version: str) -> None:
    for one in manifests(file):
        kubernetes_validate.validate(one, version, strict=True)


def test_the_config_map_has_the_files_that_docker_mounts() -> None:
    names = [one["file"] for one in compose()["configs"].values()]
    files = {name: (DEPLOY / "docker" / name).read_text() for name in names}
    assert manifest("ConfigMap")["data"] == files


def test_it_is_the_same_server_as_docker_s() -> None:
    theirs = compose()["services"]["serving"]
    assert container()["image"] == theirs["image"]
    assert container()["command"] == theirs["entrypoint"]
    assert container()["args"] == theirs["command"]
    folder = mounts()["config"]["mountPath"]
    assert all(target["target"].startswith(f"{folder}/") for target in theirs["configs"])
    said = [f"--port={ports()['grpc']}", f"--rest_api_port={ports()['rest']}"]
    assert theirs["command"][:2] == said


def test_all_that_names_the_pods_names_them_alike() -> None:
    labels = pod()["metadata"]["labels"]
    (spread,) = pod()["spec"]["topologySpreadConstraints"]
    selectors = [
        manifest("Deployment")["spec"]["selector"]["matchLabels"],
        manifest("Service")["spec"]["selector"],
        manifest("Service", "serving-pods")["spec"]["selector"],
        manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        spread["labelSelector"]["matchLabels"],
    ]
    assert selectors == [labels] * len(selectors)


def test_every_port_that_is_named_is_the_server_s() -> None:
    services = (manifest("Service"), manifest("Service", "serving-pods"))
    for port in (port for one in services for port in one["spec"]["ports"]):
        assert ports()[port["targetPort"]] == port["port"]
    rules = manifest("NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == ports().keys()


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe"])
def test_a_pod_is_ready_when_the_server_says_so_of_the_model(server: Any, probe: str) -> None:
    asked = container()[probe]["httpGet"]
    assert asked == {"path": f"/v1/models/{models()[0].name}", "port": "rest"}
    path = asked["path"].replace(models()[0].name, "faces")
    assert requests.get(f"{server.url}{path}", timeout=20).status_code == 200
    assert requests.get(f"{server.url}{path}_and_more", timeout=20).status_code == 404


def test_prometheus_is_shown_the_page_of_the_server(server: Any) -> None:
    notes = pod()["metadata"]["annotations"]
    assert int(notes["prometheus.io/port"]) == ports()["rest"]
    path = notes["prometheus.io/path"]
    assert f'path: "{path}"' in manifest("ConfigMap")["data"]["monitoring.config"]
    requests.get(f"{server.url}/v1/models/faces", timeout=20)
    page = requests.get(f"{server.url}{path}", timeout=20).text
    assert ':tensorflow:serving:request_count{model_name="faces",status="OK"}' in page


def test_what_mien_pushes_and_promotes_is_what_is_served_read_only() -> None:
    (mien,) = manifest("Pod", "mien", "kubernetes/mien")["spec"]["containers"]
    (mounted,), (setting,) = mien["volumeMounts"], mien["env"]
    assert (mien["image"], setting["name"]) == (IMAGE, "MIEN_ROOT")
    served = mounts()["root"]
    assert f"{mounted['mountPath']}/{served['subPath']}" == f"{setting['value']}/serving"
    assert served["readOnly"]
    assert all(one.base_path == f"{served['mountPath']}/{one.name}" for one in models())
    claim = manifest("PersistentVolumeClaim", "mien-root", "kubernetes/mien")
    assert claim == manifest("PersistentVolumeClaim", "mien-root", "flink/kubernetes")
    volumes = {volume["name"]: volume for volume in pod()["spec"]["volumes"]}
    assert volumes["root"]["persistentVolumeClaim"] == {"claimName": "mien-root", "readOnly": True}


def test_it_runs_with_no_more_rights_than_it_needs() -> None:
    assert pod()["spec"]["securityContext"]["runAsNonRoot"]
    assert not pod()["spec"]["automountServiceAccountToken"]
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "egress" not in manifest("NetworkPolicy")["spec"]
    assert "Egress" in manifest("NetworkPolicy")["spec"]["policyTypes"]


def test_one_pod_at_least_serves_while_others_are_replaced() -> None:
    deployment, scaler = manifest("Deployment")["spec"], manifest("HorizontalPodAutoscaler")["spec"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in deployment
    assert scaler["scaleTargetRef"]["name"] == manifest("Deployment")["metadata"]["name"]
    assert "cpu" in container()["resources"]["requests"]  # what its target is a share of
    assert manifest("PodDisruptionBudget")["spec"]["maxUnavailable"] < scaler["minReplicas"]
    # As process 1 the server ignores SIGTERM, and would wait for SIGKILL.
    assert pod()["spec"]["shareProcessNamespace"]
    wait = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert wait < pod()["spec"]["terminationGracePeriodSeconds"]


def test_kserve_serves_the_same_folder_with_the_same_release() -> None:
    (service,) = manifests("kubernetes/kserve")
    model = service["spec"]["predictor"]["model"]
    folder = f"{mounts()['root']['subPath']}/{models()[0].name}"
    assert model["storageUri"] == f"pvc://mien-root/{folder}"
    assert container()["image"] == f"tensorflow/serving:{model['runtimeVersion']}"
    assert service["metadata"]["name"] == models()[0].name.replace("_", "-")
