import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.pictures.images import decode_png
from components.common.sweep_figures import draw_sweep
from tuning.sweep.trials import Trial

ALL = ["importance", "objective", "parallel_coordinates"]


def trial(number: int, **values: Any) -> Trial:
    """Judged by its width; every fifth fails."""
    rng = random.Random(number)
    drawn = {
        "width": rng.choice([8, 16, 32]),
        "rate": 10 ** rng.uniform(-4, -1),
        "head": rng.choice(["average", "dense"]),
        "residual": rng.random() < 0.5,
        "tuner/epochs": 3,
    }
    score = None if number % 5 == 0 else drawn["width"] / 40 + rng.random() / 50
    return Trial(str(number), "COMPLETED" if score else "FAILED", score, drawn | values, [])


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., list[str]]:
    def call(trials: list[Trial], objective: str = "val_accuracy") -> list[str]:
        paths = draw_sweep(trials, objective, tmp_path)
        assert all(path.parent == tmp_path and path.stat().st_size > 5000 for path in paths)
        return sorted(path.stem for path in paths)

    return call


@pytest.mark.parametrize("objective", ["val_accuracy", "val_loss"])
def test_many_trials_give_all_pictures(draw: Callable[..., list[str]], objective: str) -> None:
    assert draw([trial(n) for n in range(1, 13)], objective) == ALL


@pytest.mark.parametrize(
    ("count", "drawn"),
    [(0, []), (1, ["objective"]), (2, ["objective", "parallel_coordinates"])],
)
def test_a_picture_that_would_say_nothing_is_left_out(
    draw: Callable[..., list[str]], count: int, drawn: list[str]
) -> None:
    assert draw([trial(n) for n in range(1, count + 1)]) == drawn


def test_failures_alone_give_no_picture(draw: Callable[..., list[str]]) -> None:
    assert draw([trial(5), trial(10)]) == []


def test_hyperparameters_that_are_all_the_same_have_no_importance(
    draw: Callable[..., list[str]],
) -> None:
    same = {"width": 8, "rate": 0.1, "head": "dense", "residual": True}
    assert draw([trial(n, **same) for n in range(1, 9)]) == ["objective"]


def test_equal_scores_have_no_importance(draw: Callable[..., list[str]]) -> None:
    trials = [trial(n)._replace(score=0.5) for n in range(1, 9)]
    assert draw(trials) == ["objective", "parallel_coordinates"]


def test_a_hyperparameter_that_not_all_trials_have_does_no_harm(
    draw: Callable[..., list[str]],
) -> None:
    some = [trial(n, momentum=n / 10) if n % 2 else trial(n) for n in range(1, 12)]
    assert draw(some) == ALL


def test_the_same_trials_give_the_same_picture(
    draw: Callable[..., list[str]], tmp_path: Path
) -> None:
    trials = [trial(n) for n in range(1, 9)]
    pictures = []
    for _ in range(2):
        draw(trials)
        pictures.append(decode_png((tmp_path / "importance.png").read_bytes()).tobytes())
    assert pictures[0] == pictures[1]
