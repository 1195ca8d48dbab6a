"""Runs that a killed process left RUNNING: the next start closes them as KILLED.

Each run is tagged with the process that tells it: host, process id, and when the process started,
since ids are given out again.
"""

import logging
import os
import socket
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)

_SAME_START = 2.0
"""Seconds that the start of one process may seem to move when the clock is set."""


def this_process() -> dict[str, str]:
    """The tags that say which process tells a run."""
    process = psutil.Process()
    return {
        "mien.host": _host(),
        "mien.pid": str(process.pid),
        "mien.process_started": f"{process.create_time():.2f}",
    }


def _host() -> str:
    """Names the machine, and the container, in which a process id means something."""
    namespace = Path("/proc/self/ns/pid")
    inode = namespace.stat().st_ino if namespace.exists() else os.name
    return f"{socket.gethostname()} {uuid.getnode():012x} {inode}"


def close_orphans(client: Any, experiment: str, half_told: Collection[str] = ()) -> None:
    """Closes the RUNNING runs whose process is gone; never one of another host.

    Args:
        client: MLflow's.
        experiment: the id of the experiment they are in.
        half_told: ids of runs of which the rest, perhaps their end, is still to be told.
    """
    mine = f"attributes.status = 'RUNNING' and tags.`mien.host` = '{_host()}'"
    for run in client.search_runs([experiment], mine):
        if run.info.run_id not in half_told and not _lives(run.data.tags):
            client.set_tag(run.info.run_id, "mien.error", "the process was killed")
            client.set_terminated(run.info.run_id, "KILLED")
            log.info("MLflow run %s was of a killed process: closed", run.info.run_id)


def _lives(tags: Mapping[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags["mien.pid"]))
        gone = process.status() == psutil.STATUS_ZOMBIE
        moved = abs(process.create_time() - float(tags["mien.process_started"]))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return not gone and moved < _SAME_START
