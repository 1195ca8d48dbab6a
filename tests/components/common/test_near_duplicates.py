import random
from itertools import combinations

import pytest

from components.common.near_duplicates import NearPair, pairs_of_band, unique_hashes


def near_and_far(count: int, seed: int) -> list[str]:
    """Random hashes, each with others that differ from it in 1 to 10 bits."""
    rng = random.Random(seed)
    hashes = []
    for _ in range(count):
        look = rng.getrandbits(64)
        hashes.append(look)
        for bits in rng.sample(range(1, 11), 3):
            hashes.append(look ^ sum(1 << bit for bit in rng.sample(range(64), bits)))
    return [f"{look:016x}" for look in [0, 1, 2**64 - 1, 2**63, *hashes]]


@pytest.mark.parametrize("distance", range(9))
def test_all_bands_give_each_near_pair_exactly_once(distance: int) -> None:
    looks = near_and_far(60, seed=distance)
    every_pair = [
        NearPair(first, second, (int(first, 16) ^ int(second, 16)).bit_count())
        for first, second in combinations(sorted(set(looks)), 2)
    ]
    hashes = unique_hashes(looks)
    found = [p for band in range(distance + 1) for p in pairs_of_band(hashes, band, distance)]
    assert sorted(found) == [pair for pair in every_pair if pair.distance <= distance]
    assert len(found) > 10 * distance or not distance


def test_hashes_in_one_bucket_are_compared_too() -> None:
    # As of flat pictures: their hashes have nearly all bits in common.
    looks = [f"{1 << bit:016x}" for bit in range(64)]
    hashes = unique_hashes(looks)
    found = [pair for band in range(3) for pair in pairs_of_band(hashes, band, 2)]
    assert len(found) == len(set(found)) == 64 * 63 / 2


@pytest.mark.parametrize("phashes", [[], [""], ["00000000000000ff"]])
def test_fewer_than_two_hashes_make_no_pair(phashes: list[str]) -> None:
    hashes = unique_hashes(phashes)
    assert [pair for band in range(5) for pair in pairs_of_band(hashes, band, 4)] == []


def test_each_hash_is_there_once_and_undecodable_pictures_have_none() -> None:
    assert unique_hashes(["ff00000000000000", "", "01", "ff00000000000000"]).tolist() == [
        1,
        0xFF << 56,
    ]
