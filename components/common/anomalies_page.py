"""The page of anomalies: the worst pictures of each kind, in one self-contained file."""

import base64
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import jinja2

from components.common.examples import Example, read_dataset, read_images
from components.common.findings import KINDS, Finding
from components.common.pictures import images
from components.common.pictures.faces import shrunk

SHOWN_OF_A_KIND = 24
THUMBNAIL_SIDE = 96

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
)


def write_page(
    path: Path,
    examples: Path,
    table: Sequence[Example],
    findings: Mapping[str, Sequence[Finding]],
    policies: Mapping[str, str],
) -> None:
    """Writes the page of findings by kind, each with its policy, count and worst pictures."""
    shown = {kind: list(of_kind[:SHOWN_OF_A_KIND]) for kind, of_kind in findings.items()}
    wanted = {i for of_kind in shown.values() for i in chain(*(f.rows for f in of_kind))}
    pictures = read_images(examples, table, sorted(wanted))
    thumbnails = {row.id: _thumbnail(encoded) for row, encoded in pictures}
    sections = [
        {
            "kind": kind,
            "title": f"{len(findings[kind]):,} {KINDS[kind]}",
            "policy": policies[kind],
            "hidden": len(findings[kind]) - len(of_kind),
            "findings": [_figure(finding, table, thumbnails) for finding in of_kind],
        }
        for kind, of_kind in shown.items()
    ]
    template = _TEMPLATES.get_template("anomalies.html.jinja")
    name = read_dataset(examples)["name"]
    path.write_text(template.render(dataset=name, images=len(table), sections=sections))


def _figure(
    finding: Finding, table: Sequence[Example], thumbnails: Mapping[str, str]
) -> dict[str, Any]:
    rows = [table[i] for i in finding.rows]
    pictures = [
        {"image": thumbnails[row.id], "label": row.label, "split": row.split} for row in rows
    ]
    return {"text": finding.text, "pictures": pictures}


def _thumbnail(encoded: bytes) -> str:
    """A data URL of the picture made small; "" where it cannot be decoded."""
    try:
        image = images.decode_image(encoded)
    except images.UndecodableImageError:
        return ""
    small = cv2.cvtColor(shrunk(image, THUMBNAIL_SIDE), cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", small)[1]
    return "data:image/jpeg;base64," + base64.b64encode(bytes(jpeg)).decode()
