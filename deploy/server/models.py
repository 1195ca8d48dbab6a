"""The models that are served: versions are loaded beside each other, swapped, and let go.

A version is served from the moment that it is loaded, warmed up and verified; the one before is let
go only then, and ends with its last request. A version that cannot be served is refused: what was
served before is served on, and so it is with the newest whole one where the server starts anew.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from deploy.server.errors import StartError, invalid_argument, not_found
from deploy.server.servable import Servable
from deploy.server.versions import candidates, stamp, verify

log = logging.getLogger(__name__)

AVAILABLE = ModelVersionStatus.AVAILABLE
LOADING = ModelVersionStatus.LOADING
END = ModelVersionStatus.END


class Version(NamedTuple):
    """What is known of a version.

    Attributes:
        state: TF Serving's, of its life.
        servable: where it is AVAILABLE.
        error: why it was refused.
        stamp: of the folder that was refused; another one is tried again.
    """

    state: int
    servable: Servable | None = None
    error: str = ""
    stamp: tuple[tuple[int, int], ...] = ()


class Models:
    """The models of a config; may be asked from any thread."""

    def __init__(self, config: ModelServerConfig, load: Callable[[str, Path], Servable]) -> None:
        """Loads nothing yet; `load` makes a warmed-up servable of a verified folder."""
        self._load = load
        self._versions: Mapping[str, Mapping[int, Version]] = {}
        self._labels: Mapping[str, Mapping[str, int]] = {}
        self._problems: dict[str, str] = {}
        self._turn = threading.Lock()
        self.configure(config)

    def __str__(self) -> str:
        """What is served: `faces version 2, smiles version 7`."""
        newest = {name: max(self._available(name)) for name in self.names()}
        return ", ".join(f"{name} version {number}" for name, number in newest.items())

    def configure(self, config: ModelServerConfig) -> None:
        """Takes another config, for the next `reconcile`."""
        self._configs = {model.name: model for model in config.model_config_list.config}

    def reconcile(self) -> None:
        """Loads what there is to be served by now, and lets go of what is not."""
        with self._turn:  # Who waited for it may have gone while it went on.
            self._reconcile_all()

    def _reconcile_all(self) -> None:
        for name in self._versions.keys() - self._configs.keys():
            log.warning("%s is not served any more", name)
            self._versions = {n: v for n, v in self._versions.items() if n != name}
        for name, config in self._configs.items():
            try:
                self._reconcile(name, config)
                self._problems.pop(name, None)
            except (StartError, OSError) as error:
                self._tell(name, str(error))

    def problems(self) -> list[str]:
        """Why models have no version that is served, a line each."""
        return [
            self._problems.get(name, f"{name} is not loaded")
            for name in self._configs
            if not self._available(name)
        ]

    def shortfalls(self) -> list[str]:
        """What of the config is not served: models, versions by number, labels; a line each."""
        lines = self.problems()
        for name in self.names():
            config, available = self._configs[name], self._available(name)
            lines += [
                f"{name} version {number} is not served"
                for number in config.model_version_policy.specific.versions
                if number not in available
            ]
            lines += [
                f"Request to assign label to version {number} of model {name}, which is not "
                "currently available for inference"
                for _, number in sorted(config.version_labels.items())
                if number not in available
            ]
        return lines

    def refused(self) -> list[str]:
        """Which versions are not served, and why, a line each."""
        return [
            f"{name} version {number} is refused: {version.error}"
            for name, versions in self._versions.items()
            for number, version in versions.items()
            if version.error
        ]

    def find(self, spec: ModelSpec) -> Servable:
        """The servable that a request asks for.

        Raises:
            ServingError: NOT_FOUND, no such model or version is served; INVALID_ARGUMENT, the
                version label is not known.
        """
        available = self._available(spec.name)
        number = self._number(spec, available)
        if number not in available:
            asked = f"Latest({spec.name})"
            if spec.WhichOneof("version_choice"):
                asked = f"Specific({spec.name}, {number})"
            raise not_found(f"Servable not found for request: {asked}")
        return available[number]

    def statuses(self, spec: ModelSpec) -> dict[int, Version]:
        """The versions of a model, or the one that is asked for, the newest first.

        Raises:
            ServingError: NOT_FOUND, nothing is known of it; INVALID_ARGUMENT, of its label.
        """
        known = self._versions.get(spec.name, {})
        if spec.WhichOneof("version_choice"):
            number = self._number(spec, {})
            known = {number: known[number]} if number in known else {}
            if not known:
                raise not_found(f"Could not find version {number} of model {spec.name}")
        if not known:
            raise not_found(f"Could not find any versions of model {spec.name}")
        return dict(sorted(known.items(), reverse=True))

    def names(self) -> list[str]:
        """The models of which a version is served."""
        return [name for name in self._configs if self._available(name)]

    def _available(self, name: str) -> dict[int, Servable]:
        known = self._versions.get(name, {})
        return {number: v.servable for number, v in known.items() if v.servable is not None}

    def _number(self, spec: ModelSpec, available: Mapping[int, Servable]) -> int:
        if spec.version_label:
            labels = self._labels.get(spec.name, {})
            if spec.version_label not in labels:
                raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
            return labels[spec.version_label]
        return spec.version.value if spec.HasField("version") else max(available, default=-1)

    def _reconcile(self, name: str, config: ModelConfig) -> None:
        folders, wanted = candidates(Path(config.base_path), config.model_version_policy)
        served: set[int] = set()
        for number, folder in folders.items():
            if len(served) < wanted and self._serve(name, number, folder):
                served.add(number)
        if not served:
            reasons = (v.error for v in self._versions.get(name, {}).values() if v.error)
            raise StartError("; ".join(reasons))
        # Now that all are loaded, and before one is let go: a label leads to what is served.
        labels, before = config.version_labels, self._labels.get(name, {})
        kept = {label: number for label, number in before.items() if label in labels}
        moved = {label: number for label, number in labels.items() if number in served}
        self._labels = {**self._labels, name: kept | moved}
        for number in self._available(name).keys() - served:
            log.warning("%s version %d is not served any more", name, number)
            self._set(name, number, Version(END))

    def _serve(self, name: str, number: int, folder: Path) -> bool:
        """Whether a version is served, which is loaded where it is not."""
        known = self._versions.get(name, {}).get(number)
        if known and known.servable:
            return True
        now = stamp(folder)
        if known and known.stamp == now:
            return False
        self._set(name, number, Version(LOADING))
        try:
            verify(folder)
            servable = self._load(name, folder)
        except Exception as error:  # Whatever it is: what was served before is served on.
            self._set(name, number, Version(END, error=str(error), stamp=now))
            log.error("%s version %d is refused: %s", name, number, error)
            return False
        self._set(name, number, Version(AVAILABLE, servable))
        log.warning("%s version %d is served", name, number)
        return True

    def _set(self, name: str, number: int, version: Version) -> None:
        """As a new mapping, since requests read the old one."""
        known = {**self._versions.get(name, {}), number: version}
        self._versions = {**self._versions, name: known}

    def _tell(self, name: str, problem: str) -> None:
        """Says a problem once, and not at each look at the folder."""
        if self._problems.get(name) != problem:
            log.error("%s: %s", name, problem)
        self._problems[name] = problem
