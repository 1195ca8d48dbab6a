"""What a random split promises of the landmark SVM, and what it does on people it has not seen.

python benchmarks/svm_splits.py --raw-dir DIR [--root ROOT] [--splits 10]

DIR holds facial_expressions.zip; needs `make landmarks`. The pictures go once through the steps of
facial_expressions_svm, up to Transform. Then all of them are split 80/20 again and again, with the
same classes in both parts: at random, as in the CK+ experiment, where a person's pictures are on
both sides; and by person. The SVMs have the experiment's hyperparameters, but scaled features:
without, the training on these faces does not end. Means with standard deviations over the splits;
the gap is what the random splits promise too much.
"""

import argparse
import os
import warnings
from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras_tuner as kt
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn import metrics
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from components.common.records import load_split, splits
from pipelines.config import load_config
from pipelines.run import Request, run_pipeline
from pipelines.store import executions
from tuning.landmark_svm import build

CONFIG = "facial_expressions_svm"
METRICS = ("accuracy", "macro F1")

Examples = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_]]
"""Features [n, k], labels [n], subjects [n]."""

Split = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The rows of train and of test."""


def main() -> None:
    """Prints a row of a table for each kernel, split and metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw-dir", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path("mien_root"))
    parser.add_argument("--splits", type=int, default=10)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # Of SVC's probabilities, and of splits that need no people.
    _, config = load_config(CONFIG)
    request = Request(CONFIG, config, arguments.root, arguments.raw_dir, until="transform")
    run_pipeline(request, Console())
    # What was made or reused last comes first.
    made = executions(arguments.root / "store", "transform")[0]
    examples = read_examples(made / "transformed_examples")
    print(f"\n{len(examples[1]):,} pictures of {len(set(examples[2])):,} people")
    ways = {"random": StratifiedKFold, "by person": StratifiedGroupKFold}
    pairs = {name: list(split(way, examples, arguments.splits)) for name, way in ways.items()}
    for name, of_way in pairs.items():
        shared = [share_of_known(examples[2], *pair) for pair in of_way]
        print(f"{name}: {np.mean(shared):.1%} of the test pictures show a person of train")
    print("\n| kernel | metric | random splits | people unseen | gap |")
    print("|---|---|---|---|---|")
    for kernel in ("linear", "poly"):
        scores = [
            np.array([score(kernel, examples, *pair) for pair in pairs[name]]) for name in ways
        ]
        for number, metric in enumerate(METRICS):
            promised, found = (of_splits[:, number] for of_splits in scores)
            print(
                f"| {kernel} | {metric} | {mean_and_std(promised)} | {mean_and_std(found)} "
                f"| {promised.mean() - found.mean():+.3f} |",
                flush=True,
            )


def read_examples(transformed_examples: Path) -> Examples:
    """The examples of all splits together."""
    there = splits(transformed_examples)
    loaded = [load_split(transformed_examples, split) for split in there]
    return (
        np.concatenate([split.landmarks for split in loaded]),
        np.concatenate([split.labels for split in loaded]),
        np.concatenate([split.subjects for split in loaded]),
    )


def split(way: Any, examples: Examples, number: int) -> Iterator[Split]:
    """Splits 80/20: each of five folds is the test part in turn, then those of another shuffle."""
    # All five: by person, the first ones get the people with the most pictures.
    shuffles = (way(5, shuffle=True, random_state=seed).split(*examples) for seed in count())
    return islice(chain.from_iterable(shuffles), number)


def share_of_known(
    subjects: NDArray[np.str_], train: NDArray[np.int64], test: NDArray[np.int64]
) -> float:
    """The share of test pictures whose person is in train as well."""
    return float(np.isin(subjects[test], subjects[train]).mean())


def score(
    kernel: str, examples: Examples, train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[float, float]:
    """Accuracy and macro F1 on the test part."""
    features, labels, _ = examples
    hp = kt.HyperParameters()
    hp.values["scale"] = True
    svm = build(hp, [kernel]).fit(features[train], labels[train])
    # As the Evaluator has it, the class of the highest probability.
    predicted = svm.classes_[svm.predict_proba(features[test]).argmax(axis=1)]
    return (
        float(metrics.accuracy_score(labels[test], predicted)),
        float(metrics.f1_score(labels[test], predicted, average="macro", zero_division=0)),
    )


def mean_and_std(values: NDArray[np.float64]) -> str:
    """`0.700 ± 0.020`."""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


if __name__ == "__main__":
    main()
