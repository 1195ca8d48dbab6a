import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from components.common.evaluation.classifiers import BATCH_SIZE, NoModelError, load_classifier
from components.common.recipe import Recipe, write_recipe
from components.common.records import Split
from tuning.landmark_svm import build

LABELS = ["sad", "neutral", "happy"]


def split(count: int, classes: tuple[int, ...] = (0, 1, 2)) -> Split:
    rng = np.random.default_rng(0)
    names = [str(number) for number in range(count)]
    return Split(
        images=rng.integers(0, 256, (count, 4, 4, 1), dtype=np.uint8),
        labels=np.resize(classes, count),
        ids=names,
        subjects=names,
        sources=names,
        landmarks=rng.normal(size=(count, 6)).astype(np.float32) + (np.arange(count) % 3)[:, None],
    )


def save_svm(folder: Path, train: Split) -> Any:
    svm = build(kt.HyperParameters(), ["linear"]).fit(train.landmarks, train.labels)
    skops.io.dump(svm, folder / "model.skops")
    write_recipe(folder, Recipe(4, 4, 1, None), LABELS)
    return svm


@pytest.mark.parametrize("classes", [2, 3])
def test_a_network_gives_a_probability_for_each_class(
    classes: int, tiny_classifier: Callable[..., keras.Model], tmp_path: Path
) -> None:
    network = tiny_classifier((4, 4, 1), classes)
    network.save(tmp_path / "model.keras")
    examples = split(BATCH_SIZE + 3)  # More than a batch.
    probabilities = load_classifier(tmp_path)(examples)
    assert probabilities.shape == (BATCH_SIZE + 3, classes)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    wanted = network.predict(examples.images, verbose=0)
    np.testing.assert_allclose(probabilities[:, -1], wanted[:, -1], atol=1e-6)


def test_an_svm_gives_the_probabilities_that_it_gave_before_it_was_saved(tmp_path: Path) -> None:
    examples = split(30)
    svm = save_svm(tmp_path, examples)
    probabilities = load_classifier(tmp_path)(examples)
    assert probabilities.dtype == np.float32
    wanted = svm.predict_proba(examples.landmarks)
    np.testing.assert_array_equal(probabilities, wanted.astype(np.float32))


def test_a_class_that_the_svm_never_saw_has_no_probability(tmp_path: Path) -> None:
    examples = split(30, classes=(0, 2))
    save_svm(tmp_path, examples)
    probabilities = load_classifier(tmp_path)(examples)
    assert probabilities.shape == (30, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


class Untrusted:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("harmed"),)  # type: ignore[return-value]


@pytest.mark.parametrize("content", [Untrusted(), print, [{"deep": Path.unlink}]])
def test_a_file_with_an_untrusted_type_in_it_is_refused(content: object, tmp_path: Path) -> None:
    skops.io.dump(content, tmp_path / "model.skops")
    write_recipe(tmp_path, Recipe(4, 4, 1, None), LABELS)
    with pytest.raises(UntrustedTypesFoundException):
        load_classifier(tmp_path)


def test_a_pickle_by_that_name_is_not_read(tmp_path: Path) -> None:
    harmed = tmp_path / "harmed"

    class Harmful:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
            return Path.touch, (harmed,)

    (tmp_path / "model.skops").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(Exception, match="not a zip file"):
        load_classifier(tmp_path)
    assert not harmed.exists()


def test_a_folder_without_a_model_is_told_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match=r"holds none of model\.keras, model\.skops"):
        load_classifier(tmp_path)
