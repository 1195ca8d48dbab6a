"""JSON files, and the digests by which files are compared."""

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfds_builders.files import written_whole


def read_json(path: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(path.read_text())


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file, whole or not at all; makes its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(folder: Path) -> dict[str, dict[str, Any]]:
    """`size` and `sha256` of every file below a folder, by relative path in sorted order."""
    return {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": sha256_file(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def combined_digest(files: dict[str, dict[str, Any]]) -> str:
    """One SHA-256 over what `file_digests` found."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def sync_folder(folder: Path) -> None:
    """Asks the disk to have a folder whole, before a rename makes it count."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table with its header."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
