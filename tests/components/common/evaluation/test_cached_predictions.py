import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.evaluation import cached_predictions
from components.common.evaluation.cached_predictions import (
    Predicted,
    predict_mirrored_once,
    predict_once,
)
from components.common.evaluation.classifiers import NoModelError
from components.common.records import load_split


def _as_npy(values: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.fixture
def model(tmp_path: Path, tiny_classifier: Callable[..., keras.Model]) -> Path:
    (tmp_path / "model").mkdir()
    tiny_classifier((6, 5, 1), 3).save(tmp_path / "model" / "model.keras")
    return tmp_path / "model"


@pytest.fixture
def examples(
    tmp_path: Path, write_transformed: Callable[..., Path], noise: Callable[..., NDArray[np.uint8]]
) -> Path:
    splits = {
        name: (noise(number, 8, 6, 5, 1), np.arange(8) % 3)
        for number, name in enumerate(("validation", "test"))
    }
    return write_transformed(tmp_path / "examples", splits, ["sad", "neutral", "happy"])


@pytest.fixture
def ask(tmp_path: Path, model: Path, examples: Path) -> Callable[..., Predicted]:
    def call(name: str = "test", how: Any = predict_once) -> Predicted:
        return how(model, examples, name, load_split(examples, name), tmp_path / "predictions")

    return call


def test_the_second_time_the_model_is_not_asked(
    ask: Callable[..., Predicted], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask()
    monkeypatch.setattr(cached_predictions, "load_classifier", None)
    second = ask()
    assert (first.before, second.before) == (False, True)
    assert second.probabilities.dtype == np.float32
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize(
    "damaged",
    [
        lambda whole: b"",
        lambda whole: whole[:-20],
        lambda whole: bytes(len(whole)),
        lambda whole: whole[:7],
        lambda whole: _as_npy(np.zeros((7, 3), np.float32)),
        lambda whole: _as_npy(np.zeros(8, np.float32)),
    ],
    ids=["empty", "cut", "zeros", "no header", "of fewer pictures", "of another shape"],
)
def test_what_a_power_cut_left_is_asked_for_again(
    ask: Callable[..., Predicted], tmp_path: Path, damaged: Callable[[bytes], bytes]
) -> None:
    first = ask()
    (kept,) = (tmp_path / "predictions").glob("*.npy")
    whole = kept.read_bytes()
    kept.write_bytes(damaged(whole))
    again = ask()
    assert not again.before
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    assert kept.read_bytes() == whole
    assert ask().before


def test_another_split_and_another_model_are_asked(
    ask: Callable[..., Predicted], model: Path, tiny_classifier: Callable[..., keras.Model]
) -> None:
    first = ask()
    assert not ask("validation").before
    tiny_classifier((6, 5, 1), 3).save(model / "model.keras")
    other = ask()
    assert not other.before
    assert not np.allclose(first.probabilities, other.probabilities)


def test_mirror_images_have_answers_of_their_own(
    ask: Callable[..., Predicted], model: Path, examples: Path
) -> None:
    alone, mirrored = ask(), ask(how=predict_mirrored_once)
    assert not mirrored.before
    assert ask(how=predict_mirrored_once).before
    network = keras.models.load_model(model / "model.keras")
    images = load_split(examples, "test").images[:, :, ::-1]
    np.testing.assert_allclose(
        mirrored.probabilities, network.predict(images, verbose=0), atol=1e-6
    )
    assert not np.allclose(alone.probabilities, mirrored.probabilities)


def test_a_folder_without_a_model_leaves_nothing(
    ask: Callable[..., Predicted], model: Path, tmp_path: Path
) -> None:
    (model / "model.keras").unlink()
    with pytest.raises(NoModelError):
        ask()
    assert not (tmp_path / "predictions").exists()
