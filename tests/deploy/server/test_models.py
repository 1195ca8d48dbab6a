"""Which versions are served as folders come, go and break; what is loaded is a stand-in."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.server import versions
from deploy.server.configs import one_model
from deploy.server.errors import ServingError, StartError
from deploy.server.models import Models

Push = Callable[..., Path]


@pytest.fixture
def push(tmp_path: Path) -> Push:
    def push(number: int, graph: str = "whole", model: str = "faces") -> Path:
        folder = tmp_path / model / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(graph)
        return folder

    return push


def load(name: str, folder: Path) -> Any:
    if (folder / "saved_model.pb").read_text() != "whole":
        raise StartError(f"{folder} is broken")
    return SimpleNamespace(name=name, version=int(folder.name))


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(one_model("faces", tmp_path / "faces"), load)


def served(models: Models, **spec: Any) -> int:
    return models.find(ModelSpec(name="faces", **spec)).version


def states(models: Models) -> dict[int, int]:
    known = models.statuses(ModelSpec(name="faces"))
    return {number: version.state for number, version in known.items()}


def test_a_newer_version_takes_the_place_of_the_one_before(models: Models, push: Push) -> None:
    push(1)
    models.reconcile()
    assert served(models) == 1
    push(3)
    models.reconcile()
    assert served(models) == 3
    assert states(models) == {3: 30, 1: 50}  # AVAILABLE and END
    with pytest.raises(ServingError, match=r"Specific\(faces, 1\)"):
        served(models, version={"value": 1})


def test_a_broken_version_is_refused_once_and_the_one_before_is_served(
    models: Models, push: Push, caplog: pytest.LogCaptureFixture
) -> None:
    push(1)
    push(2, "broken")
    models.reconcile()
    models.reconcile()
    assert served(models) == 1
    assert models.statuses(ModelSpec(name="faces"))[2].error.endswith("is broken")
    assert [record.message for record in caplog.records if "refused" in record.message] == [
        f"faces version 2 is refused: {push(2, 'broken')} is broken"
    ]


def test_whatever_a_load_fails_with_others_are_served(tmp_path: Path, push: Push) -> None:
    def fail(name: str, folder: Path) -> Any:
        if folder.name == "2":
            raise RuntimeError("no such tag")
        return load(name, folder)

    push(1)
    push(2)
    models = Models(one_model("faces", tmp_path / "faces"), fail)
    models.reconcile()
    assert served(models) == 1
    assert models.refused() == ["faces version 2 is refused: no such tag"]


def test_a_label_leads_to_the_version_before_until_the_new_one_is_loaded(
    tmp_path: Path, push: Push
) -> None:
    def config(version: int) -> ModelServerConfig:
        text = f"""model_config_list {{ config {{ name: "faces" base_path: "{tmp_path / "faces"}"
            version_labels {{ key: "stable" value: {version} }} }} }}"""
        return text_format.Parse(text, ModelServerConfig())

    seen: list[int] = []

    def load_and_look(name: str, folder: Path) -> Any:
        if models.names():
            seen.append(served(models, version_label="stable"))
        return load(name, folder)

    push(1)
    models = Models(config(1), load_and_look)
    models.reconcile()
    push(2)
    models.configure(config(2))
    models.reconcile()
    assert (seen, served(models, version_label="stable")) == ([1], 2)

    models.configure(config(9))
    models.reconcile()
    assert served(models, version_label="stable") == 2
    assert models.shortfalls() == [
        "Request to assign label to version 9 of model faces, which is not currently available "
        "for inference"
    ]


def test_a_dangling_link_is_no_reason_to_serve_nothing(models: Models, push: Push) -> None:
    push(1)
    (push(2, "broken") / "variables").symlink_to("nowhere")
    models.reconcile()
    assert served(models) == 1


def test_a_base_path_that_cannot_be_read_is_told(
    models: Models, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(base_path: Path) -> dict[int, Path]:
        raise PermissionError(13, "Permission denied")

    push(1)
    monkeypatch.setattr(versions, "version_folders", fail)
    models.reconcile()
    (problem,) = models.problems()
    assert problem.endswith("faces cannot be read: Permission denied")


def test_a_version_that_was_mended_is_tried_again(models: Models, push: Push) -> None:
    push(1)
    push(2, "incomplete")
    models.reconcile()
    assert served(models) == 1
    push(2)
    models.reconcile()
    assert served(models) == 2


def test_a_version_that_is_taken_away_makes_room_for_the_one_before(
    models: Models, push: Push
) -> None:
    push(1)
    newest = push(2)
    models.reconcile()
    newest.rename(newest.parent / ".held")
    models.reconcile()
    assert served(models) == 1


def test_what_is_served_stays_while_there_is_nothing_else(models: Models, push: Push) -> None:
    only = push(1)
    models.reconcile()
    only.rename(only.parent / "elsewhere")
    models.reconcile()
    assert served(models) == 1
    assert models.problems() == []


def test_a_model_without_a_version_that_can_be_served_says_why(models: Models, push: Push) -> None:
    models.reconcile()
    assert "is no folder" in models.problems()[0]
    push(1, "broken")
    models.reconcile()
    assert models.problems()[0].endswith("is broken")
    assert models.names() == []


CONFIG = """
model_config_list {{
  config {{ name: "faces" base_path: "{root}/faces" model_version_policy {{ {policy} }}
    version_labels {{ key: "stable" value: 1 }} }}
  config {{ name: "smiles" base_path: "{root}/smiles" }}
}}
"""


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [
        ("latest { num_versions: 2 }", {2, 3}),
        ("all {}", {1, 2, 3}),
        ("specific { versions: 1 versions: 3 }", {1, 3}),
    ],
)
def test_policies(tmp_path: Path, push: Push, policy: str, numbers: set[int]) -> None:
    for number in (1, 2, 3):
        push(number)
    push(7, model="smiles")
    config = text_format.Parse(CONFIG.format(root=tmp_path, policy=policy), ModelServerConfig())
    models = Models(config, load)
    models.reconcile()
    assert states(models).keys() == numbers
    assert served(models) == 3
    assert str(models) == "faces version 3, smiles version 7"


def test_a_label_finds_its_version_where_that_is_served(tmp_path: Path, push: Push) -> None:
    for number in (1, 2):
        push(number)
    config = text_format.Parse(CONFIG.format(root=tmp_path, policy="all {}"), ModelServerConfig())
    models = Models(config, load)
    models.reconcile()
    assert served(models, version_label="stable") == 1
    with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
        served(models, version_label="canary")


def test_another_config_serves_and_lets_go(models: Models, push: Push, tmp_path: Path) -> None:
    push(1)
    push(7, model="smiles")
    models.reconcile()
    models.configure(one_model("smiles", tmp_path / "smiles"))
    models.reconcile()
    assert models.names() == ["smiles"]
    with pytest.raises(ServingError, match="Could not find any versions of model faces"):
        states(models)
