"""From labels as people write them to classes: spellings merged, small classes left out."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tfds_builders.labelled_faces.layouts import Row


class Classes(NamedTuple):
    """The pictures that have a class.

    Attributes:
        rows: each with its class's one spelling as the label.
        labels: the classes.
        left_out: how many pictures have no class, by reason.
        notes: which spellings were merged.
    """

    rows: list[Row]
    labels: tuple[str, ...]
    left_out: dict[str, int]
    notes: tuple[str, ...]


def tidy(text: str) -> str:
    """Returns the text composed (NFC), stripped, and with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def label_key(label: str) -> str:
    """Returns what all spellings of a label have in common."""
    return tidy(label).casefold()


def sort_into_classes(rows: Sequence[Row], wanted: Sequence[str], min_count: int) -> Classes:
    """Merges the spellings of each label, the most frequent one wins, and picks the classes.

    Args:
        rows: one for each picture.
        wanted: the classes in their order and spelling; () for all that are found, sorted.
        min_count: pictures that a class needs.

    Raises:
        ValueError: a wanted class has too few pictures, or no class is left.
    """
    by_key = _by_key(rows)
    unlabelled = by_key.pop("", [])
    written = {key: Counter(tidy(row.label) for row in found) for key, found in by_key.items()}
    names = {key: _most_frequent(found) for key, found in written.items()}
    names |= {label_key(name): name for name in wanted}
    counts = {key: len(found) for key, found in by_key.items()}
    _check_wanted(wanted, counts, min_count, names)
    reasons = {key: _refusal(names[key], counts[key], wanted, min_count) for key in counts}
    keys = [label_key(name) for name in wanted] or [key for key in counts if not reasons[key]]
    if not keys:
        raise ValueError(
            f"no class has {count_pictures(min_count)}; lower min_count, or label more"
        )
    left_out = {"no label": len(unlabelled)} if unlabelled else {}
    return Classes(
        [row._replace(label=names[key]) for key in keys for row in by_key[key]],
        tuple(names[key] for key in keys),
        left_out | {reason: counts[key] for key, reason in reasons.items() if reason},
        tuple(_merges(names, written)),
    )


def count_pictures(count: int) -> str:
    """Returns `1 picture`, `2 pictures` and so on."""
    return f"{count:,} picture{'' if count == 1 else 's'}"


def _by_key(rows: Iterable[Row]) -> dict[str, list[Row]]:
    by_key: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[label_key(row.label)].append(row)
    return dict(sorted(by_key.items()))


def _most_frequent(spellings: Counter[str]) -> str:
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))


def _refusal(name: str, count: int, wanted: Sequence[str], min_count: int) -> str:
    """Why a class is left out; "" where it is not."""
    if wanted and name not in wanted:
        return f"label {name} is not among the labels asked for"
    if count < min_count:
        return f"class {name} has {count_pictures(count)}, fewer than min_count {min_count}"
    return ""


def _check_wanted(
    wanted: Sequence[str],
    counts: Mapping[str, int],
    min_count: int,
    names: Mapping[str, str],
) -> None:
    for name in wanted:
        count = counts.get(label_key(name), 0)
        if not count:
            found = ", ".join(names[key] for key in counts)
            raise ValueError(f"labels: {name} has no picture; those that have: {found or 'none'}")
        if count < min_count:
            raise ValueError(
                f"labels: {name} has {count_pictures(count)}, fewer than min_count {min_count}; "
                "take it out of labels, or lower min_count"
            )


def _merges(names: Mapping[str, str], written: Mapping[str, Counter[str]]) -> Iterable[str]:
    for key, found in written.items():
        others = sorted(found.keys() - {names[key]})
        if others:
            times = ", ".join(
                f"{name} ({found[name]:,} time{'' if found[name] == 1 else 's'})" for name in others
            )
            yield f"label {names[key]}: also written {times}"
