"""Reading what a run left under its root."""

import json
import sys
from pathlib import Path
from typing import Any

MIEN = str(Path(sys.executable).with_name("mien"))


def read_run(root: Path) -> dict[str, Any]:
    return json.loads((root / "runs" / "latest" / "run.json").read_text())


def states(root: Path) -> dict[str, str]:
    return {step["name"]: step["state"] for step in read_run(root)["steps"]}


def execution(root: Path, step: str) -> Path:
    """The folder of the only execution of a step."""
    (manifest,) = (root / "store" / step).glob("*/manifest.json")
    return manifest.parent
