"""That compose.yaml is one, and that its commands, ports, paths and secrets fit the programs.

TF Serving cannot be had here: mien's embedded server stands for it, and reads the same files.
"""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from typer.main import get_command

from deploy.serve import IMAGE
from deploy.server.configs import Batching, read_batching, read_models
from pipelines.cli import app

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
SERVICES = ("serving", "demo", "mlflow", "postgres")
BUILT = ("demo", "mlflow")


def compose_text() -> str:
    """The file as Compose reads it where no variable is set."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DOCKER / "compose.yaml").read_text())
    return text.replace("$$", "$")


COMPOSE = yaml.safe_load(compose_text())


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


def serving_flags() -> dict[str, str]:
    return dict(flag.removeprefix("--").split("=") for flag in service("serving")["command"])


def copied(dockerfile: str) -> set[str]:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    return {source for line in lines for source in line.split()}


def test_it_is_a_compose_file() -> None:
    compose = PyCompose.from_yaml(compose_text())
    compose.validate()
    assert sorted(compose.service_names()) == sorted(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_watched_and_only_for_this_machine(name: str) -> None:
    one = service(name)
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert one["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))


@pytest.mark.parametrize("name", ["serving", "demo"])
def test_who_reads_models_writes_nothing_and_is_not_root(name: str) -> None:
    one = service(name)
    (volume,) = one["volumes"]
    assert volume["read_only"]
    assert not volume["bind"]["create_host_path"]  # Docker would make an empty folder, root's.
    assert one["read_only"]
    assert (one["cap_drop"], one["user"]) == (["ALL"], "1000:1000")


def test_tf_serving_is_of_the_release_that_its_api_is_pinned_to() -> None:
    assert service("serving")["image"] == IMAGE
    pin = IMAGE.replace("tensorflow/serving:", "tensorflow-serving-api==")
    assert pin in (ROOT / "constraints.txt").read_text().splitlines()


def test_each_file_that_tf_serving_is_told_of_is_mounted() -> None:
    told = {path for path in serving_flags().values() if "/" in path}
    mounted = {
        one["target"]: DOCKER / COMPOSE["configs"][one["source"]]["file"]
        for one in service("serving")["configs"]
    }
    assert told == mounted.keys()
    assert all(file.is_file() for file in mounted.values())
    assert all(Path(target).name == file.name for target, file in mounted.items())


def test_mien_s_server_reads_the_same_files() -> None:
    (model,) = read_models(DOCKER / "models.config").model_config_list.config
    assert model.base_path == f"{service('serving')['volumes'][0]['target']}/{model.name}"
    assert read_batching(DOCKER / "batching.txt") == Batching(num_batch_threads=4)


@pytest.fixture(scope="module")
def served(
    start_server: Any, base_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The embedded server with the flags and files of TF Serving, but for the model's name."""
    text = (DOCKER / "models.config").read_text()
    text = text.replace("/models/drawn_faces", str(base_path)).replace("drawn_faces", "faces")
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(text)
    with start_server(
        base_path,
        f"--model_config_file={config}",
        f"--enable_batching={serving_flags()['enable_batching']}",
        f"--batching_parameters_file={DOCKER / 'batching.txt'}",
    ) as server:
        yield server


@pytest.mark.parametrize(("model", "healthy"), [("faces", True), ("another", False)])
def test_serving_is_healthy_where_it_serves_the_model(
    served: Any, model: str, healthy: bool
) -> None:
    _, *command, script = service("serving")["healthcheck"]["test"]
    asked = f"/127.0.0.1/{serving_flags()['rest_api_port']}"
    assert asked in script
    script = script.replace(asked, f"/127.0.0.1/{served.url.rsplit(':')[-1]}")
    finished = subprocess.run([*command, script.replace("drawn_faces", model)], timeout=20)
    assert (finished.returncode == 0) == healthy


def test_the_page_asks_tf_serving_and_reads_what_it_serves() -> None:
    mien, name, *arguments = service("demo")["command"]
    options = get_command(app).commands[name].make_context(name, arguments).params
    assert mien == "mien"
    assert options["url"] == f"http://serving:{serving_flags()['rest_api_port']}"
    assert service("demo")["ports"] == [f"127.0.0.1:{options['port']}:{options['port']}"]
    assert f":{options['port']}/model" in service("demo")["healthcheck"]["test"][-1]
    (mine,), (theirs,) = service("demo")["volumes"], service("serving")["volumes"]
    assert mine["target"] == str(options["root"] / "serving")
    assert mine["source"] == theirs["source"]
    models = read_models(DOCKER / "models.config").model_config_list.config
    assert options["model"] in [model.name for model in models]


def test_mlflow_finds_its_database_and_keeps_its_artifacts() -> None:
    from mlflow.cli import cli

    _, _, script = service("mlflow")["command"]
    said = shlex.split(script.partition(" exec ")[2])
    options = cli.commands[said[1]].make_context(said[1], said[2:]).params
    settings = service("postgres")["environment"]
    user, database = settings["POSTGRES_USER"], settings["POSTGRES_DB"]
    assert options["backend_store_uri"] == f"postgresql+psycopg2://{user}@postgres/{database}"
    assert service("mlflow")["volumes"] == [f"mlartifacts:{options['artifacts_destination']}"]
    assert service("mlflow")["ports"] == [f"127.0.0.1:{options['port']}:{options['port']}"]
    assert f":{options['port']}/health" in service("mlflow")["healthcheck"]["test"][-1]


def test_the_password_is_a_secret_that_git_and_the_images_do_not_see() -> None:
    (name,) = COMPOSE["secrets"]
    path = f"/run/secrets/{name}"
    assert service("postgres")["environment"]["POSTGRES_PASSWORD_FILE"] == path
    assert f'PGPASSWORD="$(cat {path})"' in service("mlflow")["command"][-1]
    assert [one for one in SERVICES if "secrets" in service(one)] == ["mlflow", "postgres"]
    folder = str(Path(COMPOSE["secrets"][name]["file"]).parent)
    assert f"{folder}/" in (DOCKER / ".gitignore").read_text().splitlines()
    assert f"deploy/docker/{folder}" in (ROOT / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize("name", BUILT)
def test_each_image_that_is_built_is_in_the_dockerfile_and_not_root_s(name: str) -> None:
    build = service(name)["build"]
    assert (DOCKER / build["context"] / build["dockerfile"]).samefile(DOCKER / "Dockerfile")
    stage = re.search(rf"^FROM \S+ AS {build['target']}$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
    assert stage
    assert re.findall(r"^USER (\S+)$", stage[1], re.MULTILINE) == ["1000"]


def test_the_images_have_the_whole_program_and_docker_is_shown_what_they_copy() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {pattern.removesuffix("*") for pattern in patterns}
    beam_worker = (ROOT / "deploy" / "Dockerfile.beam-worker").read_text()
    shown = (ROOT / ".dockerignore").read_text().splitlines()
    for sources in (copied(DOCKERFILE), copied(beam_worker)):
        assert packages <= sources
        assert all((ROOT / source).exists() for source in sources)
        assert {f"!{source.split('/')[0]}" for source in sources} <= {*shown}
