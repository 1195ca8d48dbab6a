"""Assigning examples to train, validation and test by a stable hash.

The hash is of the seed and a group's name, never of a position: the order in which examples come
decides nothing, and with `random` and `subject` a new example moves no other. A group stays
together: the pictures of a person, or pictures with the same bytes.

To fill each class's shares to the nearest image, which small datasets need, `stratified` and the
folds rank the groups by their hashes and cut the ranking. No function of one example alone can do
that, so there a new group moves others: at most one over each cut of its own ranking.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from components.common.examples import SPLITS


class SplitError(ValueError):
    """The examples cannot be split that way; says what would be right."""


class Unsplit(NamedTuple):
    """What a split may look at.

    Attributes:
        label: the example's.
        subject: whose face it is; "" where nobody knows.
        content: digest of the encoded picture.
        official: the dataset's own split.
    """

    label: str
    subject: str
    content: str
    official: str


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
        examples: all of the dataset.
        method: `official`: the dataset's own splits; where it has a test and no validation split,
            `shares.validation` of its train examples, as `auto`. `random`: each picture by its own
            hash. `stratified`: the shares hold inside every class, to the nearest image. `subject`:
            all images of a person on one side. `auto`: by subject where all are known, else
            stratified.
        shares: how much each split gets. By subject they hold for persons, on average.
        seed: another seed, another split.

    Raises:
        SplitError: unknown method, a split by subject without subjects, an official one without.
    """
    if method not in _METHODS:
        raise SplitError(f"split.method={method}: unknown; one of {', '.join(_METHODS)}")
    return _METHODS[method](examples, shares, seed)


def assign_folds(examples: Sequence[Unsplit], *, folds: int, seed: int) -> list[int]:
    """Returns the fold of each example, 0..folds-1: people whole where known, else stratified.

    Raises:
        SplitError: there are fewer people, or fewer examples of a class, than folds.
    """
    by_subject = _subjects_known(examples)
    groups = [example.subject if by_subject else example.content for example in examples]
    strata = [""] * len(examples) if by_subject else [example.label for example in examples]
    places, sizes = _places(groups, strata, seed)
    for stratum, size in sizes.items():
        if size < folds:
            what = f"different pictures of {stratum!r}" if stratum else "subjects"
            raise SplitError(f"split.kfold={folds}: there are only {size} {what}")
    return [int(place * folds) for place in places]


def splits_of_fold(folds: Sequence[int], fold: int, of: int) -> list[str]:
    """The split of each example when `fold` is tested on and the next one validated on."""
    split_of_fold = {fold: "test", (fold + 1) % of: "validation"}
    return [split_of_fold.get(number, "train") for number in folds]


def _official(examples: Sequence[Unsplit], shares: Shares, seed: int) -> list[str]:
    there = {example.official for example in examples}
    if there == {"train"}:
        raise SplitError("split.method=official: the dataset has no splits of its own; try auto")
    if "validation" in there:
        return [example.official for example in examples]
    train = [i for i, example in enumerate(examples) if example.official == "train"]
    of_train = _auto(
        [examples[i] for i in train], Shares(1 - shares.validation, shares.validation, 0), seed
    )
    assigned = dict(zip(train, of_train, strict=True))
    return [assigned.get(i, example.official) for i, example in enumerate(examples)]


def _random(examples: Sequence[Unsplit], shares: Shares, seed: int) -> list[str]:
    return [_at(_unit(seed, example.content), shares) for example in examples]


def _stratified(examples: Sequence[Unsplit], shares: Shares, seed: int) -> list[str]:
    contents = [example.content for example in examples]
    places, _ = _places(contents, [example.label for example in examples], seed)
    return [_at(place, shares) for place in places]


def _subject(examples: Sequence[Unsplit], shares: Shares, seed: int) -> list[str]:
    if not _subjects_known(examples):
        raise SplitError("split.method=subject: not every example names its subject")
    splits = [_at(_unit(seed, example.subject), shares) for example in examples]
    for split, share in zip(SPLITS, shares, strict=True):
        if share and split not in splits:
            people = len({example.subject for example in examples})
            raise SplitError(
                f"split.method=subject: none of the {people} subjects fell into {split}; try "
                "another split.seed, or folds (split.kfold)"
            )
    return splits


def _auto(examples: Sequence[Unsplit], shares: Shares, seed: int) -> list[str]:
    split = _subject if _subjects_known(examples) else _stratified
    return split(examples, shares, seed)


_METHODS: dict[str, Callable[[Sequence[Unsplit], Shares, int], list[str]]] = {
    "auto": _auto,
    "official": _official,
    "random": _random,
    "stratified": _stratified,
    "subject": _subject,
}


def _subjects_known(examples: Sequence[Unsplit]) -> bool:
    return all(example.subject for example in examples)


def _unit(seed: int, name: str) -> float:
    """A number in [0, 1) that hangs on the seed and the name alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _places(
    groups: Sequence[str], strata: Sequence[str], seed: int
) -> tuple[list[float], dict[str, int]]:
    """Each example's place in [0, 1) in the ranking of its stratum, and the size of each stratum.

    A group whose examples are in two strata, the same picture with two labels, counts in the first
    by name.
    """
    stratum_of: dict[str, str] = {}
    for group, stratum in zip(groups, strata, strict=True):
        stratum_of[group] = min(stratum_of.get(group, stratum), stratum)
    ranked: dict[str, list[str]] = defaultdict(list)
    for group in sorted(stratum_of, key=lambda group: (_unit(seed, group), group)):
        ranked[stratum_of[group]].append(group)
    place = {
        group: (rank + 0.5) / len(of_stratum)
        for of_stratum in ranked.values()
        for rank, group in enumerate(of_stratum)
    }
    return [place[group] for group in groups], {name: len(of) for name, of in ranked.items()}


def _at(place: float, shares: Shares) -> str:
    """The split that lies at `place` in [0, 1) when the shares are laid end to end."""
    if place < shares.train:
        return SPLITS[0]
    # Without a test share, rounding must not open a gap behind validation.
    return SPLITS[1] if place < shares.train + shares.validation or not shares.test else SPLITS[2]
