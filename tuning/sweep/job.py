"""A search as a folder: what is searched, and the arrays that it is searched on.

The folder is all that a worker needs, in this process, another one, or on a machine with a GPU
that has neither TensorFlow nor TFRecords: `python -m tuning FOLDER`.
"""

import hashlib
import json
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuning.training.batches import Arrays


class Job(NamedTuple):
    """What is searched, and how.

    Attributes:
        hypermodel: one of `tuning.hypermodels.HYPERMODELS`.
        image_shape: height, width and channels of a picture; of a frozen backbone's features, how
            many.
        classes: how many.
        oracle: one of `tuning.sweep.oracles.ORACLES`.
        objective: a metric of the training's logs: `val_accuracy`, `val_macro_f1` or `val_loss`.
        max_trials: the budget; Hyperband and grid may end below it. None: the minutes alone are.
        minutes: the budget in time, of all starts of the search together; None: no limit.
        epochs: of a trial; with Hyperband of the longest ones.
        patience: a trial ends after that many epochs without a better objective; None: never.
        batch_size: images a step; None: the largest that the GPU of the search holds.
        precision: Keras's dtype policy, or `auto`: what suits the machine of the search. One of
            `tuning.accelerator.PRECISIONS`.
        seed: of the oracle, and of every trial's weights and order of images.
        fixed: hyperparameters that are set, and not searched, by name.
        digest: `digest_of` the arrays, where they were carried to another machine.
    """

    hypermodel: str
    image_shape: tuple[int, ...]
    classes: int
    oracle: str
    objective: str
    max_trials: int | None
    minutes: float | None
    epochs: int
    patience: int | None
    batch_size: int | None
    precision: str
    seed: int
    fixed: dict[str, Any] = {}  # noqa: RUF012  (nobody changes it)
    digest: str = ""


def job_to_json(job: Job) -> str:
    """What `job_from_json` reads."""
    return json.dumps(job._asdict(), indent=1)


def job_from_json(text: str | bytes) -> Job:
    """The job of a text of `job_to_json`."""
    content = json.loads(text)
    return Job(**content | {"image_shape": tuple(content["image_shape"])})


def digest_of(train: Arrays, validation: Arrays) -> str:
    """SHA-256 of pictures and labels: tells whether a search saw these very ones."""
    digest = hashlib.sha256()
    for array in chain(train, validation):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def save_job(folder: Path, job: Job, train: Arrays, validation: Arrays) -> None:
    """Fills a folder with the job; the images are mapped, not copied, by whoever reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in (("train", train), ("validation", validation)):
        np.save(folder / f"{name}_images.npy", arrays.images)
        np.save(folder / f"{name}_labels.npy", arrays.labels)
    (folder / "job.json").write_text(job_to_json(job))


def load_job(folder: Path) -> tuple[Job, Arrays, Arrays]:
    """The job in a folder, its train and its validation arrays."""
    job = job_from_json((folder / "job.json").read_text())
    return job, _arrays(folder, "train"), _arrays(folder, "validation")


def _arrays(folder: Path, name: str) -> Arrays:
    images = np.load(folder / f"{name}_images.npy", mmap_mode="r")
    return Arrays(images, np.load(folder / f"{name}_labels.npy"))
