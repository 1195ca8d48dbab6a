"""Value and change thresholds, and what became of each in words."""

from collections.abc import Mapping
from typing import NamedTuple

from components.common.evaluation.comparison import Comparison
from components.common.evaluation.intervals import Interval
from components.common.evaluation.metric_names import LOWER_IS_BETTER

_ROUNDING = 1e-9
"""0.91 - 0.9 is more than 0.01 to a computer."""


class Verdict(NamedTuple):
    """Whether a threshold holds, and why."""

    holds: bool
    reason: str


def judge_values(
    split: str, metrics: Mapping[str, Interval], thresholds: Mapping[str, float]
) -> list[Verdict]:
    """A verdict for each metric's bound: from below, or from above where less is better."""
    return [_judge_value(split, name, metrics, bound) for name, bound in thresholds.items()]


def judge_changes(
    split: str, comparison: Comparison, not_worse_by: Mapping[str, float]
) -> list[Verdict]:
    """A verdict for each metric that may not be worse than the champion's by more than so much."""
    return [_judge_change(split, comparison, *of) for of in not_worse_by.items()]


def _judge_value(split: str, name: str, metrics: Mapping[str, Interval], bound: float) -> Verdict:
    lower = name in LOWER_IS_BETTER
    wanted = f"wanted {'at most' if lower else 'at least'} {bound:g}"
    if name not in metrics:
        return Verdict(False, f"{split}/{name} cannot be computed, {wanted}: fails")
    value = metrics[name].value
    holds = value <= bound if lower else value >= bound
    return Verdict(holds, f"{split}/{name} is {value:.4f}, {wanted}: {_word(holds)}")


def _judge_change(split: str, comparison: Comparison, name: str, most: float) -> Verdict:
    wanted = f"wanted at most {most:g} worse"
    if name not in comparison.metrics:
        return Verdict(
            False, f"{split}/{name} cannot be compared with the champion's, {wanted}: fails"
        )
    of = comparison.metrics[name]
    change, low, high = of.difference
    worse = change if name in LOWER_IS_BETTER else -change
    holds = worse <= most + _ROUNDING
    return Verdict(
        holds,
        f"{split}/{name} is {of.candidate:.4f}, the champion's (version "
        f"{comparison.champion_version}) {of.champion:.4f} on the same {comparison.images:,} "
        f"images: a difference of {change:+.4f} (95 % {low:+.4f} to {high:+.4f}, McNemar's "
        f"p {comparison.mcnemar.p_value:.2g}), {wanted}: {_word(holds)}",
    )


def _word(holds: bool) -> str:
    return "holds" if holds else "fails"
