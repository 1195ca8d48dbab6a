import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tuning.sweep.archive import (
    ArchiveError,
    compress_images,
    decompress_images,
    pack_job,
    unpack_job,
)
from tuning.sweep.job import Job, load_job
from tuning.training.batches import Arrays


def images(count: int, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def job(**changed: Any) -> Job:
    said = {
        "hypermodel": "emoji_cnn",
        "image_shape": (5, 7, 3),
        "classes": 2,
        "oracle": "random",
        "objective": "val_loss",
        "max_trials": 3,
        "minutes": None,
        "epochs": 2,
        "patience": None,
        "batch_size": None,
        "precision": "auto",
        "seed": 0,
    }
    return Job(**(said | changed))


TRAIN = Arrays(images(6, 5, 7, 3), np.arange(6) % 2)
VALIDATION = Arrays(images(3, 5, 7, 3), np.arange(3) % 2)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    pack_job(tmp_path / "sweep.zip", job(), TRAIN, VALIDATION)
    return tmp_path / "sweep.zip"


@pytest.mark.parametrize("shape", [(4, 5, 7, 3), (1, 1, 1, 1), (3, 1, 6, 1), (2, 6, 1, 3)])
@pytest.mark.parametrize("make", [images, lambda *shape: np.full(shape, 255, np.uint8)])
def test_images_come_back_to_the_pixel(make: Any, shape: tuple[int, int, int, int]) -> None:
    before = make(*shape)
    after = decompress_images(compress_images(before), shape)
    assert after.dtype == np.uint8
    np.testing.assert_array_equal(after, before)


def test_what_is_smooth_takes_less_room() -> None:
    slope = np.add.outer(np.arange(48), np.arange(48)).astype(np.uint8)
    faces = np.stack([slope + shift for shift in range(50)])[..., None]
    assert len(compress_images(faces)) < faces.size / 5


def test_a_job_comes_back_with_its_arrays(packed: Path) -> None:
    found, train, validation = load_job(unpack_job(packed))
    assert found == job()
    for after, before in ((train, TRAIN), (validation, VALIDATION)):
        np.testing.assert_array_equal(after.images, before.images)
        np.testing.assert_array_equal(after.labels, before.labels)


def test_what_is_unpacked_stands_with_its_trials(packed: Path) -> None:
    folder = unpack_job(packed)
    (folder / "trials").mkdir()
    assert unpack_job(packed) == folder
    assert (folder / "trials").exists()
    assert sorted(path.name for path in packed.parent.iterdir()) == ["sweep", "sweep.zip"]


def test_the_folder_of_another_job_is_not_searched_on(packed: Path) -> None:
    unpack_job(packed)
    pack_job(packed, job(seed=1), TRAIN, VALIDATION)
    with pytest.raises(ArchiveError, match="holds something else"):
        unpack_job(packed)


def test_a_cut_file_is_named_and_leaves_nothing(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(ArchiveError, match=r"sweep\.zip: not what `mien sweep --export` writes"):
        unpack_job(packed)
    assert [path.name for path in packed.parent.iterdir()] == ["sweep.zip"]


def test_another_zip_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("job.json", "{}")
    with pytest.raises(ArchiveError, match=r"other\.zip: not what"):
        unpack_job(tmp_path / "other.zip")
