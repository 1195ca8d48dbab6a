"""MLflow's registry of the versions that were pushed: what the folder is, said there.

The folder decides what is served, so it is changed first and the registry follows:
`register_missing` makes a registry version of each version folder, `set_aliases` moves `champion`
to the one that is served and `challenger` to the newest that is held back. Both do nothing where
nothing differs, so that they can be done again after a failure or a kill. `mlflow` is the module:
it takes seconds to import, so who calls has it. An alias is one, also where several roots push to
one server: it is of the root that pushed, promoted or rolled back last.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from components.common import tracking
from components.common.files import combined_digest
from components.common.publishing import card_words
from components.common.publishing.model_card import escape
from components.common.publishing.serving import lock, read_manifest, read_versions

SERVING_VERSION = "serving_version"
MODEL_DIGEST = "mien.model_digest"


def registered_versions(mlflow: Any, base_path: Path) -> dict[int, Any]:
    """The registry's version of each version folder that it has one of, by the folder's number."""
    client = mlflow.MlflowClient()
    found: dict[int, Any] = {}
    folders = read_versions(base_path).folders()
    registered = client.search_model_versions(f"name = '{base_path.name}'")
    for version in sorted(registered, key=lambda version: int(version.version)):
        number = int(version.tags.get(SERVING_VERSION, 0))
        if number in folders and _is_of(folders[number], version.tags):
            found[number] = version
    return found


def _is_of(version_dir: Path, tags: Mapping[str, str]) -> bool:
    """Whether a registry version is of this folder, and not of another root's with its number."""
    digest = tags.get(MODEL_DIGEST)  # An earlier mien wrote none.
    return not digest or digest == _digest(read_manifest(version_dir))


def register(base_path: Path) -> bool:
    """Registers what is missing and moves the aliases; false where MLflow does not answer.

    In the run that is open; where none is, there is nobody to tell.
    """

    def change(mlflow: Any) -> None:
        register_missing(mlflow, base_path)
        set_aliases(mlflow, base_path)

    return _tell(base_path, change)


def register_late(base_path: Path) -> bool:
    """As `register`, for an earlier push: where nothing is missing, aliases may be another's."""

    def change(mlflow: Any) -> None:
        if register_missing(mlflow, base_path):
            set_aliases(mlflow, base_path)

    return _tell(base_path, change)


def _tell(base_path: Path, change: Callable[[Any], None]) -> bool:
    def call(mlflow: Any) -> None:
        with lock(base_path):
            change(mlflow)

    return tracking.active_run() is None or tracking.tell(call)


def register_missing(mlflow: Any, base_path: Path) -> list[int]:
    """Registers the version folders that the registry lacks; returns their numbers."""
    there = registered_versions(mlflow, base_path)
    folders = read_versions(base_path).folders()
    missing = [n for n, folder in folders.items() if n not in there and read_manifest(folder)]
    for number in missing:
        _register(mlflow, base_path.name, folders[number])
    return missing


def set_aliases(mlflow: Any, base_path: Path) -> list[str]:
    """Puts the aliases in step with the folder; returns what was changed, in words.

    The caller holds the folder's lock. An alias whose folder is gone, or is not registered, is
    removed: better none than one that leads to a model that is not served.
    """
    return [_move(mlflow, base_path.name, move) for move in _moves(mlflow, base_path)]


def set_own_aliases(mlflow: Any, base_path: Path) -> list[str]:
    """As `set_aliases`, without those that lead to a version of another root."""
    moves = _moves(mlflow, base_path)
    return [_move(mlflow, base_path.name, move) for move in moves if move.is_own]


class _Move(NamedTuple):
    """An alias that is not in step.

    Attributes:
        alias: its name.
        number: the folder's, None where it is to be removed.
        target: the number of the registry's version.
        is_own: whether it leads nowhere by now, or to a version of this folder.
    """

    alias: str
    number: int | None
    target: str | None
    is_own: bool


def _moves(mlflow: Any, base_path: Path) -> Iterator[_Move]:
    there, versions = registered_versions(mlflow, base_path), read_versions(base_path)
    if not there:
        return
    aliases = mlflow.MlflowClient().get_registered_model(base_path.name).aliases
    own = {None, *(str(version.version) for version in there.values())}
    wanted = {"champion": versions.champion, "challenger": versions.challenger}
    for alias, number in wanted.items():
        now = str(aliases[alias]) if alias in aliases else None
        target = str(there[number].version) if number in there else None
        if now != target:
            yield _Move(alias, number, target, now in own)


def _move(mlflow: Any, name: str, move: _Move) -> str:
    client = mlflow.MlflowClient()
    if move.target is None:
        client.delete_registered_model_alias(name, move.alias)
        return f"the registry's {move.alias} is removed"
    client.set_registered_model_alias(name, move.alias, move.target)
    return f"the registry's {move.alias} is now version {move.number}"


def _register(mlflow: Any, name: str, version_dir: Path) -> None:
    """Logs a version folder as a model, in the active run where one is, and registers it."""
    import keras
    import numpy as np
    import tensorflow as tf

    from components.common.pictures import images

    manifest = read_manifest(version_dir)
    recipe = manifest["recipe"]
    shape = (recipe["height"], recipe["width"], recipe["channels"])
    # Left to itself MLflow takes 20 s to infer these.
    requirements = [f"tensorflow=={tf.__version__}", f"keras=={keras.__version__}"]
    logged = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("registered_model.py")),
        artifacts={"version": str(version_dir)},
        # From it MLflow makes the signature. Gray: a picture of a person should not lie there.
        input_example=[images.encode_png(np.full(shape, 128, np.uint8))],
        pip_requirements=requirements,
    )
    client = mlflow.MlflowClient()
    _make_registered_model(client, name)
    # The tags in one call with the version: a kill leaves no version that nobody knows.
    client.create_model_version(
        name,
        logged.model_uri,
        run_id=logged.run_id,
        tags=dict(tags(manifest)),
        description=description(manifest),
        model_id=logged.model_id,
    )


def _make_registered_model(client: Any, name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description="A classifier of facial expressions.")


def tags(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What leads from a registry version to its folder, run, data, config and commit."""
    yield SERVING_VERSION, str(manifest["version"])
    yield MODEL_DIGEST, _digest(manifest)
    yield "mien.dataset", manifest["dataset"]["name"]
    yield "mien.dataset_digest", manifest["dataset"]["digest"]
    for name, value in manifest.get("origin", {}).items():
        yield f"mien.{name}", value
    if manifest.get("mlflow_run_id"):
        yield "mien.mlflow_run_id", manifest["mlflow_run_id"]


def description(manifest: Mapping[str, Any]) -> str:
    """A version in words, in Markdown: how good, what it was trained on, how it is served."""
    name, version, dataset = manifest["model"], manifest["version"], manifest["dataset"]["name"]
    train = manifest.get("trained", {}).get("data", {}).get("train", {})
    images_of = f"{train['images']:,} images of " if train else ""
    config = manifest.get("origin", {}).get("config")
    return "\n\n".join(
        [
            f"Facial expressions: {', '.join(map(escape, manifest['labels']))}.",
            " ".join(card_words.summary(manifest)),
            f"Trained on {images_of}`{dataset}`" + (f" by config `{config}`." if config else "."),
            f"Served as version {version}: `mien serve {name}`. The model card is "
            "`model_card.md` among the artifacts. It names how a face looks, not what a person "
            "feels; inferring emotions is prohibited at work and in education in the EU "
            "(AI Act, Art. 5(1)(f)).",
        ]
    )


def _digest(manifest: Mapping[str, Any]) -> str:
    return combined_digest(manifest["files"]) if "files" in manifest else ""
