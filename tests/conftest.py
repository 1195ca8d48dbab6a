"""What every test stands on: the same seeds."""

import random
import sys

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    if keras := sys.modules.get("keras"):  # Not imported for tests that do without it.
        keras.utils.set_random_seed(0)
