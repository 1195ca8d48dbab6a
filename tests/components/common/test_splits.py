import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import pytest

from components.common.splits import (
    Shares,
    SplitError,
    Unsplit,
    assign_folds,
    assign_splits,
    splits_of_fold,
)

SHARES = Shares(0.7, 0.15, 0.15)
METHODS = ["official", "random", "stratified", "subject"]
SIZES = [20, 57, 400, 2000]


def people(count: int, official: Sequence[str] = ("train", "test")) -> list[Unsplit]:
    """`count` different pictures of 40 persons and 3 classes of unlike size."""
    return [
        Unsplit(f"class{(n % 7) // 3}", f"person{n % 40}", f"sha{n}", official[n % len(official)])
        for n in range(count)
    ]


def nobody(count: int) -> list[Unsplit]:
    return [example._replace(subject="") for example in people(count)]


def with_copies(count: int, seed: int) -> list[Unsplit]:
    """Every fourth picture is there again, often with another label or for another person."""
    rng = random.Random(seed)
    examples = people(count)
    copies = [
        rng.choice(examples)._replace(content=example.content) for example in examples[::4]
    ] + examples[::8]
    return examples + copies


def split_of(
    examples: Sequence[Unsplit], method: str, seed: int = 0, shares: Shares = SHARES
) -> dict[Unsplit, str]:
    splits = assign_splits(examples, method=method, shares=shares, seed=seed)
    assert len(splits) == len(examples)
    return dict(zip(examples, splits, strict=True))


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_order_decides_nothing(method: str, count: int) -> None:
    examples = with_copies(count, seed=count)
    shuffled = random.Random(0).sample(examples, len(examples))
    assert split_of(examples, method) == split_of(shuffled, method)


@pytest.mark.parametrize("by_subject", [True, False])
@pytest.mark.parametrize("count", SIZES)
def test_order_decides_nothing_for_folds(count: int, by_subject: bool) -> None:
    examples = people(count) if by_subject else nobody(count)
    shuffled = random.Random(0).sample(examples, len(examples))
    folds, again = (assign_folds(each, folds=2, seed=1) for each in (examples, shuffled))
    assert set(zip(examples, folds, strict=True)) == set(zip(shuffled, again, strict=True))


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("method", ["random", "subject", "official"])
def test_new_images_move_no_other(method: str, count: int) -> None:
    own = ("train", "train", "validation", "test")
    for new in (1, 7, count):
        before = split_of(people(count, own), method)
        assert before.items() <= split_of(people(count + new, own), method).items()


def groups_moved(before: dict[Unsplit, str], after: dict[Unsplit, str], label: str) -> int:
    return len(
        {e.content for e in before if e.label == label and before[e] != after[e]},
    )


@pytest.mark.parametrize("count", SIZES)
def test_stratified_a_new_picture_moves_one_at_most_over_each_cut_of_its_class(count: int) -> None:
    examples = nobody(count)
    before = split_of(examples, "stratified")
    for new in range(20):
        label = f"class{new % 3}"
        after = split_of([*examples, Unsplit(label, "", f"new{new}", "train")], "stratified")
        for other in {e.label for e in examples}:
            assert groups_moved(before, after, other) <= (2 if other == label else 0)


@pytest.mark.parametrize("count", SIZES)
def test_a_new_picture_moves_one_at_most_over_each_edge_of_the_folds_of_its_class(
    count: int,
) -> None:
    examples, folds = nobody(count), 4 if count > 20 else 2
    before = dict(zip(examples, assign_folds(examples, folds=folds, seed=0), strict=True))
    for new in range(20):
        more = [*examples, Unsplit("class1", "", f"new{new}", "train")]
        after = dict(zip(more, assign_folds(more, folds=folds, seed=0), strict=True))
        moved = Counter(
            tuple(sorted((before[e], after[e]))) for e in examples if before[e] != after[e]
        )
        assert {e.label for e in examples if before[e] != after[e]} <= {"class1"}
        assert set(moved) <= set(pairwise(range(folds)))
        assert max(moved.values(), default=0) <= 1


@pytest.mark.parametrize("method", METHODS)
def test_another_seed_gives_another_split(method: str) -> None:
    assert split_of(people(200), method) != split_of(people(200), method, seed=1)


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("method", ["random", "stratified", "auto", "folds"])
def test_the_same_picture_is_on_one_side_whatever_its_label(method: str, count: int) -> None:
    for seed in range(5):
        examples = [e._replace(subject="") for e in with_copies(count, seed)]
        places: Sequence[object] = (
            assign_folds(examples, folds=2, seed=seed)
            if method == "folds"
            else assign_splits(examples, method=method, shares=SHARES, seed=seed)
        )
        sides = defaultdict(set)
        for example, place in zip(examples, places, strict=True):
            sides[example.content].add(place)
        assert all(len(of_content) == 1 for of_content in sides.values())


def test_random_shares_hold_on_average() -> None:
    counts = Counter(split_of(people(5000), "random").values())
    assert counts["train"] == pytest.approx(3500, abs=150)
    assert counts["validation"] == pytest.approx(750, abs=100)
    assert counts["test"] == pytest.approx(750, abs=100)


@pytest.mark.parametrize("count", SIZES)
def test_stratified_shares_hold_in_each_class_to_the_nearest_image(count: int) -> None:
    for seed in range(5):
        splits = split_of(nobody(count), "stratified", seed)
        sizes = Counter(example.label for example in splits)
        for (label, split), found in Counter((e.label, s) for e, s in splits.items()).items():
            assert abs(found - sizes[label] * getattr(SHARES, split)) <= 1


@pytest.mark.parametrize("method", ["subject", "auto"])
def test_no_subject_is_on_two_sides(method: str) -> None:
    splits = split_of(people(400), method)
    sides = {(example.subject, split) for example, split in splits.items()}
    assert len(sides) == 40
    assert {split for _, split in sides} == {"train", "validation", "test"}


def test_auto_is_stratified_where_a_single_subject_is_unknown() -> None:
    examples = [*people(99), Unsplit("class0", "", "unknown", "train")]
    assert split_of(examples, "auto") == split_of(examples, "stratified")


@pytest.mark.parametrize("method", ["random", "stratified", "subject"])
@pytest.mark.parametrize(
    ("shares", "there"),
    [
        (Shares(1, 0, 0), {"train"}),
        (Shares(0.7, 0.3, 0), {"train", "validation"}),
        (Shares(0.7, 0, 0.3), {"train", "test"}),
    ],
)
def test_a_share_of_nothing_gets_nothing(method: str, shares: Shares, there: set[str]) -> None:
    assert set(split_of(people(300), method, shares=shares).values()) == there


def test_official_splits_stay_as_they_are_where_there_is_validation() -> None:
    splits = split_of(people(90, ("train", "validation", "test")), "official")
    assert all(example.official == split for example, split in splits.items())


def test_official_train_gives_a_share_of_each_class_to_validation_where_there_is_none() -> None:
    examples = [example._replace(subject="") for example in people(700)]
    splits = split_of(examples, "official")
    assert {e for e, s in splits.items() if s == "test"} == {
        e for e in splits if e.official == "test"
    }
    counts = Counter((e.label, s) for e, s in splits.items() if s != "test")
    for label in ("class0", "class1", "class2"):
        train, validation = counts[label, "train"], counts[label, "validation"]
        assert abs(validation - 0.15 * (train + validation)) <= 1
    assert set(split_of(people(90), "official", shares=Shares(1, 0, 0)).values()) == {
        "train",
        "test",
    }


@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("count", [90, 401, 2000])
def test_folds_of_a_class_are_alike_in_size(count: int, folds: int) -> None:
    examples = nobody(count)
    assigned = assign_folds(examples, folds=folds, seed=count)
    for label in ("class0", "class1", "class2"):
        sizes = Counter(f for e, f in zip(examples, assigned, strict=True) if e.label == label)
        assert set(sizes) == set(range(folds))
        assert max(sizes.values()) - min(sizes.values()) <= 1


def test_by_subject_nobody_is_in_two_folds_and_each_fold_has_as_many_people() -> None:
    examples = people(203)
    assigned = assign_folds(examples, folds=6, seed=0)
    pairs = {(e.subject, fold) for e, fold in zip(examples, assigned, strict=True)}
    assert len(pairs) == 40
    assert sorted(Counter(fold for _, fold in pairs).values()) == [6, 6, 7, 7, 7, 7]


@pytest.mark.parametrize("of", [3, 4, 10])
def test_over_the_folds_every_example_is_tested_on_once_and_validated_on_once(of: int) -> None:
    folds = assign_folds(people(120), folds=of, seed=0)
    runs = [splits_of_fold(folds, fold, of) for fold in range(of)]
    for of_example in zip(*runs, strict=True):
        assert Counter(of_example) == {"test": 1, "validation": 1, "train": of - 2}


@pytest.mark.parametrize(
    ("examples", "method", "message"),
    [
        (nobody(5), "subject", "split.method=subject: not every example names its subject"),
        (
            people(5, ("train",)),
            "official",
            "split.method=official: the dataset has no splits of its own; try auto",
        ),
        (
            people(2),
            "kfold",
            "split.method=kfold: unknown; one of auto, official, random, stratified, subject",
        ),
    ],
)
def test_what_cannot_be_split_so_is_said(
    examples: list[Unsplit], method: str, message: str
) -> None:
    with pytest.raises(SplitError) as refused:
        assign_splits(examples, method=method, shares=SHARES, seed=0)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (people(4), "split.kfold=5: there are only 4 subjects"),
        (
            [Unsplit("a", "", f"{n % 3}", "train") for n in range(30)],
            "split.kfold=5: there are only 3 different pictures of 'a'",
        ),
    ],
)
def test_more_folds_than_there_are_groups_are_refused(
    examples: list[Unsplit], message: str
) -> None:
    with pytest.raises(SplitError) as refused:
        assign_folds(examples, folds=5, seed=0)
    assert str(refused.value) == message


def test_a_split_that_nobody_falls_into_is_refused() -> None:
    two = [Unsplit("a", person, person, "train") for person in ("ann", "bob")]
    with pytest.raises(SplitError, match=r"none of the 2 subjects fell into \w+; try another"):
        assign_splits(two, method="subject", shares=Shares(0.7, 0.15, 0.15), seed=0)


def test_validation_of_an_official_split_is_of_other_people() -> None:
    train = [Unsplit("a", f"p{n % 20}", str(n), "train") for n in range(200)]
    test = [Unsplit("a", "q", "t", "test")]
    shares = Shares(0.7, 0.3, 0.0)
    splits = assign_splits([*train, *test], method="official", shares=shares, seed=0)
    sides = set(zip((example.subject for example in train), splits, strict=False))
    assert len(sides) == 20
    assert {split for _, split in sides} == {"train", "validation"}
