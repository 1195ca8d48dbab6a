from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.examples import (
    Example,
    read_dataset,
    read_encoded,
    read_table,
    write_examples,
)


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        Example("1", "train", "happy", "Ann, the first", 'a "quoted" name.png'),
        Example("2", "test", "sad", "", "Zoë.png"),
    ]
    dataset = {"name": "made", "labels": ["happy", "sad"], "tfds_splits": {"train": 2}}
    write_examples(tmp_path, rows, dataset)
    assert read_table(tmp_path) == rows
    assert read_dataset(tmp_path) == dataset


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 3), (4, 5)])
def test_encoded_images_are_those_of_the_archive(
    tmp_path: Path,
    make_examples: Callable[..., Path],
    face_png: Callable[..., bytes],
    start: int,
    stop: int,
) -> None:
    members = {f"happy/{n}.png": face_png("happy", n, 32) for n in range(5)}
    examples = make_examples(tmp_path, members)
    sources = [row.source for row in read_table(examples)[start:stop]]
    assert list(read_encoded(examples, start, stop)) == [members[source] for source in sources]
