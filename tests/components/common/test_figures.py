from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.common import figures

HISTORY = [{"epoch": n, "loss": 1 / n, "accuracy": 0.5} for n in (1, 2)]
GRAY, COLOR = np.zeros((9, 9, 1), np.uint8), np.zeros((9, 7, 3), np.uint8)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: figures.class_bars({"train": {"a": 3}, "test": {}}, ["a", "b"], path),
        lambda path: figures.contact_sheet({"a": [GRAY] * 9, "b": [COLOR], "c": []}, path),
        lambda path: figures.contact_sheet({}, path),
        lambda path: figures.confusion_matrix(np.array([[3, 0], [0, 0]]), ["a", "b"], path),
        lambda path: figures.learning_curves(HISTORY, path),
        lambda path: figures.learning_curves([{**h, "val_loss": 1.0} for h in HISTORY], path),
    ],
)
def test_draws_a_png_of_whatever_there_is(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    draw(tmp_path / "figure.png")
    assert cv2.imread(str(tmp_path / "figure.png")) is not None


def test_a_sheet_shows_the_pictures(tmp_path: Path) -> None:
    red = np.zeros((9, 9, 3), np.uint8)
    red[..., 0] = 255
    figures.contact_sheet({"red": [red]}, tmp_path / "sheet.png")
    drawn = cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1]
    assert (drawn == [255, 0, 0]).all(axis=-1).sum() > 1000
