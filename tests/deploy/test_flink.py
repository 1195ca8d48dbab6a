"""Beam's steps on Flink, and that the manifest, the image and the code name the same things."""

import os
import select
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from components.common.beam import parse_options
from components.common.files import write_json
from deploy.flink import cluster
from deploy.flink.cluster import flink_cluster
from deploy.flink.compare import ARTIFACTS, Comparison, File, compare_files, compare_on_flink
from deploy.flink.jars import POM, JarError, job_server_jar, missing_commands
from deploy.flink.processes import ClusterError, process_group
from pipelines.kubeflow_components import IMAGE

DEPLOY = Path(cluster.__file__).parents[1]
DOCKERFILE = (DEPLOY / "Dockerfile.beam-worker").read_text()


@pytest.fixture(scope="module")
def job_server(jar_or_skip: Callable[[Path], Path]) -> Path:
    return jar_or_skip(POM)


@pytest.mark.xdist_group("flink")
@pytest.mark.timeout(1500)
def test_flink_writes_the_bytes_that_the_direct_runner_writes_on_both_task_managers(
    job_server: Path, tmp_path: Path
) -> None:
    comparison = compare_on_flink(tmp_path, images=1400)
    assert [file for file in comparison.files if not file.same] == []
    assert {file.artifact for file in comparison.files} == set(ARTIFACTS.values())
    assert sorted(comparison.shards) == ["task-manager-1", "task-manager-2"]
    assert all(shards > 1 for shards in comparison.shards.values())
    assert comparison.holds


@pytest.mark.skipif(shutil.which("java") is None, reason="needs java")
def test_a_cluster_that_does_not_start_says_what_ended_and_its_last_words(tmp_path: Path) -> None:
    said = r"has ended\n--- [a-z-]+\.log\nError: "
    with (
        pytest.raises(ClusterError, match=said),
        flink_cluster(tmp_path / "nothing.jar", tmp_path),
    ):
        pass


def test_what_a_process_has_started_ends_with_it(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys; "
        "child = subprocess.Popen(['sleep', '600']); "
        "print(child.pid, flush=True); child.wait()"
    )
    said = tmp_path / "said"
    with said.open("wb") as output, process_group([sys.executable, "-c", script], output) as parent:
        while not said.read_text().endswith("\n"):
            assert parent.poll() is None
        child = os.pidfd_open(int(said.read_text()))
    # It is gone a moment after the signal, and can be read from then on, collected or not.
    assert select.select([child], [], [], 60)[0] == [child]
    os.close(child)


def test_a_missing_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_commands() == ["java", "mvn"]
    with pytest.raises(JarError, match="not on PATH: java, mvn; install Java 17 and Maven"):
        job_server_jar(tmp_path / "cache")


@pytest.fixture
def two_roots(tmp_path: Path) -> tuple[Path, Path]:
    roots = tmp_path / "direct", tmp_path / "flink"
    for root in roots:
        for step, artifact in ARTIFACTS.items():
            write_json(root / "store" / step / "key" / artifact / "file.json", {"of": step})
    return roots


def test_equal_roots_are_the_same(two_roots: tuple[Path, Path]) -> None:
    files = list(compare_files(*two_roots))
    assert [file.same for file in files] == [True] * len(ARTIFACTS)
    assert Comparison(files, {"one": 3, "two": 1}).holds
    assert not Comparison(files, {"one": 4, "two": 0}).holds


def test_another_byte_and_a_file_too_many_are_found(two_roots: tuple[Path, Path]) -> None:
    artifact = two_roots[1] / "store" / "transform" / "key" / "transformed_examples"
    (artifact / "file.json").write_text("another")
    (artifact / "one_more").touch()
    different = [file for file in compare_files(*two_roots) if not file.same]
    assert [file.name for file in different] == ["file.json", "one_more"]
    assert not Comparison(different, {"one": 1}).holds
    assert different[1] == File("transformed_examples", "one_more", 0, same=False)


def manifests() -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((DEPLOY / "flink" / "kubernetes.yaml").read_text())


def manifest(kind: str, name: str) -> dict[str, Any]:
    return next(m for m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name))


def containers() -> dict[str, dict[str, Any]]:
    pods = [m["spec"]["template"]["spec"] for m in manifests() if "template" in m.get("spec", {})]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def options() -> dict[str, Any]:
    """Beam's options as the manifest's run says them."""
    said = [arg.removeprefix("--set=") for arg in containers()["mien"]["args"] if "beam." in arg]
    pairs = (one.removeprefix("beam.").split("=", 1) for one in said)
    return {name: yaml.safe_load(value) for name, value in pairs}


def test_the_manifests_run_says_options_that_beam_knows() -> None:
    assert parse_options(options()).get_all_options()["parallelism"] == 2
    assert options()["runner"] == "FlinkRunner"
    assert options()["environment_type"] == "EXTERNAL"


def test_the_run_finds_the_job_manager_the_pools_and_a_slot_for_each_worker() -> None:
    service = manifest("Service", "flink-jobmanager")
    rest = next(port["port"] for port in service["spec"]["ports"] if port["name"] == "rest")
    assert options()["flink_master"] == f"flink-jobmanager:{rest}"
    pool = containers()["worker-pool"]["args"]
    assert options()["environment_config"] == pool[-1].replace("127.0.0.1", "localhost")
    task_managers = manifest("Deployment", "flink-taskmanager")["spec"]
    assert task_managers["replicas"] == options()["parallelism"]
    properties = manifest("ConfigMap", "flink-settings")["data"]["FLINK_PROPERTIES"]
    settings = yaml.safe_load(properties)
    assert settings["taskmanager.numberOfTaskSlots"] == 1
    assert settings["jobmanager.rpc.address"] == service["metadata"]["name"]


def test_services_and_policies_select_the_pods_that_there_are() -> None:
    labels = [
        m["spec"]["template"]["metadata"]["labels"]
        for m in manifests()
        if "template" in m.get("spec", {})
    ]
    selected = manifest("Service", "flink-jobmanager")["spec"]["selector"]
    assert sum(selected.items() <= of_pod.items() for of_pod in labels) == 1
    allowed = manifest("NetworkPolicy", "flink")["spec"]["podSelector"]["matchLabels"]
    assert all(allowed.items() <= of_pod.items() for of_pod in labels)


def test_whoever_touches_artifacts_sees_one_volume_at_one_path() -> None:
    both = [containers()[name] for name in ("mien", "worker-pool")]
    assert both[0]["volumeMounts"] == both[1]["volumeMounts"]
    (mount,) = both[0]["volumeMounts"]
    root = next(arg for arg in both[0]["args"] if arg.startswith("--root="))
    assert root.removeprefix("--root=").startswith(f"{mount['mountPath']}/")
    claim = manifest("PersistentVolumeClaim", "mien-root")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_pools_and_run_have_one_image_with_the_jar_and_the_pools_command() -> None:
    assert containers()["mien"]["image"] == containers()["worker-pool"]["image"] == IMAGE
    assert f"--tag {IMAGE} " in DOCKERFILE
    assert DOCKERFILE.splitlines()[-1] == "CMD " + str(containers()["worker-pool"]["args"]).replace(
        "'", '"'
    )
    jar = options()["flink_job_server_jar"]
    assert f"COPY --from=jar /jars/job-server.jar {jar}\n" in DOCKERFILE


def test_everything_that_the_image_copies_is_there() -> None:
    copies = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
    sources = [source for copy in copies if not copy[0].startswith("--") for source in copy]
    assert sources
    assert [source for source in sources if not (DEPLOY.parent / source).exists()] == []


def test_the_cluster_has_the_flink_that_the_jar_is_made_for() -> None:
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    artifacts = [e.text for e in ElementTree.parse(POM).iterfind(".//m:artifactId", namespace)]
    (runner,) = [name for name in artifacts if name and name.startswith("beam-runners-flink-")]
    version = runner.removeprefix("beam-runners-flink-")
    for name in ("jobmanager", "taskmanager"):
        assert containers()[name]["image"].startswith(f"flink:{version}.")
