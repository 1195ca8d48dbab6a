"""A candidate against the champion, on the pictures that both were tested on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from components.common.evaluation.bootstrap import resample
from components.common.evaluation.champions import CURE, Champion, NotComparableError
from components.common.evaluation.intervals import Interval, percentile_interval
from components.common.evaluation.metrics import NOT_OF_A_MODEL, measure
from components.common.records import Split


class Difference(NamedTuple):
    """A metric of both; the difference is the candidate's minus the champion's."""

    candidate: float
    champion: float
    difference: Interval


class McNemar(NamedTuple):
    """McNemar's exact test: how likely so unequal counts are where both are equally good.

    McNemar 1947, by the binomial distribution as Fagerland, Lydersen and Laake 2013 describe it.
    """

    only_candidate_right: int
    only_champion_right: int
    p_value: float


class Comparison(NamedTuple):
    """What the two did on the same pictures."""

    champion_version: int
    images: int
    metrics: dict[str, Difference]
    mcnemar: McNemar

    def as_json(self) -> dict[str, Any]:
        """As `comparison.json` has it."""
        metrics = {
            name: {**of._asdict(), "difference": of.difference._asdict()}
            for name, of in self.metrics.items()
        }
        return {**self._asdict(), "metrics": metrics, "mcnemar": self.mcnemar._asdict()}


def compare(
    split: Split,
    digests: Sequence[str],
    probabilities: NDArray[np.float32],
    champion: Champion,
    *,
    resamples: int,
    seed: int,
) -> Comparison:
    """Compares on the pictures of both test splits; intervals are of resamples that both share.

    Args:
        split: the candidate's.
        digests: of its original pictures, [n], "" where it is not known. An id comes from a file's
            name, which another picture may have by now.
        probabilities: the candidate's, float32 [n, classes].
        champion: whose predictions are looked up by id, and taken where the digests agree.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        NotComparableError: no picture is in both.
    """
    pictures = enumerate(zip(split.ids, digests, strict=True))
    rows = [row for row, (name, digest) in pictures if champion.digests.get(name) == digest]
    if not rows:
        raise NotComparableError(
            f"the champion (version {champion.version}) is known to be tested on none of these "
            f"pictures: {CURE}"
        )
    labels, subjects = split.labels[rows], [split.subjects[row] for row in rows]
    theirs = np.array([champion.predictions[split.ids[row]] for row in rows], np.float32)
    sides = (probabilities[rows], theirs)
    (candidate, of_champion), (ours_resampled, theirs_resampled) = (
        [measure(labels, side) for side in sides],
        [resample(labels, s, subjects, resamples=resamples, seed=seed).metrics for s in sides],
    )
    metrics = {}
    for name in candidate:
        if name in of_champion and name not in NOT_OF_A_MODEL:
            difference = candidate[name] - of_champion[name]
            differences = ours_resampled[name] - theirs_resampled[name]
            bounds = percentile_interval("difference", difference, differences)
            metrics[name] = Difference(candidate[name], of_champion[name], bounds)
    return Comparison(champion.version, len(rows), metrics, _mcnemar(labels, *sides))


def _mcnemar(
    labels: NDArray[np.int64], ours: NDArray[np.float32], theirs: NDArray[np.float32]
) -> McNemar:
    we, they = (side.argmax(axis=1) == labels for side in (ours, theirs))
    only_we, only_they = int((we & ~they).sum()), int((they & ~we).sum())
    differ = only_we + only_they
    p_value = float(binomtest(only_we, differ).pvalue) if differ else 1.0
    return McNemar(only_we, only_they, p_value)
