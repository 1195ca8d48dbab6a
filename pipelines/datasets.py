"""`mien datasets`: what there is, whether its files are there, and what was prepared of it."""

from collections import Counter
from pathlib import Path

from components.common.examples import SPLITS, Example, read_dataset, read_table
from pipelines.store import executions
from tfds_builders.catalog import DATASETS, find_raw_files


def where_raw_files_are(name: str, raw_dir: Path | None) -> tuple[bool, str]:
    """Whether the raw files are there, and where, or how to get them."""
    try:
        found = find_raw_files(name, raw_dir)
    except FileNotFoundError as error:
        return False, str(error)
    return True, ", ".join(map(str, found)) or "needs none"


def wanted_files(name: str) -> str:
    """The raw files in words."""
    return ", or ".join(" and ".join(names) for names in DATASETS[name].raw_files) or "none"


def prepared_table(root: Path, name: str) -> list[Example] | None:
    """The examples that were prepared last of a dataset; None where none were."""
    for execution in executions(root / "store", "example_gen"):
        examples = execution / "examples"
        if read_dataset(examples)["name"] == name:
            return read_table(examples)
    return None


def class_counts(table: list[Example]) -> dict[str, Counter[str]]:
    """The number of images of each label in each split."""
    return {split: Counter(row.label for row in table if row.split == split) for split in SPLITS}
