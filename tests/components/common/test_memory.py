import os
import re
from pathlib import Path

import numpy as np
import pytest

from components.common import memory
from components.common.memory import available_memory, empty_pixels

SHAPE = (10, 4, 4, 1)


@pytest.fixture
def little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Half of what is available is a byte less than SHAPE; returns the folder of the files."""
    monkeypatch.setattr(memory, "available_memory", lambda: 319)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_what_fits_is_held_in_memory(little_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 320)
    assert empty_pixels(SHAPE).base is None


def test_what_does_not_fit_is_an_array_in_a_file_that_nobody_must_remove(
    little_memory: Path,
) -> None:
    pixels = empty_pixels(SHAPE)
    assert (pixels.shape, pixels.dtype, type(pixels)) == (SHAPE, np.uint8, np.ndarray)
    assert pixels.base is not None
    pixels[3] = 7
    assert pixels[[2, 3], 0, 0, 0].tolist() == [0, 7]
    assert list(little_memory.iterdir()) == []


def test_a_full_disk_is_said_with_the_cure(
    little_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(handle: int, start: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fill)
    said = f"160 bytes .* No space left on device; set TMPDIR .*{re.escape(str(little_memory))}"
    with pytest.raises(OSError, match=said) as caught:
        empty_pixels(SHAPE)
    assert caught.value.errno == 28


def test_a_folder_that_is_not_there_is_said_with_the_cure(
    little_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(little_memory / "nothing"))
    with pytest.raises(OSError, match="No such file or directory; set TMPDIR to a folder"):
        empty_pixels(SHAPE)


@pytest.mark.parametrize(
    ("limit", "bound"),
    [("max\n", None), ("8192\n", 8192 - 5000 + 900), ("4000\n", 0), (None, None)],
)
def test_a_containers_limit_less_what_it_uses_bounds_what_is_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, bound: int | None
) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
        (tmp_path / "memory.current").write_text("5000\n")
        (tmp_path / "memory.stat").write_text("anon 4100\ninactive_file 900\n")
    available = available_memory()
    assert available == bound if bound is not None else available > 10**6
