from collections import Counter

import pytest

from components.common.splits import Shares, Unsplit, assign_splits

SHARES = Shares(0.7, 0.15, 0.15)


def people(count: int) -> list[Unsplit]:
    """`count` pictures of 40 persons."""
    return [Unsplit(f"class{n % 2}", f"person{n % 40}", f"{n}.png") for n in range(count)]


def split_by_source(examples: list[Unsplit], method: str, seed: int = 0) -> dict[str, str]:
    splits = assign_splits(examples, method=method, shares=SHARES, seed=seed)
    return {example.source: split for example, split in zip(examples, splits, strict=True)}


@pytest.mark.parametrize("method", ["random", "stratified", "subject"])
def test_order_decides_nothing(method: str) -> None:
    examples = people(200)
    assert split_by_source(examples, method) == split_by_source(examples[::-1], method)


@pytest.mark.parametrize("method", ["random", "subject"])
def test_new_images_move_no_other(method: str) -> None:
    before, after = split_by_source(people(200), method), split_by_source(people(260), method)
    assert before.items() <= after.items()


@pytest.mark.parametrize("method", ["random", "stratified", "subject"])
def test_another_seed_gives_another_split(method: str) -> None:
    assert split_by_source(people(200), method) != split_by_source(people(200), method, seed=1)


def test_random_shares_hold_on_average() -> None:
    counts = Counter(split_by_source(people(5000), "random").values())
    assert counts["train"] == pytest.approx(3500, abs=150)
    assert counts["validation"] == pytest.approx(750, abs=100)
    assert counts["test"] == pytest.approx(750, abs=100)


def test_stratified_shares_hold_in_each_class() -> None:
    examples = people(80)
    splits = assign_splits(examples, method="stratified", shares=SHARES, seed=3)
    counts = Counter(zip((e.label for e in examples), splits, strict=True))
    wanted = {"train": 28, "validation": 6, "test": 6}
    assert counts == {(f"class{c}", s): n for c in (0, 1) for s, n in wanted.items()}


def test_no_subject_is_on_two_sides() -> None:
    examples = people(400)
    splits = assign_splits(examples, method="subject", shares=SHARES, seed=0)
    sides = set(zip((e.subject for e in examples), splits, strict=True))
    assert len(sides) == 40
    assert {split for _, split in sides} == {"train", "validation", "test"}


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
    assert set(assign_splits(people(300), method=method, shares=shares, seed=0)) == there


def test_by_subject_without_subjects_is_refused() -> None:
    with pytest.raises(ValueError, match="not every example names its subject"):
        assign_splits([Unsplit("a", "", "1.png")], method="subject", shares=SHARES, seed=0)


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"method=kfold.*random, stratified, subject"):
        assign_splits(people(2), method="kfold", shares=SHARES, seed=0)
