from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deploy.client import Prediction
from pipelines import predict
from pipelines.predict import predict_files
from tests.deploy.golden import face, photograph

LABELS = ["happy", "sad"]
RECIPE: dict[str, Any] = {"height": 4, "width": 4, "channels": 1}
CROPPING = {"model": "faces", "labels": LABELS, "recipe": RECIPE | {"face_crop": {"min_size": 30}}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the server is asked for; it finds all faces happy."""
    pictures: list[bytes] = []

    def answer(images: Sequence[bytes], *, labels: list[str], **_: Any) -> list[Prediction]:
        assert labels == LABELS
        pictures.extend(images)
        return [Prediction("happy", 0.75, (0.75, 0.25))] * len(images)

    monkeypatch.setattr(predict, "predict", answer)
    return pictures


def test_a_photograph_of_a_phone_is_answered_as_it_is_seen(
    tmp_path: Path, asked: list[bytes]
) -> None:
    wall = Image.new("RGB", (150, 240), (128, 128, 128))
    wall.paste(face(), (40, 110))
    (tmp_path / "upright.png").write_bytes(photograph(wall, 1, "PNG"))
    (tmp_path / "phone.png").write_bytes(photograph(wall, 6, "PNG"))
    paths = [tmp_path / "upright.png", tmp_path / "phone.png"]
    (upright, phone), refused = predict_files(paths, CROPPING, url="", crop=True)
    assert refused == []
    assert phone["face"] == upright["face"]
    assert asked[0] == asked[1]


def test_whole_pictures_are_sent_as_they_are(tmp_path: Path, asked: list[bytes]) -> None:
    sent = photograph(face(), 6)
    (tmp_path / "phone.jpg").write_bytes(sent)
    ((answer,), _) = predict_files([tmp_path / "phone.jpg"], CROPPING, url="", crop=False)
    assert asked == [sent]
    assert answer["face"] is None


def test_a_file_without_a_picture_or_a_face_costs_the_others_nothing(
    tmp_path: Path, asked: list[bytes]
) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "face.png").write_bytes(photograph(face(), 1, "PNG"))
    (tmp_path / "wall.png").write_bytes(photograph(Image.new("RGB", (90, 90)), 1, "PNG"))
    paths = [tmp_path / name for name in ("notes.png", "face.png", "gone.png", "wall.png")]
    (answer,), refused = predict_files(paths, CROPPING, url="", crop=True)
    assert answer["image"] == str(tmp_path / "face.png")
    assert answer["probabilities"] == {"happy": 0.75, "sad": 0.25}
    assert [line.removeprefix(f"{tmp_path}/") for line in refused] == [
        "notes.png: no picture: wanted JPEG, PNG or BMP",
        "gone.png: No such file or directory",
        "wall.png: no face found; --no-crop sends the picture whole",
    ]
    assert np.shape(asked) == (1,)
