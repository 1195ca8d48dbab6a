"""Which datasets there are, which raw files each needs, and how to make a builder.

Light to import: TFDS is imported only where a builder is made.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfds_builders.archive import folder_files

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class UnknownNameError(ValueError):
    """There is no such dataset; the message says which there are."""


class OptionError(ValueError):
    """An option is unknown, or its value impossible."""


@dataclass(frozen=True)
class Dataset:
    """What is known of a dataset before its builder is imported."""

    name: str
    task: str
    """One line for people."""
    labels: tuple[str, ...]
    """In the dataset's own order."""
    raw_files: tuple[tuple[str, ...], ...]
    """Alternatives, each a set of files or folders; the first that is complete is read."""
    how_to_get: str
    """One sentence."""
    default_split: str
    """How its examples are best assigned to train, validation and test."""


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="drawn_faces",
            task="7 expressions on drawn faces, any size and number",
            labels=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
            raw_files=(),
            how_to_get="Nothing to get: the faces are drawn.",
            default_split="subject",
        ),
        Dataset(
            name="happy_or_sad",
            task="happy or sad, 80 emoji-like pictures of 150x150 pixels",
            labels=("happy", "sad"),
            raw_files=(("happy-or-sad.zip",), ("happy", "sad")),
            how_to_get=(
                "happy-or-sad.zip comes with week 4 of DeepLearning.AI's course Introduction to "
                "TensorFlow for Artificial Intelligence, Machine Learning, and Deep Learning."
            ),
            default_split="stratified",
        ),
    )
}


def find_raw_files(name: str, raw_dir: Path | None) -> list[Path]:
    """Returns the raw files or folders that the dataset is read from; [] where it needs none.

    Raises:
        FileNotFoundError: no alternative is complete in `raw_dir`.
        ValueError: there is no such dataset.
    """
    dataset = get_dataset(name)
    if not dataset.raw_files:
        return []
    for names in dataset.raw_files if raw_dir else ():
        paths = [Path(raw_dir or "") / name for name in names]
        if all(path.exists() for path in paths):
            return paths
    wanted = ", or ".join(" and ".join(names) for names in dataset.raw_files)
    where = f"not in {raw_dir}" if raw_dir else "name their folder with --raw-dir"
    raise FileNotFoundError(f"{name} needs {wanted}: {where}. {dataset.how_to_get}")


def raw_digest(name: str, raw_dir: Path | None) -> str:
    """Returns the SHA-256 of the raw files' names and contents, in hex; "" where none are needed.

    Where the files lie makes no difference.

    Raises:
        FileNotFoundError, ValueError: as `find_raw_files`, and for a link in a folder.
    """
    paths = find_raw_files(name, raw_dir)
    if not paths:
        return ""
    digest = hashlib.sha256()
    for path in paths:
        files = folder_files(path) if path.is_dir() else {path.name: path}
        for member, file in files.items():
            with file.open("rb") as content:
                content_digest = hashlib.file_digest(content, "sha256").hexdigest()
            digest.update(f"{member}\0{content_digest}\n".encode())
    return digest.hexdigest()


def make_builder(
    name: str, data_dir: Path, raw_dir: Path | None, options: Mapping[str, Any]
) -> tfds.core.DatasetBuilder:
    """Returns the dataset's builder, ready for `download_and_prepare()`.

    Args:
        name: a key of DATASETS.
        data_dir: where the TFRecords go, in a folder for each dataset, options and version.
        raw_dir: where the raw files lie; None for a dataset that needs none.
        options: the fields of the builder's config, as plain JSON values.

    Raises:
        FileNotFoundError: as `find_raw_files`.
        UnknownNameError: there is no such dataset.
        OptionError: there is no such option, or its value is impossible.
    """
    find_raw_files(name, raw_dir)
    builder_class = import_module(f"tfds_builders.{name}.{name}_dataset_builder").Builder
    try:
        for option in options:
            _check_known(f"option of {name}", option, builder_class.option_names())
        config = builder_class.CONFIG(**options) if options else None
    except (ValueError, TypeError) as error:
        raise OptionError(str(error)) from None
    return builder_class(data_dir=data_dir, raw_dir=raw_dir, config=config)


def get_dataset(name: str) -> Dataset:
    """Returns what is known of a dataset.

    Raises:
        ValueError: there is none of that name; says which there are.
    """
    _check_known("dataset", name, DATASETS)
    return DATASETS[name]


def _check_known(kind: str, name: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    there_are = f"there are: {', '.join(names)}" if names else "it has none"
    raise UnknownNameError(f"{name}: unknown {kind}; {hint}{there_are}")
