"""The optimizer as a part of the search space: which one, its learning rate, its schedule."""

from collections.abc import Mapping
from typing import Any

import keras

from tuning.task import Task

_WARM_UP = 0.05
_SGD_TO_ADAM = 10.0


def search_optimizer(hp: Any, task: Task) -> Any:
    """The optimizer of a trial, from optimizer, schedule, learning_rate and weight_decay.

    Weight decay is decoupled (Loshchilov & Hutter, ICLR 2019), and Adam's has none. SGD has
    Nesterov's momentum of 0.9, and ten times the learning rate, so that one range fits all three.
    """
    name = hp.Choice("optimizer", ["adam", "adamw", "sgd"], default="adamw")
    schedule = hp.Choice("schedule", ["constant", "cosine"], default="cosine")
    rate = hp.Float("learning_rate", 3e-4, 1e-2, sampling="log", default=2e-3)
    weight_decay = hp.Float("weight_decay", 1e-4, 1e-1, sampling="log", default=1e-2)
    if name == "sgd":
        rate = _SGD_TO_ADAM * rate
    if schedule == "cosine":
        rate = cosine(rate, task.steps * task.epochs)
    if name == "sgd":
        # Its step is ten times Adam's, and so the decay that goes with it would be.
        decay = weight_decay / _SGD_TO_ADAM
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    if name == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    return keras.optimizers.Adam(rate)


def schedule_of(values: Mapping[str, Any]) -> str | None:
    """What the learning rate of these hyperparameters follows by itself; None: it stands."""
    schedule = values.get("schedule", "constant")
    return None if schedule == "constant" else schedule


def cosine(rate: float, steps: int) -> Any:
    """A rate that rises from 0 in a twentieth of the steps, and falls to 0 as a cosine in the rest.

    Source: Loshchilov & Hutter, SGDR, ICLR 2017, without restarts.
    """
    warm_up = max(1, round(_WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
    )
