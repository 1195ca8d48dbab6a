"""Counts what each face detector finds on real photographs, and times it in one thread.

python benchmarks/find_faces.py --raw-dir DIR [--pictures 300]

DIR holds facial_expressions.zip, of whose pictures some are drawn by chance.
"""

import argparse
import os
import random
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from components.common.pictures import images
from components.common.pictures.detectors import DETECTORS, find_faces
from tfds_builders.catalog import make_builder

OPTIONS = {"source": "facial_expressions.zip"}


def main() -> None:
    """Prints a row of a table for each detector and least size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw-dir", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=300)
    arguments = parser.parse_args()
    builder = make_builder("labelled_faces", Path("/unused"), arguments.raw_dir, OPTIONS)
    raw_files = builder.raw_files()
    index = builder.index(raw_files)
    entries = sorted(entry for of_split in index.splits.values() for entry in of_split)
    chosen = random.Random(0).sample(entries, arguments.pictures)
    pictures = [images.decode_image(encoded) for encoded in builder.read(raw_files, chosen)]
    for detector in DETECTORS:
        for min_size in (20, 60):
            find_faces(pictures[0], detector, min_size)  # The first call loads models.
            started = time.perf_counter()
            found = [len(find_faces(picture, detector, min_size)) for picture in pictures]
            took = (time.perf_counter() - started) / len(pictures) * 1000
            one, several = found.count(1), sum(number > 1 for number in found)
            print(
                f"| `{detector}`, `min_size: {min_size}` | one face {one / len(found):.1%}, "
                f"several {several / len(found):.1%} | {took:.0f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
