"""Assigning examples to train, validation and test by a stable hash.

The hash is of the seed and a name (the source, or the subject), never of a position, so that the
order in which examples come decides nothing.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from components.common.examples import SPLITS


class Unsplit(NamedTuple):
    """What a split may look at."""

    label: str
    subject: str
    source: str


class Shares(NamedTuple):
    """Shares of the examples for each split, 0..1, together 1."""

    train: float
    validation: float
    test: float


def assign_splits(
    examples: Sequence[Unsplit], *, method: str, shares: Shares, seed: int
) -> list[str]:
    """Returns the split of each example.

    Args:
        examples: with sources that are unique.
        method: `random`: each by its own hash; `stratified`: the shares hold inside every class, to
            the nearest image; `subject`: all images of a person on one side.
        shares: how much each split gets. By subject they hold for persons, on average.
        seed: another seed, another split.

    Raises:
        ValueError: unknown method, or a split by subject without subjects.
    """
    if method == "random":
        return [_at(_unit(seed, example.source), shares) for example in examples]
    if method == "stratified":
        return _stratified(examples, shares, seed)
    if method == "subject":
        if not all(example.subject for example in examples):
            raise ValueError("split.method=subject: not every example names its subject")
        return [_at(_unit(seed, example.subject), shares) for example in examples]
    raise ValueError(f"split.method={method}: unknown; one of random, stratified, subject")


def _unit(seed: int, name: str) -> float:
    """A number in [0, 1) that hangs on the seed and the name alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _at(place: float, shares: Shares) -> str:
    """The split that lies at `place` in [0, 1) when the shares are laid end to end."""
    if place < shares.train:
        return SPLITS[0]
    # Without a test share, rounding must not open a gap behind validation.
    return SPLITS[1] if place < shares.train + shares.validation or not shares.test else SPLITS[2]


def _stratified(examples: Sequence[Unsplit], shares: Shares, seed: int) -> list[str]:
    ranked: dict[str, list[int]] = defaultdict(list)
    order = sorted(range(len(examples)), key=lambda i: _unit(seed, examples[i].source))
    for index in order:
        ranked[examples[index].label].append(index)
    splits = [""] * len(examples)
    for indices in ranked.values():
        for rank, index in enumerate(indices):
            splits[index] = _at((rank + 0.5) / len(indices), shares)
    return splits
