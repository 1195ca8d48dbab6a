import io
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from components.common import beam as beam_module
from components.common import progress
from components.common.examples import Example, read_table
from components.common.files import read_json
from components.common.measurements import Measurement, read_measurements
from components.common.pictures import images
from components.statistics_gen import generate_statistics, measure, summarize

Noise = Callable[..., NDArray[np.uint8]]


def test_a_known_image_is_measured() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :3] = 200
    measured = measure("a", images.encode_png(image))
    assert measured[:5] == ("a", 6, 4, 100.0, 100.0)
    assert measured.error == ""


def test_the_digest_is_of_the_picture_not_of_the_file(noise: Noise) -> None:
    image = noise(0)
    png, bmp = (bytes(cv2.imencode(kind, image)[1]) for kind in (".png", ".bmp"))
    turned = bytes(cv2.imencode(".png", image.reshape(24, 20, 3))[1])
    assert measure("a", png).sha256 == measure("b", bmp).sha256
    assert measure("a", png).sha256 != measure("a", turned).sha256


def test_an_undecodable_image_has_its_error_in_place(noise: Noise) -> None:
    measured = measure("a", images.encode_png(noise(0))[:200])
    assert measured[:-1] == ("a", 0, 0, 0.0, 0.0, "", "", 0)
    assert measured.error


def test_a_gray_file_and_the_same_picture_in_colour_measure_alike(noise: Noise) -> None:
    gray = noise(0, 20, 24, 1)
    assert measure("a", images.encode_png(gray)) == measure(
        "a", images.encode_png(np.repeat(gray, 3, axis=2))
    )


def test_all_channels_are_of_the_brightness() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :, 0] = 240
    measured = measure("red", images.encode_png(picture))
    assert (measured.mean, measured.std) == (40.0, 40.0)


def test_the_look_stays_the_same_in_another_size_format_and_brightness(
    face_png: Callable[..., bytes],
) -> None:
    picture = images.decode_image(face_png("happy", 0))
    other = images.encode_png(images.fit_image(np.minimum(picture, 250) + np.uint8(5), 86, 86, 3))
    jpeg = bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1])
    looks = [measure("a", encoded) for encoded in (face_png("happy", 0), other, jpeg)]
    assert len({look.sha256 for look in looks}) == 3
    for look in looks[1:]:
        assert (int(look.phash, 16) ^ int(looks[0].phash, 16)).bit_count() <= 4
    assert [look.has_face for look in looks] == [1, 1, 1]
    stranger = measure("b", face_png("sad", 7))
    assert (int(stranger.phash, 16) ^ int(looks[0].phash, 16)).bit_count() > 4


def test_a_summary_is_of_the_pixels_and_leaves_undecodable_images_out() -> None:
    small, large = np.full((2, 2), 10.0), np.full((4, 4), 90.0)
    rows = [
        *(Example(n, "train", "happy", "ann", f"{n}.png") for n in "ab"),
        Example("c", "train", "sad", "bob", "c.png"),
        Example("d", "test", "sad", "", "d.png"),
    ]
    measured = [
        Measurement("a", 2, 2, 10.0, 0.0, "1", "00", 1, ""),
        Measurement("b", 4, 4, 90.0, 0.0, "2", "00", 1, ""),
        Measurement("c", 0, 0, 0.0, 0.0, "", "", 0, "broken"),
        Measurement("d", 0, 0, 0.0, 0.0, "", "", 0, "broken"),
    ]
    summary = summarize(rows, measured)
    pixels = np.concatenate([small.ravel(), large.ravel()])
    assert list(summary) == ["train", "test"]
    train = summary["train"]
    assert (train["images"], train["undecodable"], train["subjects"]) == (3, 1, 2)
    assert train["classes"] == {"happy": 2, "sad": 1}
    assert train["sizes"] == {"2x2": 1, "4x4": 1}
    assert train["pixel_mean"] == pytest.approx(pixels.mean())
    assert train["pixel_std"] == pytest.approx(pixels.std())
    assert train["brightness_quantiles"][::2] == [10.0, 50.0, 90.0]
    assert (summary["test"]["undecodable"], summary["test"]["pixel_mean"]) == (1, 0.0)


def test_the_counts_are_those_of_the_table(drawn_examples: Path, drawn_statistics: Path) -> None:
    table = read_table(drawn_examples)
    summary = read_json(drawn_statistics / "statistics.json")
    assert sum(of_split["images"] for of_split in summary.values()) == len(table) == 28
    for split, of_split in summary.items():
        rows = [row for row in table if row.split == split]
        assert of_split["images"] == sum(of_split["classes"].values()) == len(rows)
        assert of_split["subjects"] == len({row.subject for row in rows})
        assert of_split["sizes"] == {"96x96": len(rows)}
    measurements = read_measurements(drawn_statistics / "measurements.csv")
    assert [m.id for m in measurements] == [row.id for row in table]


@pytest.mark.parametrize("name", ["class_counts.png", "contact_sheet.png"])
def test_pictures_are_drawn(drawn_statistics: Path, name: str) -> None:
    drawn = cv2.imread(str(drawn_statistics / name))
    assert drawn.std() > 0


def test_shards_make_no_difference(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    drawn_examples: Path,
    drawn_statistics: Path,
    beam: dict[str, str],
) -> None:
    monkeypatch.setattr(beam_module, "IMAGES_A_SHARD", 4)
    generate_statistics(drawn_examples, tmp_path, beam=beam)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in drawn_statistics.iterdir()}


def test_a_broken_picture_does_not_stop_it(
    tmp_path: Path,
    make_examples: Callable[..., Path],
    face_png: Callable[..., bytes],
    beam: dict[str, str],
) -> None:
    whole = face_png("happy", 0, 32)
    members = {"happy/0.png": whole, "sad/0.png": whole[:90], "sad/1.png": b"text"}
    summary = generate_statistics(make_examples(tmp_path, members), tmp_path / "s", beam=beam)
    assert summary["train"]["undecodable"] == 2
    assert summary["train"]["classes"] == {"happy": 1, "sad": 2}
    assert math.isfinite(summary["train"]["pixel_std"])


def test_progress_counts_the_images_of_all_shards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawn_examples: Path, beam: dict[str, str]
) -> None:
    monkeypatch.setattr(beam_module, "IMAGES_A_SHARD", 10)
    heard: list[str] = []
    with progress.listening(heard.append):
        generate_statistics(drawn_examples, tmp_path, beam=beam)
    assert "28/28 images (100%)" in heard


def test_a_photograph_is_looked_at_as_transform_turns_it(face_png: Callable[..., bytes]) -> None:
    photo = Image.open(io.BytesIO(face_png("happy", 0)))
    on_its_side = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo.rotate(90).save(on_its_side, "PNG", exif=exif)
    without = io.BytesIO()
    photo.rotate(90).save(without, "PNG")
    assert measure("a", on_its_side.getvalue()).has_face == 1
    assert measure("a", without.getvalue()).has_face == 0
