from pathlib import Path

import numpy as np
import pytest

from tuning.training.batches import Batches

IMAGES = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
LABELS = np.arange(10) % 3


def all_of(batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    pairs = [batches[n] for n in range(len(batches))]
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])


def test_every_picture_comes_once_with_its_label() -> None:
    batches = Batches(IMAGES, LABELS, 3, batch_size=4)
    assert [len(batches[n][0]) for n in range(len(batches))] == [4, 4, 2]
    for epoch in range(3):
        batches.shuffle(0, epoch)
        images, labels = all_of(batches)
        numbers = images[:, 0, 0, 0]
        assert sorted(numbers) == list(range(10))
        np.testing.assert_array_equal(labels.argmax(axis=1), numbers % 3)


@pytest.mark.parametrize("classes", [2, 5])
def test_labels_are_one_hot(classes: int) -> None:
    images, labels = Batches(IMAGES, LABELS % 2, classes, batch_size=10)[0]
    assert (images.dtype, labels.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(labels, np.eye(classes)[LABELS % 2])


def test_before_a_shuffle_the_order_is_the_arrays_own() -> None:
    np.testing.assert_array_equal(all_of(Batches(IMAGES, LABELS, 3, batch_size=4))[0], IMAGES)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_seed_and_epoch_alone_decide(mixup: float) -> None:
    first = Batches(IMAGES, LABELS, 3, batch_size=4, mixup=mixup)
    second = Batches(IMAGES, LABELS, 3, batch_size=4, mixup=mixup)
    for epoch in range(3):
        first.shuffle(7, epoch)
    second.shuffle(7, 2)
    np.random.seed(5)
    for one, other in zip(all_of(first), all_of(second), strict=True):
        np.testing.assert_array_equal(one, other)
    for seed, epoch in ((7, 3), (8, 2)):
        second.shuffle(seed, epoch)
        assert (all_of(first)[0] != all_of(second)[0]).any()


def test_mixup_mixes_pictures_and_labels_in_the_same_share() -> None:
    lit = np.eye(3, dtype=np.uint8)[LABELS][:, :, None, None] * np.uint8(200)  # Where its class is.
    batches = Batches(lit, LABELS, 3, batch_size=10, mixup=1.0)
    images, labels = batches[0]
    assert (images.dtype, labels.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(images[:, :, 0, 0] / 200, labels, atol=1e-6)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert ((labels > 0) & (labels < 1)).any()


def test_arrays_may_be_mapped_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    batches = Batches(mapped, LABELS, 3, batch_size=4, mixup=0.2)
    batches.shuffle(0, 1)
    wanted = Batches(IMAGES, LABELS, 3, batch_size=4, mixup=0.2)
    wanted.shuffle(0, 1)
    np.testing.assert_array_equal(all_of(batches)[0], all_of(wanted)[0])
