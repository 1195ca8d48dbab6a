"""What a model card and the registry say of a version, in words and from its manifest.

The manifest is `mien_manifest.json`; `evaluation` in it is the Evaluator's `metrics.json`. What an
earlier mien did not write is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_METHODS = {
    "auto": "by person where all are known, else each class alike",
    "random": "each image by chance",
    "stratified": "each class alike",
    "subject": "by person, nobody being in two splits",
}
_FEW = 30
"""Images of a class, below which one more or fewer right moves its recall by over 3 points."""


def headline(manifest: Mapping[str, Any], name: str) -> dict[str, float] | None:
    """A metric of the split that was judged, with its interval; None where there is none."""
    evaluation = manifest.get("evaluation", {})
    return evaluation.get(f"{evaluation.get('split')}/{name}")


def interval(metric: Mapping[str, float]) -> str:
    """`0.912 (0.880 to 0.941)`; an interval without width says nothing, and is left out."""
    if not _width(metric):
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f})"


def _width(metric: Mapping[str, float]) -> float:
    return metric["high"] - metric["low"]


def summary(manifest: Mapping[str, Any]) -> Iterator[str]:
    """How good it is, in a sentence or three."""
    accuracy, macro_f1 = headline(manifest, "accuracy"), headline(manifest, "macro_f1")
    if accuracy is None:
        yield "It was pushed without an evaluation."
        return
    evaluation = manifest["evaluation"]
    within = f" (95 % interval {_percent(accuracy['low'])} to {_percent(accuracy['high'])})"
    yield (
        f"Of {evaluation['images']:,} images of the {evaluation['split']} split it names "
        f"{_percent(accuracy['value'])} right{within if _width(accuracy) else ''}."
    )
    if macro_f1 is not None:
        yield f"Macro F1 is {interval(macro_f1)}."
    majority = headline(manifest, "majority_accuracy")
    if majority is not None:
        yield f"Always saying the commonest class is right for {_percent(majority['value'])};"
    yield f"guessing is right for {_percent(1 / len(manifest['labels']))}."


def how_split(split: Mapping[str, Any], subjects: int | None) -> str:
    """How the examples were assigned, from the section `split` of the config."""
    if split.get("kfold"):
        alike = "subject" if subjects else "stratified"
        return (
            f"into {split['kfold']} folds {_METHODS[alike]}: tested on fold "
            f"{split.get('fold', 0)}, validated on the next one; seed {split['seed']}"
        )
    if split.get("method") == "official":
        return (
            "as the dataset's authors did; where they made no validation split, it is "
            f"{100 * split['validation']:g} % of their train split; seed {split['seed']}"
        )
    method = _METHODS[split.get("method") or "auto"]
    shares = ", ".join(
        f"{100 * split[name]:g} % {name}" for name in ("train", "validation", "test")
    )
    return f"{method}: {shares}; seed {split['seed']}"


def limits(manifest: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the numbers do not say, with how little they rest on.

    Args:
        manifest: the version's.
        classes: the Evaluator's `classes.json`, empty where there is none.
    """
    evaluation, dataset = manifest.get("evaluation", {}), manifest["dataset"]
    accuracy = headline(manifest, "accuracy")
    judged = evaluation.get("split")
    if judged and judged != "test":
        yield (
            f"There was no test split: the numbers are of {judged}, which took part in training "
            "or in choosing the model, and flatter it."
        )
    if accuracy and (images := evaluation["images"]):
        points = 100 * _width(accuracy)
        wide = f", and its 95 % interval is {points:.2g} points wide" if points else ""
        yield (
            f"{images:,} images were judged: one more or fewer right moves the accuracy by "
            f"{100 / images:.2g} points{wide}."
        )
    if rejected := evaluation.get("rejected"):
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in rejected.items())
        yield (
            f"{sum(rejected.values()):,} more images of {judged} were rejected before and are in "
            f"none of the numbers: {reasons}."
        )
    if few := [f"{row['label']} ({row['images']})" for row in classes if row["images"] < _FEW]:
        yield f"Classes judged on fewer than {_FEW} images: {', '.join(few)}."
    if evaluation.get("test_time_augmentation"):
        yield (
            "It was judged by the mean over each image and its mirror image, and the served model "
            "looks once: served, it is a little worse than these numbers."
        )
    if manifest.get("trained", {}).get("data", {}).get("train", {}).get("subjects", 0) is None:
        yield "Not all people are known by name: the same person may be in two splits."
    if dataset["name"] == "drawn_faces":
        yield "The faces are drawn by a program: what it makes of photographs is unknown."
    yield (
        f"It was tested on images of {dataset['name']} alone: not on other cameras, light, poses, "
        "ages, cultures or skin tones, unless that dataset has them, and never for how its errors "
        "differ between groups of people."
    )
    yield "It answers with one of its classes for every picture, also for one without a face."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
