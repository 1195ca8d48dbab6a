from pathlib import Path

import numpy as np

from components.common.evaluation.predictions import read_predictions, write_predictions


def test_float32_is_kept_to_the_bit(tmp_path: Path) -> None:
    probabilities = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    path, ids = tmp_path / "predictions.csv", [f"a+{n}" for n in range(5)]
    write_predictions(path, ids, np.arange(5), probabilities)
    read = read_predictions(path)
    assert list(read) == ids
    np.testing.assert_array_equal(np.array(list(read.values()), np.float32), probabilities)
