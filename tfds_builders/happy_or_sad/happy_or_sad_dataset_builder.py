"""happy_or_sad: emoji-like pictures, from happy-or-sad.zip or its folders happy and sad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from tfds_builders.archive import read_members
from tfds_builders.catalog import DATASETS
from tfds_builders.face_builder import FaceBuilder, face_example

_DATASET = DATASETS["happy_or_sad"]
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg"}


class Builder(FaceBuilder):
    """The builder; it has no options."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = _DATASET.how_to_get

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
        return {"train": self._generate_examples(self._raw_files(dl_manager))}

    def _generate_examples(self, raw_files: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, content in read_members(*raw_files):
            yield face_example(name, content, _label(name))


def _label(name: str) -> str:
    folder, _, file = name.rpartition("/")
    if folder not in _DATASET.labels or Path(file).suffix.lower() not in _IMAGE_SUFFIXES:
        raise ValueError(
            f"{name}: not a picture (png, jpg) in the folder {' or '.join(_DATASET.labels)}; "
            "remove it"
        )
    return folder
