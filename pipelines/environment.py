"""What a run ran with: the commit of the code, Python, and the packages that decide results."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "apache-beam", "mlflow"),
    *("numpy", "scikit-learn", "opencv-python-headless"),
)


def describe_environment() -> dict[str, Any]:
    """`git_commit`, `python`, `platform` and `packages`, a version by name."""
    return {
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: version(package) for package in PACKAGES},
    }


def git_commit() -> str:
    """The commit's hash, with `-dirty` where files differ from it; "unknown" outside of git."""
    folder = str(Path(__file__).parent)
    command = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
