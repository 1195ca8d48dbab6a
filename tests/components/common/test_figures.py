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
        lambda path: figures.learning_curves(HISTORY, path),
        lambda path: figures.learning_curves([{**h, "val_loss": 1.0} for h in HISTORY], path),
        lambda path: figures.learning_curves([{**h, "learning_rate": 0.0} for h in HISTORY], path),
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


def test_the_learning_rate_has_a_panel_of_its_own(tmp_path: Path) -> None:
    figures.learning_curves(HISTORY, tmp_path / "two.png")
    with_rate = [{**row, "learning_rate": 0.1} for row in HISTORY]
    figures.learning_curves(with_rate, tmp_path / "three.png")
    two, three = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("two", "three"))
    assert three.shape[1] == pytest.approx(1.5 * two.shape[1], abs=2)


@pytest.mark.parametrize(
    ("rates", "logarithmic"),
    [([0.1, 0.01, 0.001], True), ([0.1, 0.05, 0.02], False), ([0.1, 0.05, 0.0], False)],
)
def test_learning_rates_that_fall_by_orders_of_magnitude_have_a_logarithmic_scale(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rates: list[float], logarithmic: bool
) -> None:
    scales: list[str] = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_yscale", lambda axes, scale: scales.append(scale))
    history = [{"epoch": i, "loss": 1.0, "learning_rate": rate} for i, rate in enumerate(rates)]
    figures.learning_curves(history, tmp_path / "curves.png")
    assert scales == (["log"] if logarithmic else [])
