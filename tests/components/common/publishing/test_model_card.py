from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from components.common.files import write_json
from components.common.publishing.model_card import code, escape, render_card

HOSTILE = "a|b *c* <img src=x> [d](e) `f` _g_ &amp; ~~h~~ \\ \n# i"


def metric(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


MANIFEST: dict[str, Any] = {
    "model": "faces",
    "version": 3,
    "published_at": "2026-11-22 10:00 UTC",
    "labels": ["sad", "happy"],
    "recipe": {"height": 48, "width": 40, "channels": 1, "face_crop": {"detector": "haar"}},
    "dataset": {
        "name": "made",
        "digest": "d1",
        "options": {"size": 64},
        "left_out": {"files that are no pictures": 2},
        "notes": ["There is no PrivateTest."],
    },
    "trained": {
        "hypermodel": "tiny",
        "hyperparameters": {"units": 8},
        "parameters": 12345,
        "epochs": 5,
        "best_epoch": 4,
        "seed": 7,
        "data": {
            "train": {
                "images": 60,
                "pictures": 30,
                "subjects": 9,
                "classes": {"sad": 20, "happy": 40},
            }
        },
    },
    "split": {"method": "auto", "train": 0.7, "validation": 0.15, "test": 0.15, "seed": 3},
    "origin": {"config": "mine", "run_id": "r1", "git_commit": "c1"},
    "evaluation": {
        "split": "test",
        "images": 20,
        "test/accuracy": metric(0.8),
        "test/macro_f1": metric(0.75),
        "test/majority_accuracy": metric(0.6),
    },
    "mlflow_run_id": "m1",
}
DATA = MANIFEST["trained"]["data"]["train"]
CLASSES = [
    {
        "label": label,
        "images": images,
        "precision": metric(0.7),
        "recall": metric(0.6),
        "f1": metric(0.65),
        "roc_auc": area,
    }
    for label, images, area in (("sad", 8, 0.91), ("happy", 42, None))
]
SLICES = [
    {"slice": "brightness", "value": "dark", "images": 7, "accuracy": metric(0.5)},
    {"slice": "subject", "value": "Jo Doe", "images": 6, "accuracy": metric(0.25)},
    {"slice": "subject", "value": "Al Doe", "images": 9, "accuracy": metric(0.35)},
]
COMPARISON = {
    "champion_version": 2,
    "images": 18,
    "metrics": {"accuracy": {"candidate": 0.8, "champion": 0.7, "difference": metric(0.1)}},
    "mcnemar": {"only_candidate_right": 4, "only_champion_right": 2, "p_value": 0.6875},
}
HEADINGS = [
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Evaluation data",
    "Training data",
    "Quantitative analyses",
    "Ethical considerations",
    "Caveats and recommendations",
    "References",
]


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    write_json(tmp_path / "classes.json", CLASSES)
    write_json(tmp_path / "slices.json", SLICES)
    write_json(tmp_path / "comparison.json", COMPARISON)
    return tmp_path


def parse(card: str) -> list[Token]:
    """The tokens of what comes after the lines for machines."""
    front, marker, text = card.removeprefix("---\n").partition("\n---\n")
    assert marker
    assert "pipeline_tag: image-classification" in front
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


def test_the_headings_are_those_of_mitchell_et_al(evaluation: Path) -> None:
    tokens = parse(render_card(MANIFEST, evaluation, []))
    titles = [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2"
    ]
    assert titles == HEADINGS


@pytest.mark.parametrize(
    "said",
    [
        "# faces, version 3",
        "Of 20 images of the test split it names 80.0 % right (95 % interval 70.0 % to 90.0 %)",
        "Always saying the commonest class is right for 60.0 %; guessing is right for 50.0 %.",
        "| Network | `tiny`, 12,345 parameters |",
        "| Run | `r1`, in MLflow `m1` |",
        "| Code | commit `c1` |",
        "| Dataset | `made`, digest `d1` |",
        "brought to 48 x 40 pixels, gray",
        "must be cut out first, as in training (detector `haar`)",
        "| brightness | dark | 7 | 0.500 (0.400 to 0.600) |",
        "the one that it does worst by has 6 images",
        "- accuracy is 0.8, wanted 0.5: holds",
        'with options `{"size": 64}`',
        "Split by person where all are known, else each class alike: 70 % train, 15 % validation, ",
        "| happy | 40 |\n| all | 60 |\n| without augmented copies | 30 |\n| people | 9 |",
        "- 2: files that are no pictures",
        "There is no PrivateTest.",
        "Trained for 5 epochs, of which number 4 is kept, with seed 7.",
        "| `units` | `8` |",
        "| Macro F1 | 0.750 (0.650 to 0.850) | mean of the classes' F1 |",
        "| sad | 8 | 0.700 (0.600 to 0.800) | 0.600 (0.500 to 0.700) | 0.650 (0.550 to 0.750) |",
        "| 0.650 (0.550 to 0.750) | - |",
        "| Accuracy | 0.800 | 0.700 | +0.100 (+0.000 to +0.200) |",
        "4 images are right with this version alone, 2 with the champion alone",
        "p = 0.688",
        "one more or fewer right moves the accuracy by 5 points, and its 95 % interval is 20 ",
        "Classes judged on fewer than 30 images: sad (8).",
        "(Regulation (EU) 2024/1689)",
        "Art. 5(1)(f)",
        "**An expression is not an emotion.**",
    ],
)
def test_the_card_says(evaluation: Path, said: str) -> None:
    card = render_card(MANIFEST, evaluation, ["accuracy is 0.8, wanted 0.5: holds"])
    assert said in card


def test_nobody_is_named(evaluation: Path) -> None:
    assert "Doe" not in render_card(MANIFEST, evaluation, [])


def test_what_comes_from_data_is_shown_as_it_is(evaluation: Path) -> None:
    manifest = deepcopy(MANIFEST)
    manifest["labels"] = [HOSTILE, "happy"]
    manifest["dataset"]["notes"] = [HOSTILE]
    manifest["dataset"]["left_out"] = {HOSTILE: 1}
    manifest["dataset"]["name"] = HOSTILE
    manifest["origin"]["config"] = HOSTILE
    manifest["trained"]["data"]["train"]["classes"] = {HOSTILE: 1, "happy": 2}
    manifest["trained"]["hyperparameters"] = {HOSTILE: HOSTILE}
    write_json(evaluation / "classes.json", [{**CLASSES[0], "label": HOSTILE}])
    write_json(evaluation / "slices.json", [{**SLICES[0], "value": HOSTILE}])
    hostile = parse(render_card(manifest, evaluation, [HOSTILE]))
    harmless = parse(render_card(MANIFEST, evaluation, ["x"]))

    def kinds(tokens: list[Token]) -> set[str]:
        return {token.type for token in (*tokens, *inline(tokens))} - {"text_special"}

    assert kinds(hostile) <= kinds(harmless)
    texts = ["".join(child.content for child in token.children or []) for token in hostile]
    shown = " ".join(HOSTILE.split())
    assert sum(shown in text for text in texts) >= 9


@pytest.mark.parametrize("missing", ["classes", "slices", "comparison", "all", "evaluation"])
def test_a_table_that_was_not_written_is_left_out(evaluation: Path, missing: str) -> None:
    manifest = deepcopy(MANIFEST)
    for path in evaluation.glob("*.json"):
        if missing in (path.stem, "all", "evaluation"):
            path.unlink()
    if missing == "evaluation":
        for name in ("evaluation", "origin", "trained", "split"):
            del manifest[name]
    card = render_card(manifest, evaluation, [])
    assert ("| sad | 8 |" in card) == (missing in ("slices", "comparison"))
    assert ("| brightness |" in card) == (missing in ("classes", "comparison"))
    assert ("Against the champion" in card) == (missing in ("classes", "slices"))
    assert ("It was pushed without an evaluation." in card) == (missing == "evaluation")
    assert [token.type for token in parse(card)].count("heading_open") == len(HEADINGS) + 1


def test_all_rows_of_a_table_have_its_columns(evaluation: Path) -> None:
    tables: list[list[int]] = []
    for line in render_card(MANIFEST, evaluation, ["x"]).splitlines():
        if not line.startswith("|"):
            tables.append([])
        else:
            tables[-1].append(line.count("|"))
    tables = [table for table in tables if table]
    assert len(tables) == 8
    assert all(len(set(table)) == 1 and len(table) > 2 for table in tables)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": {**MANIFEST["dataset"], "name": "drawn_faces"}}, "drawn by a program"),
        (
            {"evaluation": {"split": "train", "images": 2, "train/accuracy": metric(0.5)}},
            "There was no test split: the numbers are of train",
        ),
        (
            {"evaluation": {**MANIFEST["evaluation"], "test_time_augmentation": True}},
            "each image and its mirror image",
        ),
        (
            {"trained": {"data": {"train": {**DATA, "subjects": None}}}},
            "the same person may be in two splits",
        ),
    ],
)
def test_the_limits_are_those_of_this_model(
    evaluation: Path, changed: dict[str, Any], said: str
) -> None:
    assert said not in render_card(MANIFEST, evaluation, [])
    assert said in render_card({**MANIFEST, **changed}, evaluation, [])


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("happy", "happy"), ("a|b", r"a\|b"), ("two\nlines", "two lines"), ("_x_", r"\_x\_")],
)
def test_a_text_is_escaped_where_markdown_would_read_it(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize(("text", "span"), [("a_b", "`a_b`"), ("a|b", r"a\|b"), ("a`b", r"a\`b")])
def test_what_a_code_span_cannot_hold_is_no_code_span(text: str, span: str) -> None:
    assert code(text) == span
