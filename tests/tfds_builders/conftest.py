"""Raw files that are drawn, so that no picture lies in the repository."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tfds_builders.drawn_faces.pictures import Picture, draw_png

FacePng = Callable[[str, int], bytes]


@pytest.fixture(scope="session")
def face_png() -> FacePng:
    """Draws the n-th face with an expression: a PNG of 40 x 40."""

    def draw(expression: str, number: int) -> bytes:
        return draw_png(Picture(number, expression, 0, 0, 1.0), 40, (0.9, 1.0), seed=1)

    return draw


@pytest.fixture(scope="session")
def happy_or_sad_members(face_png: FacePng) -> dict[str, bytes]:
    """Three happy and two sad pictures, by their name in the archive."""
    happy = {f"happy/happy{n}.png": face_png("happy", n) for n in range(3)}
    return happy | {f"sad/sad{n}.png": face_png("sad", n) for n in range(2)}


def _write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="session")
def write_zip() -> Callable[[Path, dict[str, bytes]], Path]:
    return _write_zip


def _write_folder(folder: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def write_folder() -> Callable[[Path, dict[str, bytes]], Path]:
    return _write_folder
