"""Which datasets there are, which raw files each needs, and how to make a builder.

Light to import: TFDS is imported only where a builder is made.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from tfds_builders.archive import folder_files

if TYPE_CHECKING:
    from tfds_builders.face_builder import FaceBuilder


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
    """In the dataset's own order; () where only the raw files tell."""
    raw_files: tuple[tuple[str, ...], ...]
    """Alternatives, each a set of files or folders; the first that is complete is read. `{source}`
    stands for the option of that name; "" is the raw folder itself."""
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
            name="happy_house",
            task="happy or not, 600 + 150 photographs of faces of 64x64 pixels",
            labels=("not_happy", "happy"),
            raw_files=(("train_happy.h5", "test_happy.h5"),),
            how_to_get=(
                "train_happy.h5 and test_happy.h5 come with the Happy House exercise of "
                "DeepLearning.AI's course Convolutional Neural Networks."
            ),
            default_split="official",
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
        Dataset(
            name="fer2013",
            task="7 expressions, 35,887 gray pictures of 48x48 pixels",
            labels=("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
            raw_files=(
                ("fer2013.zip",),
                ("archive.zip",),
                ("train", "test"),
                ("fer2013.csv",),
                ("icml_face_data.csv",),
            ),
            how_to_get=(
                "Kaggle has it as pictures (msambare/fer2013: archive.zip) and as tables "
                "(challenges-in-representation-learning-facial-expression-recognition-challenge)."
            ),
            default_split="official",
        ),
        Dataset(
            name="ck_plus",
            task="8 expressions, sequences of 123 people from neutral to the peak",
            labels=(
                "neutral",
                "anger",
                "contempt",
                "disgust",
                "fear",
                "happy",
                "sadness",
                "surprise",
            ),
            raw_files=(
                ("extended-cohn-kanade-images.zip", "Emotion_labels.zip"),
                ("cohn-kanade-images", "Emotion"),
            ),
            how_to_get=(
                "The Extended Cohn-Kanade dataset is given to researchers who sign its agreement."
            ),
            default_split="subject",
        ),
        Dataset(
            name="labelled_faces",
            task="faces of your own: a table beside the pictures, or a folder for each class",
            labels=(),
            raw_files=(("{source}",),),
            how_to_get=(
                "Put the pictures and their table, or a folder for each class, or a zip of either "
                "into a folder; for a zip say --set dataset.options.source=NAME.zip."
            ),
            default_split="auto",
        ),
    )
}


def find_raw_files(
    name: str, raw_dir: Path | None, options: Mapping[str, Any] | None = None
) -> list[Path]:
    """Returns the raw files or folders that the dataset is read from; [] where it needs none.

    Args:
        name: a key of DATASETS.
        raw_dir: where the raw files lie; None for a dataset that needs none.
        options: of the builder; only `source` counts.

    Raises:
        FileNotFoundError: no alternative is complete in `raw_dir`.
        OptionError: `source` leads outside of it.
        ValueError: there is no such dataset.
    """
    dataset = get_dataset(name)
    if not dataset.raw_files:
        return []
    source = str((options or {}).get("source", ""))
    check_inside(source)
    alternatives = [[file.format(source=source) for file in files] for files in dataset.raw_files]
    for files in alternatives if raw_dir else ():
        paths = [Path(raw_dir or "") / file for file in files]
        if all(path.exists() for path in paths):
            return paths
    wanted = ", or ".join(" and ".join(files) for files in alternatives) or "its pictures"
    where = f"not in {raw_dir}" if raw_dir else "name their folder with --raw-dir"
    raise FileNotFoundError(f"{name} needs {wanted}: {where}. {dataset.how_to_get}")


def check_inside(source: str) -> None:
    """Checks the name of a zip or folder in the raw folder.

    Raises:
        OptionError: it leads outside.
    """
    path = PureWindowsPath(source)  # On any system: it takes both kinds of slash.
    if path.anchor or ".." in path.parts:
        raise OptionError(f"source: {source} leads outside; name a zip or folder in the raw folder")


def raw_digest(name: str, raw_dir: Path | None, options: Mapping[str, Any] | None = None) -> str:
    """Returns the SHA-256 of the raw files' names and contents, in hex; "" where none are needed.

    Where the files lie makes no difference.

    Raises:
        FileNotFoundError, ValueError: as `find_raw_files`, and for a link in a folder.
    """
    paths = find_raw_files(name, raw_dir, options)
    if not paths:
        return ""
    named_by_user = "{source}" in chain.from_iterable(get_dataset(name).raw_files)
    digest = hashlib.sha256()
    for path in paths:
        top = "" if named_by_user else path.name
        for file in folder_files(path).values():
            changed = file.stat()
            content = _file_digest(file, changed.st_mtime_ns, changed.st_size)
            digest.update(f"{top}/{file.relative_to(path).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


@cache
def _file_digest(path: Path, changed: int, size: int) -> str:
    """Once a process for an unchanged file: every fold of a cross-validation asks."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def make_builder(
    name: str, data_dir: Path, raw_dir: Path | None, options: Mapping[str, Any]
) -> FaceBuilder:
    """Returns the dataset's builder, ready for `index()` or `download_and_prepare()`.

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
    get_dataset(name)
    builder_class = import_module(f"tfds_builders.{name}.{name}_dataset_builder").Builder
    try:
        for option in options:
            _check_known(f"option of {name}", option, builder_class.option_names())
        config = builder_class.CONFIG(**options) if options else None
    except (ValueError, TypeError) as error:
        raise OptionError(str(error)) from None
    find_raw_files(name, raw_dir, options)
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
