"""The page's part on the data: what came in, what was found, what was kept."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.common.findings import KINDS
from pipelines.report.artifacts import pictures, read_if_there

_SHEETS = {"contact_sheet.png": "Contact sheet: the first train pictures of each class"}
_BEFORE_AFTER = {
    "before_after.png": "Pictures before and after Transform: what was cut out of them, and copies"
}


def describe_data(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Gathers what ExampleGen, StatisticsGen, ExampleValidator and Transform wrote.

    Args:
        folders: of outputs, by name; what is not there is left out.

    Returns:
        `dataset`, `classes`, `splits`, `sheets`, `findings`, `anomalies_page`, `counts`,
        `before_after`; each only where there is something to it.
    """
    described: dict[str, Any] = {}
    if "examples" in folders:
        described["dataset"] = read_if_there(folders["examples"] / "dataset.json")
    if "statistics" in folders:
        statistics = read_if_there(folders["statistics"] / "statistics.json")
        labels = described["dataset"]["labels"] if "dataset" in described else _labels(statistics)
        described |= {"splits": _splits(statistics), "classes": _classes(statistics, labels)}
        described["sheets"] = pictures(folders["statistics"], _SHEETS)
    if "anomalies" in folders:
        described["findings"] = _findings(folders["anomalies"])
        described["anomalies_page"] = _from_run(folders["anomalies"] / "anomalies.html")
    if "transformed_examples" in folders:
        described["counts"] = _counts(folders["transformed_examples"])
        described["before_after"] = pictures(folders["transformed_examples"], _BEFORE_AFTER)
    return described


def _splits(statistics: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "size": next(iter(of_split["sizes"]), ""), **of_split}
        for name, of_split in statistics.items()
    ]


def _labels(statistics: Mapping[str, Any]) -> Iterable[str]:
    """Those that a split has pictures of: the dataset that had them all is gone."""
    return dict.fromkeys(label for of_split in statistics.values() for label in of_split["classes"])


def _classes(statistics: Mapping[str, Any], labels: Iterable[str]) -> list[dict[str, Any]]:
    """A row a class; `share` of a count is its part of the split's largest class in percent."""
    largest = {name: max(split["classes"].values()) for name, split in statistics.items()}
    return [
        {
            "label": label,
            "counts": [
                {
                    "split": name,
                    "images": (images := of_split["classes"].get(label, 0)),
                    "share": round(100 * images / largest[name], 1),
                }
                for name, of_split in statistics.items()
            ],
        }
        for label in labels
    ]


def _findings(anomalies: Path) -> list[dict[str, Any]]:
    found = read_if_there(anomalies / "anomalies.json")["findings"]
    return [
        {
            "count": of_kind["count"],
            "what": KINDS.get(kind, kind.replace("_", " ")),
            "policy": of_kind["policy"],
            "worst": of_kind["found"][0]["text"] if of_kind["found"] else "",
        }
        for kind, of_kind in found.items()
    ]


def _from_run(path: Path) -> str:
    """A link from a run's folder into the store beside it: the root may be moved."""
    return "/".join(("..", "..", *path.parts[-5:]))


def _counts(folder: Path) -> list[dict[str, Any]]:
    """A row a split that had images; rejections by reason, in words."""
    counts = read_if_there(folder / "counts.json")
    return [
        {
            "split": split,
            **of_split,
            "rejected": {
                reason.replace("_", " "): count for reason, count in of_split["rejected"].items()
            },
        }
        for split, of_split in counts.items()
        if of_split["in"]
    ]
