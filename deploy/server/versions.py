"""Version directories: which ones shall be served, and whether they are whole.

A base path holds a folder per version, named by its number. Nothing here imports TensorFlow, so
that a wrong or broken folder is told at once.
"""

from pathlib import Path

from tensorflow_serving.config.file_system_storage_path_source_pb2 import (
    FileSystemStoragePathSourceConfig,
)

from components.common.publishing.serving import damage, version_folders
from deploy.server.errors import StartError


def candidates(
    base_path: Path, policy: FileSystemStoragePathSourceConfig.ServableVersionPolicy
) -> tuple[dict[int, Path], int]:
    """The version folders that a policy allows, the newest first, and how many of them it wants.

    Raises:
        StartError: `base_path` is missing, cannot be read, or holds no such version.
    """
    if not base_path.is_dir():
        raise StartError(f"{base_path} is no folder: give the model's base path")
    try:
        found = version_folders(base_path)
    except OSError as error:
        raise StartError(f"{base_path} cannot be read: {error.strerror}") from error
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
    """What tells of a version folder, without reading its files, that one of them has changed."""
    paths = (folder, *sorted(folder.rglob("*")))
    known = (path.stat(follow_symlinks=path.exists()) for path in paths)  # A link may be dangling.
    return tuple((status.st_mtime_ns, status.st_size) for status in known)


def verify(folder: Path) -> None:
    """Checks that a version directory is whole, by its manifest where it has one.

    Raises:
        StartError: `saved_model.pb` is missing, the manifest cannot be read, or a file is missing
            or is not the one that the manifest describes.
    """
    if wrong := damage(folder):
        raise StartError(f"{folder}: {wrong}; push the model again")
