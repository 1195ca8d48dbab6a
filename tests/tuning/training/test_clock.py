from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tuning.training import clock
from tuning.training.clock import Clock


class Seconds:
    """A clock that a test turns on."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    seconds = Seconds()
    monkeypatch.setattr(clock, "time", seconds)
    return seconds


def test_steps_that_are_still_computed_when_validation_begins_count_as_training(
    seconds: Seconds,
) -> None:
    """As on JAX, where `fit` goes on once it has asked for a step."""

    class Iterations:
        def __array__(self, *_: Any, **__: Any) -> Any:
            seconds.now += 8.0
            return np.array(3)

    ticking = Clock(images=100)
    ticking.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=Iterations())))
    ticking.on_epoch_begin(0)
    seconds.now += 2.0
    ticking.on_test_begin()
    seconds.now += 5.0
    ticking.on_epoch_end(0)
    assert ticking.times == {"seconds": 15.0, "images_per_second": 10.0}


def test_without_validation_all_of_an_epoch_is_training(seconds: Seconds) -> None:
    ticking = Clock(images=100)
    ticking.on_epoch_begin(0)
    seconds.now += 4.0
    ticking.on_epoch_end(0)
    assert ticking.times == {"seconds": 4.0, "images_per_second": 25.0}
