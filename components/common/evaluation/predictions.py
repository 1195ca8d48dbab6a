"""The Evaluator's predictions, by the ids of the examples."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.files import write_csv


def write_predictions(
    path: Path,
    ids: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    digests: Sequence[str] = (),
) -> None:
    """Writes a row an example, its probabilities float32 to the bit.

    Args:
        path: of the CSV file.
        ids: [n].
        labels: [n].
        probabilities: [n, classes], columns `p0`, `p1`, ...
        digests: SHA-256 of the original pictures, [n], "" where it is not known; none: of none.
    """
    header = ["id", "sha256", "label", *(f"p{i}" for i in range(probabilities.shape[1]))]
    columns = (ids, digests or [""] * len(ids), labels.tolist(), probabilities.tolist())
    write_csv(path, header, ([*of, *row] for *of, row in zip(*columns, strict=True)))


def read_predictions(path: Path) -> dict[str, list[float]]:
    """The probabilities of every example, by id."""
    return {
        row["id"]: [float(value) for name, value in row.items() if name.startswith("p")]
        for row in _rows(path)
    }


def read_digests(path: Path) -> dict[str, str]:
    """The SHA-256 of the original pictures, by id, as far as the file has them."""
    return {row["id"]: row["sha256"] for row in _rows(path) if row.get("sha256")}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)
