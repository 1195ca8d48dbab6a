"""Pictures that look alike, found by their perceptual hashes without comparing all pairs.

Two hashes of 64 bits that differ in at most d of them agree in full on at least one of d + 1 bands
of bits (the pigeonhole principle; Manku, Jain and Das Sarma, "Detecting near-duplicates for web
crawling", WWW 2007). So only the hashes that share a band are compared.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BITS = 64


class NearPair(NamedTuple):
    """Two different hashes, 16 hex digits each, `first` < `second`, and the bits they differ in."""

    first: str
    second: str
    distance: int


def unique_hashes(phashes: Iterable[str]) -> NDArray[np.uint64]:
    """Each hash once, ascending."""
    return np.unique(np.array([int(phash, 16) for phash in phashes if phash], dtype=np.uint64))


def pairs_of_band(hashes: NDArray[np.uint64], band: int, distance: int) -> Iterator[NearPair]:
    """The pairs of hashes that differ in at most `distance` bits and whose first common band it is.

    Args:
        hashes: each once, ascending.
        band: 0..distance; all bands together give every pair exactly once.
        distance: the largest number of differing bits that counts as near.
    """
    edges = np.linspace(0, BITS, distance + 2).astype(int)
    bands = [
        (hashes >> np.uint64(low)) & np.uint64(2 ** int(high - low) - 1)
        for low, high in pairwise(edges)
    ]
    order = np.argsort(bands[band], kind="stable")
    starts = np.flatnonzero(np.diff(bands[band][order])) + 1
    for bucket in np.split(order, starts):
        for place, index in enumerate(bucket[:-1]):
            others = bucket[place + 1 :]
            apart = np.bitwise_count(hashes[others] ^ hashes[index])
            for other, bits in zip(
                others[apart <= distance], apart[apart <= distance], strict=True
            ):
                if not any(earlier[other] == earlier[index] for earlier in bands[:band]):
                    yield NearPair(f"{hashes[index]:016x}", f"{hashes[other]:016x}", int(bits))
