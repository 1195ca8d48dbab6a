from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import requests

from components.common import model_server as module
from components.common.export import export_saved_model
from components.common.model_server import ModelServer, ServerDidNotStartError, model_server
from components.common.recipe import Recipe

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def version(server: ModelServer) -> str:
    status = requests.get(f"{server.rest}/v1/models/faces", timeout=60).json()
    return status["model_version_status"][0]["version"]


def test_two_at_once_of_the_same_name_are_two_until_their_blocks_end(
    tiny_classifier: Callable[..., keras.Model], tmp_path: Path
) -> None:
    pixels = np.zeros((1, 4, 4, 1), np.uint8)
    recipe, labels = Recipe(4, 4, 1, None), ["sad", "happy"]
    folder = tmp_path / "faces" / "1"
    export_saved_model(tiny_classifier((4, 4, 1), 2), recipe, labels, pixels, folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "2").symlink_to(folder)
    with model_server("faces", tmp_path / "faces") as first:
        with model_server("faces", tmp_path / "other") as second:
            assert (version(first), version(second)) == ("1", "2")
        assert version(first) == "1"
        with pytest.raises(requests.ConnectionError):
            version(second)


def test_a_server_that_does_not_start_has_said_why(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w") as log,
        pytest.raises(ServerDidNotStartError, match="the model server did not start"),
        model_server("faces", tmp_path / "gone", log),
    ):
        pytest.fail("it started")
    assert str(tmp_path / "gone") in (tmp_path / "log").read_text()


def test_a_server_that_is_silent_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.0)
    with (
        pytest.raises(ServerDidNotStartError),
        model_server("faces", tmp_path),
    ):
        pytest.fail("it started")
