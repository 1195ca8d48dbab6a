"""Draws what each augmentation makes of a drawn face, from weak to strong.

python benchmarks/draw_augmentation.py docs/augmentation.jpg
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from matplotlib.figure import Figure

from components.common.pictures import images
from components.common.pictures.augmentation import Augmentation, Draw, augment, draw
from tfds_builders.drawn_faces.pictures import Picture, draw_png

STEPS = range(-3, 4)
COPIES = range(1, 8)
MIRRORED = Augmentation(horizontal_flip=True)
EVERYTHING = Augmentation(
    rotation=15,
    shift=0.08,
    zoom=0.15,
    horizontal_flip=True,
    brightness=0.15,
    contrast=0.3,
    cutout=0.3,
)

ROWS: dict[str, list[tuple[str, Draw]]] = {
    "rotation,\ndegrees": [(f"{10 * n}°", Draw(angle=10 * n)) for n in STEPS],
    "shift,\nshare of the width": [(f"{n / 10}", Draw(dx=n / 10)) for n in STEPS],
    "shift,\nshare of the height": [(f"{n / 10}", Draw(dy=n / 10)) for n in STEPS],
    "zoom,\nfactor": [(f"{1 + n / 10:.1f}", Draw(factor=1 + n / 10)) for n in STEPS],
    "horizontal flip,\nodd copies": [(f"copy {n}", draw(MIRRORED, "face", n)) for n in COPIES],
    "brightness,\nshare of 255": [(f"{n / 10}", Draw(brightness=n / 10)) for n in STEPS],
    "contrast,\nfactor": [(f"{1 + n / 4}", Draw(contrast=1 + n / 4)) for n in STEPS],
    "cutout,\nshare of the shorter side": [
        (f"{n / 10}", Draw(cutout=n / 10, cutout_x=0.2 + n / 10, cutout_y=0.3 + n / 14))
        for n in range(7)
    ],
    "all of them": [(f"copy {n}", draw(EVERYTHING, "face", n)) for n in COPIES],
}


def main() -> None:
    """Draws a row for each augmentation, its strength over each picture."""
    face = images.decode_image(draw_png(Picture(9, "happy", 0, 0, 1.0), 96, (1.0, 1.0), seed=1))
    figure = Figure(figsize=(9.2, 1.2 * len(ROWS)), layout="constrained", dpi=110)
    grid = figure.subplots(len(ROWS), len(COPIES))
    for line, (title, cells) in zip(grid, ROWS.items(), strict=True):
        place = {"ha": "right", "va": "center", "transform": line[0].transAxes}
        line[0].text(-0.12, 0.5, title, fontsize=9, **place)
        for axes, (caption, drawn) in zip(line, cells, strict=True):
            axes.imshow(augment(face, drawn))
            axes.set_title(caption, fontsize=8, pad=3)
            axes.set_axis_off()
    figure.savefig(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
