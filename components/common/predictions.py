"""The Evaluator's predictions, by the ids of the examples."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_predictions(
    path: Path,
    ids: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> None:
    """Writes a row an example: id, label, then a probability for each class, float32 to the bit."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", *(f"p{i}" for i in range(probabilities.shape[1]))])
        for example_id, label, row in zip(ids, labels, probabilities, strict=True):
            writer.writerow([example_id, int(label), *map(float, row)])


def read_predictions(path: Path) -> dict[str, list[float]]:
    """The probabilities of every example, by id."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return {row[0]: [float(value) for value in row[2:]] for row in rows}
