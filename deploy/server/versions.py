"""Version directories: which ones shall be served, and whether they are whole.

A base path holds a folder per version, named by its number. Nothing here imports TensorFlow, so
that a wrong or broken folder is told at once.
"""

from pathlib import Path

from tensorflow_serving.config.file_system_storage_path_source_pb2 import (
    FileSystemStoragePathSourceConfig,
)

from components.common.files import read_json, sha256_file
from components.common.serving import MANIFEST, version_folders
from deploy.server.errors import StartError


def candidates(
    base_path: Path, policy: FileSystemStoragePathSourceConfig.ServableVersionPolicy
) -> tuple[dict[int, Path], int]:
    """The version folders that a policy allows, the newest first, and how many of them it wants.

    Raises:
        StartError: `base_path` is missing, or holds no such version.
    """
    if not base_path.is_dir():
        raise StartError(f"{base_path} is no folder: give the model's base path")
    found = version_folders(base_path)
    choice = policy.WhichOneof("policy_choice")
    if choice == "specific":
        found = {number: found[number] for number in found if number in policy.specific.versions}
    if not found:
        raise StartError(
            f"{base_path} holds no version (a folder named by a number) that is asked for: "
            "push a model first, or give another base path"
        )
    wanted = len(found) if choice in ("specific", "all") else policy.latest.num_versions or 1
    return dict(sorted(found.items(), reverse=True)), wanted


def stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """What tells of a version folder, without reading its files, that it has changed."""
    paths = (folder, folder / "saved_model.pb", folder / "variables", folder / MANIFEST)
    known = (path.stat() for path in paths if path.exists())
    return tuple((status.st_mtime_ns, status.st_size) for status in known)


def verify(folder: Path) -> None:
    """Checks that a version directory is whole, by its manifest where it has one.

    The manifest's `files` maps each relative path to its `size` (bytes) and `sha256` (hex).

    Raises:
        StartError: `saved_model.pb` is missing, the manifest cannot be read, or a file is missing
            or is not the one that the manifest describes.
    """
    if not (folder / "saved_model.pb").is_file():
        raise StartError(f"{folder} is incomplete, it has no saved_model.pb: push the model again")
    if (folder / MANIFEST).exists():
        for name, size, sha256 in _manifest_files(folder):
            if not _matches(folder / name, size, sha256):
                raise StartError(
                    f"{folder / name} is not the file that {MANIFEST} describes: "
                    "push the model again"
                )


def _manifest_files(folder: Path) -> list[tuple[str, int, str]]:
    try:
        files = read_json(folder / MANIFEST)["files"]
        return [(name, entry["size"], entry["sha256"]) for name, entry in files.items()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StartError(
            f"{folder / MANIFEST} cannot be read ({error!r}): push the model again"
        ) from error


def _matches(path: Path, size: int, sha256: str) -> bool:
    # The size first: it is free, and most broken copies are short.
    if not path.is_file() or path.stat().st_size != size:
        return False
    return sha256_file(path) == sha256
