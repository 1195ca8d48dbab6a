"""Draws what each face detector makes of drawn faces that are easy or hard to find.

python benchmarks/draw_crops.py docs/crops.jpg      (wants the extra `landmarks`)
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from components.common.pictures import images, landmarks
from components.common.pictures.faces import FaceCrop, FaceNotFoundError, crop_face
from tfds_builders.drawn_faces.pictures import Picture, draw_png

ROWS = {
    "picture": None,
    "haar": FaceCrop("haar"),
    "haar_tolerant,\nif_several: largest": FaceCrop("haar_tolerant", if_several="largest"),
    "mtcnn": FaceCrop("mtcnn"),
    "mtcnn,\nif_several: largest": FaceCrop("mtcnn", if_several="largest"),
    "mtcnn, align": FaceCrop("mtcnn", if_several="largest", align=True),
    "mtcnn, align,\nmargin: 0.2": FaceCrop("mtcnn", if_several="largest", align=True, margin=0.2),
}


def _face(subject: int, expression: str, size: int = 192) -> NDArray[np.uint8]:
    picture = Picture(subject, expression, 0, 0, 1.0)
    return images.decode_image(draw_png(picture, size, (1.0, 1.0), seed=1))


def _scenes() -> dict[str, NDArray[np.uint8]]:
    upright, other = _face(0, "happy"), _face(3, "surprise")
    turn = cv2.getRotationMatrix2D((96, 96), 25, 1.0)
    tilted = cv2.warpAffine(upright, turn, (192, 192), borderMode=cv2.BORDER_REPLICATE)
    small = np.full((192, 192, 3), 205, np.uint8)
    small[90:154, 30:94] = _face(5, "neutral", 64)
    two = np.full((160, 256, 3), 205, np.uint8)
    two[:, :160], two[64:, 160:] = cv2.resize(upright, (160, 160)), cv2.resize(other, (96, 96))
    return {
        "upright": upright,
        "tilted": tilted.astype(np.uint8),
        "fills the picture": np.ascontiguousarray(upright[40:160, 40:152]),
        "dark": (upright * 0.15).astype(np.uint8),
        "small": small,
        "two": two,
        "none": np.ascontiguousarray(small[:90]),
    }


def _crop(scene: NDArray[np.uint8], crop: FaceCrop | None) -> NDArray[np.uint8] | str:
    try:
        return crop_face(scene, crop) if crop else scene
    except FaceNotFoundError as error:
        return str(error)


def main() -> None:
    """Draws a row for each way to crop, a column for each scene, the landmarks in the last row."""
    scenes = _scenes()
    rows = {name: [_crop(scene, crop) for scene in scenes.values()] for name, crop in ROWS.items()}
    rows["68 landmarks"] = [
        landmarks.drawn(images.fit_image(face, 350, 350, 1)) if not isinstance(face, str) else face
        for face in rows["mtcnn,\nif_several: largest"]
    ]
    figure = Figure(figsize=(9.2, 1.2 * len(rows)), layout="constrained", dpi=110)
    grid = figure.subplots(len(rows), len(scenes))
    for axes, name in zip(grid[0], scenes, strict=True):
        axes.set_title(name, fontsize=8, pad=3)
    for line, (title, cells) in zip(grid, rows.items(), strict=True):
        place = {"ha": "right", "va": "center", "transform": line[0].transAxes}
        line[0].text(-0.12, 0.5, title, fontsize=9, **place)
        for axes, cell in zip(line, cells, strict=True):
            axes.set_axis_off()
            if isinstance(cell, str):
                axes.text(0.5, 0.5, cell.replace(" face", "\nface"), fontsize=7, ha="center")
            else:
                axes.imshow(cell if cell.shape[2] == 3 else cell[..., 0], cmap="gray")
    figure.savefig(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
