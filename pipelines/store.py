"""The artifact store: what a step made, kept under the digest of all that it was made from.

    store/<step>/<key>/<output>/...      the outputs
    store/<step>/<key>/manifest.json     their files with sizes and digests, and what made them
    store/<step>/<key>.part/             an execution that is under way, or was killed

A key is the digest of the step's code, its parameters and the content digests of its inputs. An
execution works in `.part`, which becomes the key's folder by one rename: it is there whole, or not.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from components.common.files import (
    combined_digest,
    file_digests,
    read_json,
    sync_folder,
    write_json,
)
from components.common.publishing.serving import CARD, is_published, version_folders

MANIFEST = "manifest.json"


class Cause(NamedTuple):
    """All that an execution depends on.

    Attributes:
        pipeline: the config's name; no part of the key, but of the search for what changed.
        step: in snake_case.
        code: digest of each source file that the step imports, by module.
        parameters: the step's own, resolved.
        inputs: content digest of each input artifact, by name.
    """

    pipeline: str
    step: str
    code: dict[str, str]
    parameters: dict[str, Any]
    inputs: dict[str, str]

    @property
    def key(self) -> str:
        """32 hex digits."""
        content = json.dumps(self._asdict() | {"pipeline": ""}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


class Execution(NamedTuple):
    """An execution that is in the store.

    Attributes:
        folder: holds a folder for each output.
        manifest: `cause`, `outputs` (files, digest and metadata of each), `seconds`, `made_by`.
    """

    folder: Path
    manifest: dict[str, Any]

    def output(self, name: str) -> Path:
        """Where an output lies."""
        return self.folder / name

    def digest(self, name: str) -> str:
        """The content digest of an output."""
        return self.manifest["outputs"][name]["digest"]

    @property
    def made_by(self) -> dict[str, str]:
        """The ids of the run and of the MLflow run that made it."""
        return self.manifest["made_by"]

    def metadata(self, name: str) -> dict[str, Any]:
        """What the step said of an output."""
        return self.manifest["outputs"][name]["metadata"]


class DamagedError(Exception):
    """A stored output is not what was written, or not what counts any more."""


@contextmanager
def locked(store: Path, cause: Cause, say_waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the key's lock: a second run of the same step says so, waits, and finds it done.

    The lock is the operating system's, so that a killed process holds none.
    """
    folder = _folder(store, cause)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say_waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def find(store: Path, cause: Cause) -> tuple[Execution | None, str]:
    """The stored execution, verified; or None and why the step must run, in words."""
    folder = _folder(store, cause)
    if not (folder / MANIFEST).exists():
        return None, _explain_miss(store, cause)
    try:
        found = _verified(folder)
        (folder / MANIFEST).touch()  # What was used last counts as the newest.
        return found, ""
    except DamagedError as error:
        shutil.rmtree(folder)
        return None, str(error)


def executions(store: Path, step: str) -> list[Path]:
    """The folders of a step's whole executions, what was made or reused last in front."""
    return [execution.folder for execution in read_executions(store, step)]


def read_executions(store: Path, step: str) -> Iterator[Execution]:
    """A step's whole executions, in the same order.

    One whose manifest cannot be read is left out: its own key finds and replaces it.
    """
    whole = (path for path in (store / step).glob(f"*/{MANIFEST}") if path.parent.suffix != ".part")
    for path in sorted(whole, key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(DamagedError, OSError):
            yield _read(path.parent)


def forget(store: Path, cause: Cause) -> None:
    """Takes an execution out of the store, and what was under way of it."""
    for folder in (_folder(store, cause), _part(store, cause)):
        shutil.rmtree(folder, ignore_errors=True)


def staging(store: Path, cause: Cause, outputs: Mapping[str, Any]) -> Path:
    """The folder to work in: a killed execution's outputs are gone, its checkpoints are there."""
    part = _part(store, cause)
    for name in outputs:
        shutil.rmtree(part / name, ignore_errors=True)
    part.mkdir(parents=True, exist_ok=True)
    (part / MANIFEST).unlink(missing_ok=True)
    return part


def publish(
    store: Path,
    cause: Cause,
    metadata: Mapping[str, Mapping[str, Any]],
    *,
    seconds: float,
    made_by: Mapping[str, str],
) -> Execution:
    """Describes what was made in the staging folder and renames it into place.

    Args:
        store: the store's folder.
        cause: what it was made from.
        metadata: of each output; the names are the outputs'. `version_dir` in it names a folder
            outside of the store, which is verified like the rest.
        seconds: how long it took.
        made_by: ids of the run and of its MLflow run.
    """
    part, folder = _part(store, cause), _folder(store, cause)
    outputs = {
        name: {
            **_described(part / name),
            "metadata": dict(of_output),
            "outside": _outside(of_output),
        }
        for name, of_output in metadata.items()
    }
    manifest = {
        "cause": cause._asdict(),
        "outputs": outputs,
        "seconds": seconds,
        "made_by": dict(made_by),
    }
    write_json(part / MANIFEST, manifest)
    sync_folder(part)
    shutil.rmtree(folder, ignore_errors=True)  # what a kill left of an execution it was removing
    part.rename(folder)
    # Checkpoints and tuner state: only now, a full disk before costs no training.
    for work in folder.glob("*.work"):
        shutil.rmtree(work)
    return Execution(folder, manifest)


def _read(folder: Path) -> Execution:
    try:
        return Execution(folder, read_json(folder / MANIFEST))
    except ValueError:
        raise DamagedError(f"its stored output was damaged: {MANIFEST} cannot be read") from None


def _verified(folder: Path) -> Execution:
    found = _read(folder)
    for name, output in found.manifest["outputs"].items():
        if file_digests(folder / name) != output["files"]:
            raise DamagedError(f"its stored output was damaged: {name} is not what was written")
        for path, files in output["outside"].items():
            _verify_published(Path(path), files)
    return found


def _verify_published(version: Path, files: Mapping[str, Any]) -> None:
    if not version.exists() or _published_files(version) != files:
        raise DamagedError(f"the version that it pushed, {version}, is gone or changed")
    newest = max(version_folders(version.parent))
    if int(version.name) != newest and is_published(version):
        # TF Serving serves the newest: the model of this run must be that one.
        raise DamagedError(f"version {newest} was pushed after its version {version.name}")


def _described(output: Path) -> dict[str, Any]:
    files = file_digests(output)
    return {"files": files, "digest": combined_digest(files)}


def _outside(metadata: Mapping[str, Any]) -> dict[str, Any]:
    path = metadata.get("version_dir")
    return {path: _published_files(Path(path))} if path else {}


def _published_files(version: Path) -> dict[str, Any]:
    """The digests of a version's files, without the card, to which people may add."""
    return {name: digest for name, digest in file_digests(version).items() if name != CARD}


def _explain_miss(store: Path, cause: Cause) -> str:
    """What differs from the newest execution of the same step of the same config."""
    causes = (Cause(**each.manifest["cause"]) for each in read_executions(store, cause.step))
    earlier = next((other for other in causes if other.pipeline == cause.pipeline), None)
    if earlier is None:
        return "first run"
    return "; ".join(_differences(earlier, cause)) or "its output is gone"


def _differences(old: Cause, new: Cause) -> Iterator[str]:
    before, now = flat(old.parameters), flat(new.parameters)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"parameter {name} was {before.get(name)}, is {now.get(name)}"
    for name in sorted(old.inputs.keys() | new.inputs.keys()):
        if old.inputs.get(name) != new.inputs.get(name):
            yield f"input {name} changed"
    names = sorted(old.code.keys() | new.code.keys())
    changed = [name for name in names if old.code.get(name) != new.code.get(name)]
    if changed:
        more = [f"{len(changed) - 3} more modules"] if len(changed) > 3 else []
        yield f"code changed: {', '.join(changed[:3] + more)}"


def flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as one level, by `section.name`."""
    result: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result


def _folder(store: Path, cause: Cause) -> Path:
    return store / cause.step / cause.key


def _part(store: Path, cause: Cause) -> Path:
    return store / cause.step / f"{cause.key}.part"
