"""ExampleValidator: finds what would spoil a training or flatter an evaluation.

Reads:   examples, statistics
Writes:  anomalies (anomalies.json: errors, warnings, quarantined examples, all findings;
         anomalies.html: a page with the worst of each kind)
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.common import tracking
from components.common.anomalies_page import write_page
from components.common.beam import map_shards
from components.common.examples import Example, read_dataset, read_table
from components.common.files import write_json
from components.common.findings import (
    DROPPABLE,
    KINDS,
    Finding,
    find_duplicates,
    find_in_classes,
    find_odd_pictures,
    find_subjects_across_splits,
)
from components.common.measurements import Measurement, read_measurements
from components.common.near_duplicates import NearPair, pairs_of_band, unique_hashes

SHOWN_ERRORS = 3


class InvalidExamplesError(ValueError):
    """The data cannot be trained on; names every error."""


class Anomalies(NamedTuple):
    """What was found.

    Attributes:
        errors: stop the run.
        warnings: are reported.
        quarantined: examples that Transform leaves out: id, split, source, reason.
        findings: all, by kind.
    """

    errors: list[str]
    warnings: list[str]
    quarantined: list[dict[str, str]]
    findings: dict[str, list[Finding]]


def validate_examples(
    examples: Path,
    statistics: Path,
    anomalies: Path,
    *,
    min_class_size: int,
    blank_std: float,
    near_duplicate_bits: int,
    policies: Mapping[str, str],
    beam: Mapping[str, Any],
) -> Anomalies:
    """Writes and returns the anomalies.

    Args:
        examples: the examples.
        statistics: what StatisticsGen measured on them.
        anomalies: folder to fill.
        min_class_size: a class with fewer train images is reported.
        blank_std: an image whose pixel values deviate less than this (0..255) counts as blank.
        near_duplicate_bits: images whose perceptual hashes differ in at most so many of their 64
            bits count as near duplicates.
        policies: `error`, `warn` or `drop` for each kind of finding.
        beam: Beam's pipeline options.

    Raises:
        InvalidExamplesError: something was found whose policy is `error`. Names the first three,
            and where all are.
    """
    table, labels = read_table(examples), read_dataset(examples)["labels"]
    measurements = read_measurements(statistics / "measurements.csv")
    hashes = unique_hashes(m.phash for m in measurements)
    anomalies.mkdir(parents=True, exist_ok=True)
    bands = map_shards(
        partial(_near_pairs, hashes, near_duplicate_bits),
        range(near_duplicate_bits + 1),
        beam,
        anomalies,
    )
    near_pairs = [NearPair(*pair) for band in bands for pair in band["pairs"]]
    found = find_anomalies(
        table, measurements, near_pairs, labels, min_class_size, blank_std, policies
    )
    write_json(anomalies / "anomalies.json", _as_json(found, table, policies))
    write_page(anomalies / "anomalies.html", examples, table, found.findings, policies)
    tracking.log_artifact(anomalies / "anomalies.json")
    tracking.log_artifact(anomalies / "anomalies.html")
    if found.errors:
        hidden = len(found.errors) - SHOWN_ERRORS
        more = [f"and {hidden} more"] if hidden > 0 else []
        where = [f"look at {anomalies / 'anomalies.html'}"]
        raise InvalidExamplesError("; ".join(found.errors[:SHOWN_ERRORS] + more + where))
    return found


def _near_pairs(hashes: NDArray[np.uint64], bits: int, band: int) -> dict[str, list[NearPair]]:
    return {"pairs": list(pairs_of_band(hashes, band, bits))}


def find_anomalies(
    table: Sequence[Example],
    measurements: Sequence[Measurement],
    near_pairs: Sequence[NearPair],
    labels: Sequence[str],
    min_class_size: int,
    blank_std: float,
    policies: Mapping[str, str],
) -> Anomalies:
    """The anomalies of measured examples: a pure function of both tables, row for row.

    What is dropped counts in no later question: a blank picture has no duplicates, and a class is
    as large as what is left of it. A picture of the split that the model is judged on, test or else
    validation, is dropped only if it cannot be decoded: that split is not for a policy to choose.
    """
    splits = {row.split for row in table}
    judged = next((split for split in ("test", "validation") if split in splits), "")
    dropped_kinds = {kind for kind, policy in policies.items() if policy == "drop"}
    findings: dict[str, list[Finding]] = defaultdict(list)
    reasons: dict[int, str] = {}

    def add(finding: Finding) -> None:
        findings[finding.kind].append(finding)
        goes = finding.rows[-1] if finding.rows else None
        if goes is None or finding.kind not in dropped_kinds:
            return
        if table[goes].split != judged or finding.kind == "undecodable":
            reasons.setdefault(goes, f"{finding.kind}: {finding.text}")

    for finding in find_odd_pictures(table, measurements, blank_std):
        add(finding)
    left = [i for i, m in enumerate(measurements) if not m.error and i not in reasons]
    for finding in find_duplicates(table, measurements, near_pairs, left, dropped_kinds, judged):
        add(finding)
    kept = [i for i in left if i not in reasons]
    for finding in find_in_classes([table[i] for i in kept], labels, min_class_size):
        add(finding)
    for finding in find_subjects_across_splits(table, kept):
        add(finding)
    worst_first = {
        kind: sorted(findings[kind], key=lambda finding: finding.rank)
        for kind in KINDS
        if findings[kind]
    }
    gone = Counter(reason.partition(":")[0] for reason in reasons.values())
    said = {
        kind: _say(kind, of_kind, policies[kind], gone[kind])
        for kind, of_kind in worst_first.items()
    }
    return Anomalies(
        errors=[text for kind, text in said.items() if policies[kind] == "error"],
        warnings=[text for kind, text in said.items() if policies[kind] != "error"],
        quarantined=[_quarantined(table[i], reasons[i]) for i in sorted(reasons)],
        findings=worst_first,
    )


def _say(kind: str, findings: Sequence[Finding], policy: str, gone: int) -> str:
    text = f"{kind.replace('_', ' ')}: {findings[0].text}"
    if len(findings) > 1:
        text += f" (and {len(findings) - 1:,} more)"
    if policy == "drop":
        text += f"; {gone:,} left out"
    if policy == "error" and kind in DROPPABLE:
        text += f"; go on without them by --set example_validator.policies.{kind}=drop"
    return text


def _quarantined(row: Example, reason: str) -> dict[str, str]:
    return {"id": row.id, "split": row.split, "source": row.source, "reason": reason}


def _as_json(
    found: Anomalies, table: Sequence[Example], policies: Mapping[str, str]
) -> dict[str, Any]:
    findings = {
        kind: {
            "policy": policies[kind],
            "count": len(of_kind),
            "found": [
                {"text": finding.text, "ids": [table[i].id for i in finding.rows]}
                for finding in of_kind
            ],
        }
        for kind, of_kind in found.findings.items()
    }
    return found._asdict() | {"findings": findings}
