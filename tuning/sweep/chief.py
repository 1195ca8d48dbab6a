"""Which process hands out the trials of a search: the one that said so last.

A chief that is started in the place of a dead one hands out the trials that still ran; a worker
that runs one of them for the dead one must not go on.
"""

import uuid
from pathlib import Path


def become_chief(folder: Path) -> None:
    """Says in the search's folder that from now on this process hands out its trials."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chief").write_text(uuid.uuid4().hex)


def read_chief(folder: Path) -> str:
    """Names the process that hands out the trials; "" where that cannot be read."""
    try:
        return (folder / "chief").read_text()
    except OSError:
        return ""
