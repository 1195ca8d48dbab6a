import numpy as np
import pytest

from tfds_builders.drawn_faces.face import NEUTRAL, PEAKS, sample_expression, sample_looks


def test_an_expression_goes_from_neutral_to_its_peak() -> None:
    def mean(strength: float) -> np.ndarray:
        rng = np.random.default_rng(0)
        return np.mean([sample_expression("happy", strength, rng) for _ in range(400)], axis=0)

    np.testing.assert_allclose(mean(0), NEUTRAL, atol=0.03)
    np.testing.assert_allclose(mean(1), PEAKS["happy"], atol=0.03)
    np.testing.assert_allclose(mean(0.5), (np.add(NEUTRAL, PEAKS["happy"])) / 2, atol=0.03)


def test_an_unknown_expression_is_refused() -> None:
    with pytest.raises(KeyError, match="bored"):
        sample_expression("bored", 1, np.random.default_rng(0))


def test_subjects_differ() -> None:
    rng = np.random.default_rng(0)

    assert len({sample_looks(rng) for _ in range(20)}) == 20
