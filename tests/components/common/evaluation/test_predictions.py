from pathlib import Path

import numpy as np

from components.common.evaluation.predictions import (
    read_digests,
    read_predictions,
    write_predictions,
)


def test_float32_is_kept_to_the_bit(tmp_path: Path) -> None:
    probabilities = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    path, ids = tmp_path / "predictions.csv", [f"a+{n}" for n in range(5)]
    write_predictions(path, ids, np.arange(5), probabilities)
    read = read_predictions(path)
    assert list(read) == ids
    np.testing.assert_array_equal(np.array(list(read.values()), np.float32), probabilities)


def test_a_row_says_of_which_picture_it_is(tmp_path: Path) -> None:
    path, probabilities = tmp_path / "predictions.csv", np.eye(2, dtype=np.float32)
    write_predictions(path, "ab", np.arange(2), probabilities, ["d1", ""])
    assert read_digests(path) == {"a": "d1"}
    assert read_predictions(path) == {"a": [1, 0], "b": [0, 1]}
    assert path.read_text().splitlines()[1] == "a,d1,0,1.0,0.0"


def test_a_file_of_an_earlier_mien_does_not_say_of_which_pictures_it_is(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,label,p0,p1\na,0,0.75,0.25\n")
    assert read_predictions(path) == {"a": [0.75, 0.25]}
    assert read_digests(path) == {}
