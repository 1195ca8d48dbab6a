"""A PostgreSQL of the test's own, from the system's package."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.flink.processes import free_ports

OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if not initdb:
        pytest.skip("PostgreSQL is not there: apt install postgresql")
    return Path(initdb).parent


def _as_its_user() -> list[str]:
    """PostgreSQL does not run as root."""
    if os.geteuid():
        return []
    if (
        not shutil.which("runuser")
        or subprocess.run(["id", "postgres"], capture_output=True).returncode
    ):
        pytest.skip("this is root, and there is no user postgres")
    return ["runuser", "-u", "postgres", "--"]


@contextmanager
def postgres() -> Iterator[str]:
    """Starts PostgreSQL on a free port and gives SQLAlchemy's address of an empty database."""
    binaries, user = _binaries(), _as_its_user()
    # Not below pytest's folders, which another user cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="mien-postgres-"))
    if user:
        shutil.chown(folder, "postgres")
    (port,) = free_ports(1)
    data, log = folder / "data", folder / "log"

    def run(program: str, *arguments: str) -> None:
        command = [*user, str(binaries / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=120)

    try:
        run("initdb", "-A", "trust", "-U", "mien", "--no-sync")
        run("pg_ctl", "-w", "-l", str(log), "-o", f"-p {port} {OPTIONS}", "start")
        try:
            yield f"postgresql+psycopg2://mien@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
