"""A pipeline root with what a run leaves, made by hand: no step runs for it."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.files import write_json
from components.common.pictures.images import encode_png
from pipelines.local_runner import Run, Step, write_run

RUN_ID = "20261122-101112-abcd"
BASELINE = ["example_gen", "statistics_gen", "example_validator", "transform", "baseline"]
BASELINE = [*BASELINE, "evaluator"]
TRAINING = [*BASELINE[:4], "tuner", "trainer", "evaluator", "infra_validator", "pusher"]
HOSTILE = "<script>alert('\"&')</script>"

Interval = dict[str, float]
MakeRun = Callable[..., tuple[Path, Run]]


def interval(value: float) -> Interval:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


PICTURE = encode_png(np.zeros((8, 12, 3), np.uint8))
SPLIT = {"images": 9, "undecodable": 0, "subjects": 2, "classes": {"sad": 6, HOSTILE: 3}}
SPLIT = {**SPLIT, "sizes": {"48x64": 9}, "pixel_mean": 99.5}
DATASET = {"name": "drawn_faces", "options": {"size": 64}, "labels": ["sad", HOSTILE]}
DATASET = {**DATASET, "digest": "d1g35t", "left_out": {"no label": 4}, "notes": []}
TRIALS = [
    {"id": "1", "status": "COMPLETED", "score": 0.5, "values": {"width": 8}, "epochs": []},
    {"id": "2", "status": "FAILED", "score": None, "values": {"width": 16}, "epochs": []},
]
EPOCH = {"epoch": 1, "loss": 2.5, "accuracy": 0.25, "learning_rate": 0.001}
RECIPE = {"height": 48, "width": 48, "channels": 1, "face_crop": None, "landmarks": "none"}
CLASS = {name: interval(0.8) for name in ("precision", "recall", "f1")}
SLICE = {"images": 7, "accuracy": interval(0.625)}
CHANGE = {"value": 0.02, "low": -0.01, "high": 0.05}

FILES: dict[str, dict[str, dict[str, Any]]] = {
    "example_gen": {"examples": {"dataset.json": DATASET}},
    "statistics_gen": {
        "statistics": {
            "statistics.json": {"train": SPLIT, "test": SPLIT},
            "contact_sheet.png": PICTURE,
        }
    },
    "example_validator": {
        "anomalies": {
            "anomalies.json": {
                "findings": {"blank": {"policy": "drop", "count": 3, "found": [{"text": HOSTILE}]}}
            },
        }
    },
    "transform": {
        "transformed_examples": {
            "counts.json": {
                "train": {"in": 9, "kept": 8, "rejected": {"no_face": 1}, "copies": 5},
                "test": {"in": 0, "kept": 0, "rejected": {}, "copies": 0},
            },
            "before_after.png": PICTURE,
        }
    },
    "tuner": {
        "best_hyperparameters": {
            "best_hyperparameters.json": {"values": {}, "chosen_by": "best val_loss of 2 trials"}
        },
        "tuner_results": {"trials.json": TRIALS, "objective.png": PICTURE},
    },
    "baseline": {
        "best_hyperparameters": {
            "best_hyperparameters.json": {"values": {}, "chosen_by": "defaults: no search"}
        },
        "tuner_results": {"trials.json": []},
        "model": {
            "model.json": {
                "hypermodel": "landmark_svm",
                "hyperparameters": {"kernel": "linear"},
                "parameters": 700,
            },
            "recipe.json": {**RECIPE, "landmarks": "scale_free"},
        },
    },
    "trainer": {
        "model": {
            "history.json": [EPOCH, {**EPOCH, "epoch": 2, "loss": 1.5}],
            "learning_curves.png": PICTURE,
            "model.json": {
                "hypermodel": "expression_net",
                "hyperparameters": {"width": 8},
                "parameters": 12345,
                "best_epoch": 2,
            },
            "recipe.json": RECIPE,
            "summary.txt": "conv2d <none>",
        }
    },
    "evaluator": {
        "blessing": {},
        "evaluation": {
            "metrics.json": {
                "split": "test",
                "images": 285,
                "rejected": {HOSTILE: 1200, "damaged": 1},
                "test_read": "before",
                "test/accuracy": interval(0.75),
                "test/macro_f1": {"value": 1.0, "low": 1.0, "high": 1.0},
                "test/log_loss": interval(1.25),
            },
            "classes.json": [
                {"label": HOSTILE, "images": 3, **CLASS, "roc_auc": None},
                {"label": "sad", "images": 6, **CLASS, "roc_auc": 0.9},
            ],
            "slices.json": [
                {"slice": "brightness", "value": "dark", **SLICE},
                {"slice": "brightness", "value": "bright", **SLICE},
                {"slice": "subject", "value": HOSTILE, **SLICE},
            ],
            "comparison.json": {
                "champion_version": 3,
                "images": 280,
                "metrics": {
                    "accuracy": {"candidate": 0.75, "champion": 0.73, "difference": CHANGE}
                },
                "mcnemar": {"only_candidate_right": 9, "only_champion_right": 4, "p_value": 0.27},
            },
            "mistakes.csv": [{"source": HOSTILE, "label": "sad", "predicted": HOSTILE}],
            "confusion_matrix.png": PICTURE,
            "mistakes.png": PICTURE,
        },
    },
    "infra_validator": {
        "infra_blessing": {
            "infra_blessing.json": {
                "infra_blessing": "BLESSED",
                "images": 16,
                "tolerance": 1e-5,
                "largest_difference": {"REST": 2e-8},
            }
        }
    },
    "pusher": {"pushed_model": {}},
}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Makes a root whose run did the steps in `done`, of all that `steps` names."""

    def make(
        steps: list[str] = TRAINING, done: list[str] | None = None, **told: Any
    ) -> tuple[Path, Run]:
        done = steps if done is None else done
        run = Run(told.pop("config", "drawn_faces"), RUN_ID, "m1f10w", [Step(s) for s in steps])
        for step in run.steps:
            step.state, step.seconds = ("executed", 2.0) if step.name in done else ("skipped", 0.0)
        for name, value in told.items():
            setattr(run, name, value)
        for step in done:
            _store(tmp_path, step)
        write_run(tmp_path, run)
        return tmp_path, run

    return make


def _store(root: Path, step: str) -> None:
    folder = root / "store" / step / "k3y"
    for output, files in FILES[step].items():
        for name, content in files.items():
            _write(folder / output / name, content)
    manifest = {
        "cause": {"parameters": {step: {"objective": "val_loss", "oracle": "random"}}},
        "outputs": {output: {} for output in FILES[step]},
        "made_by": {"run": RUN_ID, "mlflow_run": ""},
    }
    write_json(folder / "manifest.json", manifest)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".json":
        write_json(path, content)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*content[0], "probability"])
            writer.writeheader()
            writer.writerows({**row, "probability": "0.98"} for row in content)
    else:
        path.write_text(content)
