"""The folder that a server reads: `<model>/<version>/`, each version with its manifest.

    <model>/3/                    the highest number is what TF Serving serves: the champion
    <model>/3/mien_manifest.json  what it is, and the digests of its files
    <model>/.held/4/              held back until it is promoted; TF Serving opens integers alone
    <model>/.withdrawn/2/         taken out of service by a person
    <model>/.lock                 held by whoever publishes or moves a version

A version is served, or no more, by one rename, which a killed process did or did not do.
"""

from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from components.common.files import file_digests, read_json

MANIFEST = "mien_manifest.json"
CARD = "model_card.md"
PREDICTIONS = "mien_predictions.csv"
KERAS_MODEL = "assets.extra/model.keras"
BESIDE_THE_MODEL = {MANIFEST, CARD, PREDICTIONS, KERAS_MODEL}
"""The files of a version that no server reads."""

HELD = ".held"
WITHDRAWN = ".withdrawn"


class VersionError(ValueError):
    """A version that cannot be served or taken out of service; the message says why."""


class Versions(NamedTuple):
    """The version folders of a model by their number, ascending.

    Attributes:
        published: what TF Serving would open, of which it serves the highest.
        held: those held back.
        withdrawn: those that were served, and were taken out of service.
    """

    published: dict[int, Path]
    held: dict[int, Path]
    withdrawn: dict[int, Path]

    @property
    def champion(self) -> int | None:
        """The one that is served."""
        return max(self.published, default=None)

    @property
    def challenger(self) -> int | None:
        """The newest of those held back."""
        return max(self.held, default=None)

    def folders(self) -> dict[int, Path]:
        """All of them."""
        return dict(sorted({**self.withdrawn, **self.held, **self.published}.items()))


def version_folders(base_path: Path) -> dict[int, Path]:
    """The version folders of a model by their number, ascending: what TF Serving would open.

    TF Serving reads ASCII digits alone, which `isdecimal` does not ask for, and an int64.
    """
    found = {
        int(path.name): path
        for path in base_path.iterdir()
        if path.is_dir() and _is_version(path.name)
    }
    return dict(sorted(found.items()))


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdecimal() and int(name) < 2**63


def read_versions(base_path: Path) -> Versions:
    """The versions of a model; none where the folder is not there."""
    folders = (base_path, base_path / HELD, base_path / WITHDRAWN)
    return Versions(*(version_folders(path) if path.is_dir() else {} for path in folders))


def lock(base_path: Path) -> FileLock:
    """Held while versions come, go or move; the operating system's: a killed process has none."""
    return FileLock(base_path / ".lock")


def is_published(version_dir: Path) -> bool:
    """Whether a version is where a server looks, neither held back nor withdrawn."""
    return version_dir.parent.name not in (HELD, WITHDRAWN)


def base_path_of(version_dir: Path) -> Path:
    """The folder of the model that a version is one of."""
    return version_dir.parent if is_published(version_dir) else version_dir.parent.parent


def read_manifest(version_dir: Path) -> dict[str, Any]:
    """What a version is; empty where it has no manifest, or none that can be read."""
    try:
        manifest = read_json(version_dir / MANIFEST)
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def damage(version_dir: Path) -> str:
    """What is wrong with a version, "" where it is whole: its files have the manifest's digests.

    A version of another origin has no manifest, and need only be a SavedModel.
    """
    if not (version_dir / "saved_model.pb").is_file():
        return "saved_model.pb is not there"
    if not (version_dir / MANIFEST).exists():
        return ""
    try:
        wanted = dict(read_json(version_dir / MANIFEST)["files"])
    except (ValueError, LookupError, TypeError) as error:
        return f"{MANIFEST} cannot be read ({error!r})"
    there = file_digests(version_dir)
    changed = [name for name, digest in wanted.items() if there.get(name) != digest]
    return f"{changed[0]} is not the file that {MANIFEST} describes" if changed else ""


def withdraw(base_path: Path, version: int) -> None:
    """Takes a version out of service; the caller has the lock."""
    withdrawn = base_path / WITHDRAWN
    withdrawn.mkdir(exist_ok=True)
    (base_path / str(version)).rename(withdrawn / str(version))


def promote(base_path: Path, version: int) -> None:
    """Makes a version the one that is served; those above it are withdrawn. Needs the lock.

    The highest is moved last: until then it is served on, and no version between is for a moment.

    Raises:
        VersionError: there is no such version, or it is damaged.
    """
    versions = read_versions(base_path)
    if version not in versions.folders():
        there = ", ".join(map(str, versions.folders())) or "none"
        raise VersionError(f"{base_path.name} has no version {version}; there are: {there}")
    wrong = damage(versions.folders()[version])
    if wrong:
        raise VersionError(
            f"version {version} is not served: {wrong}; push that model again, or promote another"
        )
    if version not in versions.published:
        versions.folders()[version].rename(base_path / str(version))
    for above in (number for number in versions.published if number > version):
        withdraw(base_path, above)


def roll_back(base_path: Path) -> int:
    """Withdraws the champion, so that the version before is served; returns its number.

    Needs the lock.

    Raises:
        VersionError: there is no version before, or it is damaged.
    """
    published = list(read_versions(base_path).published)
    if len(published) < 2:
        raise VersionError(
            f"{base_path.name} has no version to go back to: "
            f"{published[0] if published else 'none'} is the only one that is published"
        )
    promote(base_path, published[-2])
    return published[-2]
