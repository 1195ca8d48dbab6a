from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.common.evaluation import figures
from components.common.evaluation.figures import Mistake
from components.common.evaluation.metrics import measure_classes

LABELS = np.array([0, 1, 1])
NOBODYS_THIRD = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.5, 0.3, 0.2]], np.float32)
RED = np.zeros((9, 9, 3), np.uint8)
RED[..., 0] = 255
GRAY = np.zeros((9, 7, 1), np.uint8)


def mistake(number: int, source: str = "a.zip/faces/1.png") -> Mistake:
    return Mistake(f"id{number}", source, "a $1 fear", "joy$", 0.98)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: figures.confusion_counts(np.array([[3000, 0], [0, 0]]), ["a", "b"], path),
        lambda path: figures.confusion_shares(np.eye(12, dtype=int), [*"abcdefghijkl"], path),
        lambda path: figures.reliability_diagram(LABELS, NOBODYS_THIRD, path),
        lambda path: figures.roc_curves(
            LABELS, NOBODYS_THIRD, measure_classes(LABELS, NOBODYS_THIRD, "abc"), path
        ),
        lambda path: figures.mistakes_sheet([], {}, path),
        lambda path: figures.mistakes_sheet(
            [mistake(1), *[mistake(2, "a_very_long_name_" * 9)] * 6],
            {"id1": RED, "id2": GRAY},
            path,
        ),
    ],
)
def test_draws_a_png_of_whatever_there_is(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    draw(tmp_path / "figure.png")
    drawn = cv2.imread(str(tmp_path / "figure.png"))
    assert drawn.std() > 0


def test_the_sheet_shows_the_pictures(tmp_path: Path) -> None:
    figures.mistakes_sheet([mistake(1), mistake(2)], {"id1": RED, "id2": GRAY}, tmp_path / "a.png")
    drawn = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    assert (drawn == [255, 0, 0]).all(axis=-1).sum() > 5000


def test_a_class_that_is_always_right_is_darkest(tmp_path: Path) -> None:
    figures.confusion_shares(np.diag([5, 500]), ["rare", "common"], tmp_path / "a.png")
    figures.confusion_counts(np.diag([5, 5]), ["rare", "common"], tmp_path / "b.png")
    darkest = [
        (cv2.imread(str(tmp_path / name))[..., ::-1] == [8, 48, 107]).all(axis=-1).sum()
        for name in ("a.png", "b.png")
    ]
    assert darkest[0] == pytest.approx(darkest[1], rel=0.05)
    assert darkest[0] > 2000
