"""What a run left in the store, and how its pictures come into a page."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from components.common.files import read_json
from pipelines.local_runner import Run
from pipelines.store import Execution, read_executions

_REUSED = "made by run "
_MAX_PNG_BYTES = 150_000
"""A larger picture is one of photographs, which WebP keeps in a fraction of the bytes."""


class Picture(NamedTuple):
    """A picture inside a page.

    Attributes:
        url: the picture itself, as a data URL.
        width: in pixels.
        height: in pixels.
        alt: what a person who does not see it is told.
    """

    url: str
    width: int
    height: int
    alt: str


def find_executions(root: Path, run: Run) -> dict[str, Execution]:
    """What each step of a run made or reused, by the step's name; without what is gone."""
    makers = {
        step.name: run.run_id if step.state == "executed" else step.reason.removeprefix(_REUSED)
        for step in run.steps
        if step.state in ("executed", "reused")
    }
    found = {step: _made_by(root / "store", step, maker) for step, maker in makers.items()}
    return {step: execution for step, execution in found.items() if execution}


def _made_by(store: Path, step: str, run_id: str) -> Execution | None:
    stored = read_executions(store, step)
    return next((each for each in stored if each.made_by["run"] == run_id), None)


def output_folders(found: Iterable[Execution]) -> dict[str, Path]:
    """The folder of each output by its name, which no two steps share."""
    return {name: each.output(name) for each in found for name in each.manifest["outputs"]}


def read_if_there(path: Path) -> Any:
    """What a JSON file holds; None where there is none."""
    return read_json(path) if path.exists() else None


def pictures(folder: Path, alts: dict[str, str]) -> list[Picture]:
    """The pictures of a folder that are there; `alts` says of each name what it shows."""
    there = ((folder / name, alt) for name, alt in alts.items() if (folder / name).exists())
    return [load_picture(path, alt) for path, alt in there]


def load_picture(path: Path, alt: str) -> Picture:
    """Reads a PNG; one of many bytes becomes WebP."""
    encoded, kind = path.read_bytes(), "png"
    with Image.open(io.BytesIO(encoded)) as image:
        if len(encoded) > _MAX_PNG_BYTES:
            smaller = io.BytesIO()
            image.convert("RGB").save(smaller, "WEBP", quality=85)
            encoded, kind = smaller.getvalue(), "webp"
        url = f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
        return Picture(url, image.width, image.height, alt)
