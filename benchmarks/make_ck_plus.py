"""Writes the two zips of the CK+ release from drawn faces, to try ck_plus without its licence.

    python benchmarks/make_ck_plus.py /tmp/drawn_ck_plus
    mien run ck_plus --raw-dir /tmp/drawn_ck_plus

The same options give the same zips, byte for byte.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tfds_builders.drawn_faces.cohn_kanade import image_members, label_members


def main() -> None:
    """Writes the zips, but not over others: those may be the release."""
    options = _parse_options()
    images = options.out_dir / "extended-cohn-kanade-images.zip"
    labels = options.out_dir / "Emotion_labels.zip"
    if images.exists() or labels.exists():
        sys.exit(f"{options.out_dir}: has {images.name} or {labels.name} already; name another")
    options.out_dir.mkdir(parents=True, exist_ok=True)
    write_zip(labels, label_members(options.subjects, options.frames))
    write_zip(images, image_members(options.subjects, options.frames, options.size))
    print(f"{options.out_dir}: {options.subjects} subjects in {images.name} and {labels.name}")


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Writes the members; the zip has its name once it is whole."""
    unfinished = path.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name, content in members:
            member = zipfile.ZipInfo(name)  # It is dated 1980, whatever day it is.
            member.external_attr = (0o40755 if member.is_dir() else 0o100644) << 16
            archive.writestr(member, content)
    unfinished.rename(path)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR")
    parser.add_argument("--subjects", type=int, default=30, help="1 to 999 (default 30)")
    parser.add_argument("--frames", type=int, default=6, help="of each sequence (default 6)")
    parser.add_argument("--size", default="320x245", help="default 320x245; the release: 640x490")
    options = parser.parse_args()
    if not (1 <= options.subjects <= 999 and 2 <= options.frames <= 1000):
        parser.error("give 1 to 999 subjects and 2 to 1000 frames")
    if not (size := re.fullmatch(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", options.size)):
        parser.error(f"--size is {options.size}; give two numbers of pixels, such as 640x490")
    options.size = int(size[1]), int(size[2])
    return options


if __name__ == "__main__":
    main()
