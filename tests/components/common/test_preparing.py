import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from components.common.preparing import Prepared, prepare
from tfds_builders.drawn_faces.drawn_faces_dataset_builder import Builder

OPTIONS = {"images_per_class": 1, "subjects": 1, "size": 32}


def test_two_at_once_prepare_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beam: dict[str, str]
) -> None:
    asked: list[int] = []
    read = Builder.read

    def counted(self: Builder, raw_files: Sequence[Path], entries: Sequence[Any]) -> Iterator[Any]:
        asked.append(len(entries))
        return read(self, raw_files, entries)

    monkeypatch.setattr(Builder, "read", counted)
    both = threading.Barrier(2)

    def run(_: int) -> Prepared:
        both.wait(timeout=30)
        return prepare("drawn_faces", OPTIONS, None, datasets=tmp_path, beam=beam)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))
    assert asked == [7]
    assert first == second
    assert len(set(first.contents)) == 7
