import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from components.common.evaluation.predictions import read_predictions, write_predictions
from components.common.export import export_saved_model
from components.common.files import read_json, write_json
from components.common.model_server import ServerDidNotStartError
from components.common.recipe import Recipe
from components.infra_validator import validate_infra
from tuning.heads import with_class_probabilities

ROOT = Path(__file__).parents[2]
LABELS = ["sad", "happy"]
WAYS = ["REST serving_default", "gRPC serving_default", "gRPC predict_pixels", "gRPC classify"]


class Candidate(NamedTuple):
    """A model, the examples, and what the Evaluator wrote."""

    model: Path
    examples: Path
    evaluation: Path


@pytest.fixture(scope="module")
def candidate(
    tiny_classifier: Callable[..., keras.Model],
    write_transformed: Callable[..., Path],
    bright_or_dark: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Candidate:
    folder = tmp_path_factory.mktemp("infra")
    return _write_candidate(folder, tiny_classifier, write_transformed, *bright_or_dark(12))


def _write_candidate(
    folder: Path,
    tiny_classifier: Callable[..., keras.Model],
    write_transformed: Callable[..., Path],
    pixels: Any,
    labels: Any,
) -> Candidate:
    examples = write_transformed(folder / "examples", {"test": (pixels, labels)}, LABELS)
    size = pixels.shape[1:]
    classifier = tiny_classifier(size, 2)
    export_saved_model(
        classifier, Recipe(*size, None), LABELS, pixels[:1], folder / "model" / "saved_model"
    )
    write_json(folder / "evaluation" / "metrics.json", {"split": "test"})
    write_predictions(
        folder / "evaluation" / "predictions.csv",
        [f"test{n}" for n in range(len(pixels))],
        labels,
        with_class_probabilities(classifier).predict(pixels, verbose=0),
    )
    return Candidate(folder / "model", examples, folder / "evaluation")


@pytest.fixture(autouse=True)
def _server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def run(candidate: Candidate, infra_blessing: Path) -> dict[str, Any]:
    return validate_infra(*candidate, infra_blessing, examples=8, tolerance=1e-5)


def test_a_server_that_answers_as_the_evaluator_saw_it_is_blessed(
    candidate: Candidate, tmp_path: Path
) -> None:
    verdict = run(candidate, tmp_path)
    assert verdict["infra_blessing"] == "BLESSED"
    assert verdict["images"] == 8
    differences = verdict["largest_difference"]
    assert list(differences) == WAYS
    assert verdict["reasons"] == []
    assert max(differences.values()) <= 1e-5
    assert read_json(tmp_path / "infra_blessing.json") == verdict


@pytest.mark.parametrize("probability", [0.875, float("nan")])
def test_a_server_that_answers_otherwise_is_not_blessed(
    candidate: Candidate, tmp_path: Path, probability: float
) -> None:
    evaluation = tmp_path / "evaluation"
    shutil.copytree(candidate.evaluation, evaluation)
    wrong = np.tile(np.float32([probability, 1 - probability]), (12, 1))
    ids = [f"test{n}" for n in range(12)]
    write_predictions(evaluation / "predictions.csv", ids, np.zeros(12, np.int64), wrong)
    verdict = run(candidate._replace(evaluation=evaluation), tmp_path / "out")
    assert verdict["infra_blessing"] == "NOT_BLESSED"
    assert [reason.split(" differs")[0] for reason in verdict["reasons"]] == WAYS
    assert read_json(tmp_path / "out" / "infra_blessing.json")["infra_blessing"] == "NOT_BLESSED"


def test_of_what_differs_the_worst_picture_is_named(candidate: Candidate, tmp_path: Path) -> None:
    evaluation = tmp_path / "evaluation"
    shutil.copytree(candidate.evaluation, evaluation)
    judged = read_predictions(evaluation / "predictions.csv")
    other = {
        example_id: row + {"test2": 0.01, "test5": 0.25}.get(example_id, 0) * np.float32([-1, 1])
        for example_id, row in judged.items()
    }
    write_predictions(
        evaluation / "predictions.csv",
        list(other),
        np.zeros(len(other), np.int64),
        np.array(list(other.values())),
    )
    verdict = run(candidate._replace(evaluation=evaluation), tmp_path / "out")
    for way, reason in zip(WAYS, verdict["reasons"], strict=True):
        worst = verdict["worst"][way]
        assert worst["image"] == "test5"
        assert worst["difference"] == pytest.approx(0.25, abs=1e-4)
        assert worst["answered"] == pytest.approx(judged["test5"][LABELS.index(worst["label"])])
        assert f"{way} differs from the evaluation by 0.25, wanted at most 1e-05: " in reason
        assert f"{worst['label']} on test5 was {worst['evaluated']:.6g} there and is" in reason


def test_a_broken_export_is_reported_with_the_servers_own_words(
    candidate: Candidate, tmp_path: Path
) -> None:
    shutil.copytree(candidate.model, tmp_path / "model")
    (tmp_path / "model" / "saved_model" / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(
        ServerDidNotStartError, match=r"did not start: .*cannot be loaded.*SavedModel"
    ):
        run(candidate._replace(model=tmp_path / "model"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_machines_proxy_is_not_asked(
    candidate: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert run(candidate, tmp_path)["infra_blessing"] == "BLESSED"


def test_more_pictures_than_one_message_holds_are_compared(
    tiny_classifier: Callable[..., keras.Model],
    write_transformed: Callable[..., Path],
    noise: Callable[..., Any],
    tmp_path: Path,
) -> None:
    # As float32 they are 35 MB; the server takes 32 MiB at a time.
    pixels, labels = noise(0, 24, 350, 350, 3), np.zeros(24, np.int64)
    large = _write_candidate(tmp_path, tiny_classifier, write_transformed, pixels, labels)
    verdict = validate_infra(*large, tmp_path / "out", examples=24, tolerance=1e-5)
    assert (verdict["infra_blessing"], verdict["images"]) == ("BLESSED", 24)
