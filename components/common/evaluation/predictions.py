"""The Evaluator's predictions, by the ids of the examples."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.files import write_csv


def write_predictions(
    path: Path,
    ids: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> None:
    """Writes a row an example: id, label, then a probability for each class, float32 to the bit."""
    header = ["id", "label", *(f"p{i}" for i in range(probabilities.shape[1]))]
    rows = zip(ids, labels, probabilities, strict=True)
    write_csv(path, header, ([name, int(label), *map(float, row)] for name, label, row in rows))


def read_predictions(path: Path) -> dict[str, list[float]]:
    """The probabilities of every example, by id."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return {row[0]: [float(value) for value in row[2:]] for row in rows}
