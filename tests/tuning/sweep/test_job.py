from pathlib import Path
from typing import get_args

import numpy as np

from pipelines.config import TunerSection
from tuning.accelerator import PRECISIONS
from tuning.sweep.job import Job, load_job, save_job
from tuning.sweep.oracles import ORACLES
from tuning.training.batches import Arrays

JOB = Job("emoji_cnn", (4, 4, 1), 2, "random", "val_loss", 3, 0.5, 2, None, None, "auto", 7)


def arrays(count: int) -> Arrays:
    images = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)
    return Arrays(images, np.arange(count) % 2)


def test_a_job_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    save_job(tmp_path / "job", JOB, arrays(6), arrays(3))
    job, train, validation = load_job(tmp_path / "job")
    assert job == JOB
    assert isinstance(job.image_shape, tuple)
    for loaded, saved in ((train, arrays(6)), (validation, arrays(3))):
        np.testing.assert_array_equal(loaded.images, saved.images)
        np.testing.assert_array_equal(loaded.labels, saved.labels)
        assert loaded.images.dtype == np.uint8


def test_images_are_mapped_and_not_copied(tmp_path: Path) -> None:
    save_job(tmp_path, JOB, arrays(6), arrays(3))
    assert isinstance(load_job(tmp_path)[1].images, np.memmap)


def test_a_config_knows_the_same_words() -> None:
    fields = TunerSection.model_fields
    assert get_args(fields["oracle"].annotation) == ORACLES
    assert get_args(fields["precision"].annotation) == PRECISIONS
