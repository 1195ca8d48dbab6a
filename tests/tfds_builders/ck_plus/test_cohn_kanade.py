import cv2
import numpy as np

from tfds_builders.catalog import DATASETS
from tfds_builders.drawn_faces.cohn_kanade import EMOTIONS, image_members, label_members


def pixels(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_emotions_are_ck_plus_without_neutral() -> None:
    assert ("neutral", *EMOTIONS) == DATASETS["ck_plus"].labels


def test_frames_have_the_names_shapes_and_channels_of_the_release() -> None:
    images = {name: pixels(png) for name, png in image_members(2, 2, (64, 49))}

    assert len(images) == 2 * 7 * 2
    assert images["cohn-kanade-images/S001/001/S001_001_00000001.png"].shape == (49, 64)
    assert images["cohn-kanade-images/S002/007/S002_007_00000002.png"].shape == (48, 64, 3)
    assert all(image.std() > 10 for image in images.values())


def test_four_of_seven_sequences_have_a_label_and_the_others_an_empty_folder() -> None:
    members = dict(label_members(7, 12))
    labels = {name: content for name, content in members.items() if not name.endswith("/")}

    assert len(members) - len(labels) == 7 * 7
    assert labels["Emotion/S001/003/S001_003_00000012_emotion.txt"] == b"   3.0000000e+00\n"
    assert sorted(float(content) for content in labels.values()) == sorted([*range(1, 8)] * 4)


def test_same_seed_same_members() -> None:
    once = list(image_members(1, 2, (40, 32), seed=5))

    assert once == list(image_members(1, 2, (40, 32), seed=5))
    assert not {png for _, png in once} & {png for _, png in image_members(1, 2, (40, 32), seed=6)}


def test_emotions_can_be_told_apart() -> None:
    """What an emotion changes in new subjects is nearest to what the same one changed in others."""

    def mean_changes(seed: int) -> np.ndarray:
        members = image_members(8, 2, (98, 80), seed)
        gray = [cv2.imdecode(np.frombuffer(png, np.uint8), 0)[8:70, 25:73] for _, png in members]
        # Blurred, since no two heads are held alike.
        soft = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), 2.5) for image in gray]
        takes = np.reshape(soft, (8, 7, 2, -1))
        change = (takes[:, :, 1] - takes[:, :, 0]).mean(axis=0)
        return change / np.linalg.norm(change, axis=1, keepdims=True)

    alike = mean_changes(1) @ mean_changes(2).T

    assert alike.argmax(axis=0).tolist() == list(range(7))
