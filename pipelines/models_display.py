"""What `mien models` prints of a version."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.common.publishing import card_words
from components.common.publishing.serving import CARD
from pipelines.models import Version

HEADER = ("model", "version", "status", "accuracy (95 %)", "macro F1", "date", "dataset")
_STATUS = {
    "champion": "champion: it is served",
    "earlier": "earlier: a newer version is served",
    "challenger": "challenger: held back, the newest that is",
    "held": "held back",
    "withdrawn": "withdrawn: a person took it out of service",
}


def as_row(version: Version) -> tuple[str, ...]:
    """The cells of `HEADER`; "-" where an earlier mien wrote nothing."""
    manifest = version.manifest
    accuracy = card_words.headline(manifest, "accuracy")
    macro_f1 = card_words.headline(manifest, "macro_f1")
    judged = manifest.get("evaluation", {}).get("split", "test")
    of_split = "" if judged == "test" else f" of {judged}"
    return (
        version.model,
        str(version.version),
        version.status,
        card_words.interval(accuracy) + of_split if accuracy else "-",
        f"{macro_f1['value']:.3f}" if macro_f1 else "-",
        manifest.get("published_at", "-"),
        manifest.get("dataset", {}).get("name", "-"),
    )


def as_json(version: Version) -> dict[str, Any]:
    """What a script may want to know of a version."""
    manifest = version.manifest
    return {
        "model": version.model,
        "version": version.version,
        "status": version.status,
        "path": str(version.folder.resolve()),
        "evaluation": manifest.get("evaluation"),
        "published_at": manifest.get("published_at"),
        "dataset": manifest.get("dataset", {}).get("name"),
        "dataset_digest": manifest.get("dataset", {}).get("digest"),
        "origin": manifest.get("origin", {}),
    }


def describe_version(version: Version, tags: Mapping[str, str], root: Path) -> Iterator[str]:
    """Where a version lies, how it is served, and its tags in the registry, a line each."""
    where = "" if root == Path("mien_root") else f" --root {shlex.quote(str(root))}"
    yield f"{version.model} version {version.version}, {_STATUS[version.status]}"
    yield f"lies in {version.folder.resolve()}"
    if version.status == "champion":
        yield f"serve it: mien serve {version.model}{where}"
    else:
        yield f"serve it: mien models promote {version.model} {version.version}{where}"
    yield "" if tags else f"not in MLflow's registry: mien models sync{where}"
    for name, value in sorted(tags.items()):
        yield f"  {name}: {value}"


def card_of(version: Version) -> str:
    """The model card without the lines in front that are for machines."""
    path = version.folder / CARD
    if not path.exists():
        return "It has no model card: an earlier mien pushed it."
    text = path.read_text()
    return text.partition("\n---\n")[2] if text.startswith("---\n") else text
