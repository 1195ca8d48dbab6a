"""Files that appear whole or not at all, also where two workers write the same one at once."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTS = ".part-*"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a name beside `path` to write to, which becomes `path` when the block ends well.

    Each caller gets a name of its own: a cluster may begin a shard again while the worker that it
    has given up still writes.
    """
    part = path.with_name(f"{_PARTS[:-1]}{uuid.uuid4().hex}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def remove_parts(folder: Path) -> None:
    """Removes what workers that were killed have left in a folder."""
    for part in folder.glob(_PARTS):
        part.unlink(missing_ok=True)
