from collections import Counter
from collections.abc import Sequence

import pytest

from components.common.balancing import Balance, Copy, Plan, TrainExample, plan_balance

LABELS = [
    [],
    [[]],
    [[0]],
    [[0, 1, 1, 1], [2, 1, 0]],
    [[0] * 9, [1], [2] * 4, [1, 2]],
    [[3, 3], [5]],
]


def shards(labels: Sequence[Sequence[int]]) -> list[list[TrainExample]]:
    return [
        [TrainExample(f"{shard}-{place}", label) for place, label in enumerate(of_shard)]
        for shard, of_shard in enumerate(labels)
    ]


def classes_after(labels: Sequence[Sequence[int]], plan: Plan) -> Counter[int]:
    stay = Counter(
        label
        for shard, of_shard in enumerate(labels)
        for place, label in enumerate(of_shard)
        if place not in plan.left_out.get(shard, [])
    )
    return stay + Counter(labels[copy.shard][copy.place] for copy in plan.copies)


@pytest.mark.parametrize("copies", [0, 1, 3])
@pytest.mark.parametrize("labels", LABELS)
def test_oversampled_classes_are_as_large_as_the_largest(
    labels: list[list[int]], copies: int
) -> None:
    plan = plan_balance(shards(labels), Balance(copies, "oversample"))
    sizes = Counter(label for of_shard in labels for label in of_shard)
    after = classes_after(labels, plan)
    assert after == dict.fromkeys(sizes, (1 + copies) * max(sizes.values(), default=0))
    for label, size in sizes.items():
        # No picture is copied more than once oftener than another of its class.
        times = [
            sum((copy.shard, copy.place) == (shard, place) for copy in plan.copies)
            for shard, of_shard in enumerate(labels)
            for place, of_place in enumerate(of_shard)
            if of_place == label
        ]
        assert len(times) == size
        assert max(times) - min(times) <= 1


@pytest.mark.parametrize("labels", LABELS)
def test_copies_of_an_example_are_numbered_from_one(labels: list[list[int]]) -> None:
    copies = plan_balance(shards(labels), Balance(2, "oversample")).copies
    assert copies == sorted(set(copies))
    for example in {copy[:2] for copy in copies}:
        numbers = [copy.number for copy in copies if copy[:2] == example]
        assert numbers == list(range(1, len(numbers) + 1))


def test_without_copies_and_balance_nothing_happens() -> None:
    plan = plan_balance(shards([[0, 1], [1]]), Balance())
    assert plan == Plan({}, [])


def test_a_copy_of_each_is_one_of_each() -> None:
    plan = plan_balance(shards([[0, 1], [1]]), Balance(copies=1))
    assert plan.copies == [Copy(0, 0, 1), Copy(0, 1, 1), Copy(1, 0, 1)]


@pytest.mark.parametrize(("class_cap", "size"), [(None, 2), (3, 3), (1, 1), (100, 100)])
def test_no_class_keeps_more_than_the_cap(class_cap: int | None, size: int) -> None:
    labels = [[0] * 9, [1, 2, 2], [2] * 4, [1]]
    plan = plan_balance(shards(labels), Balance(method="cap", class_cap=class_cap))
    assert classes_after(labels, plan) == {0: min(9, size), 1: min(2, size), 2: min(6, size)}
    assert plan.copies == []


def test_what_the_cap_leaves_out_is_not_copied() -> None:
    labels = [[0] * 9, [1, 1]]
    plan = plan_balance(shards(labels), Balance(copies=2, method="cap"))
    assert classes_after(labels, plan) == {0: 6, 1: 6}
    assert not {copy.place for copy in plan.copies if copy.shard == 0} & set(plan.left_out[0])


def test_who_stays_under_the_cap_hangs_on_the_ids_alone() -> None:
    def staying(cut: Sequence[Sequence[TrainExample]]) -> set[str]:
        plan = plan_balance(cut, Balance(method="cap", class_cap=5))
        return {
            example.id
            for shard, of_shard in enumerate(cut)
            for place, example in enumerate(of_shard)
            if place not in plan.left_out.get(shard, [])
        }

    (whole,) = shards([[0] * 30])
    assert staying([whole]) == staying([whole[20:], whole[:7], whole[7:20]])
