"""`mien datasets`: what there is, whether its files are there, and what was prepared of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.common.examples import read_dataset
from components.common.files import read_json
from pipelines.config import load_config
from pipelines.store import MANIFEST, executions
from tfds_builders.catalog import DATASETS, find_raw_files

SHOWN_SIZES = 5


class Prepared(NamedTuple):
    """What was prepared of a dataset.

    Attributes:
        dataset: what ExampleGen says of it: labels, what was left out, notes.
        statistics: what StatisticsGen says of each split.
        sheet: the picture of samples.
    """

    dataset: dict[str, Any]
    statistics: dict[str, dict[str, Any]]
    sheet: Path


def where_raw_files_are(
    name: str, raw_dir: Path | None, overrides: Sequence[str] = ()
) -> tuple[bool, str]:
    """Whether the raw files are there, and where, or how to get them."""
    _, config = load_config(name, overrides)
    try:
        found = find_raw_files(name, raw_dir, config.dataset.options)
    except FileNotFoundError as error:
        return False, str(error)
    return True, ", ".join(map(str, found)) or "needs none"


def wanted_files(name: str) -> str:
    """The raw files in words."""
    alternatives = (" and ".join(names) for names in DATASETS[name].raw_files)
    words = ", or ".join(alternatives).format(source="pictures with a table or in class folders")
    return words or "none"


def last_prepared(root: Path, name: str) -> Prepared | None:
    """What was prepared last of a dataset; None where nothing was."""
    digests: dict[str, dict[str, Any]] = {}
    for execution in executions(root / "store", "example_gen"):
        dataset = read_dataset(execution / "examples")
        if dataset["name"] == name:
            digest = read_json(execution / MANIFEST)["outputs"]["examples"]["digest"]
            digests[digest] = dataset
    for execution in executions(root / "store", "statistics_gen"):
        digest = read_json(execution / MANIFEST)["cause"]["inputs"]["examples"]
        if digest in digests:
            folder = execution / "statistics"
            statistics = read_json(folder / "statistics.json")
            return Prepared(digests[digest], statistics, folder / "contact_sheet.png")
    return None


def describe(prepared: Prepared) -> Iterator[str]:
    """What else there is to say, a line each: sizes, what was left out, the sheet."""
    sizes: Counter[str] = Counter()
    for of_split in prepared.statistics.values():
        sizes.update(of_split["sizes"])
    shown = [f"{size} ({count:,})" for size, count in sizes.most_common(SHOWN_SIZES)]
    hidden = [f"{len(sizes) - SHOWN_SIZES} more"] if len(sizes) > SHOWN_SIZES else []
    if prepared.dataset["options"]:
        options = prepared.dataset["options"].items()
        yield "options: " + ", ".join(f"{name}={value}" for name, value in options)
    yield f"sizes: {', '.join(shown + hidden)}"
    undecodable = sum(of_split["undecodable"] for of_split in prepared.statistics.values())
    if undecodable:
        yield f"cannot be decoded: {undecodable:,}"
    for reason, count in prepared.dataset["left_out"].items():
        yield f"left out: {count:,} {reason}"
    yield from prepared.dataset["notes"]
    yield f"sample sheet: {prepared.sheet}"
