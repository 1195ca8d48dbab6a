"""Processes that belong together: free ports, starting, waiting for, and ending all of them."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

START_SECONDS = 120
_POLL_SECONDS = 0.25
_LOG_LINES = 15


class ClusterError(RuntimeError):
    """The cluster did not start; says which process, and its last words."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on."""
    with ExitStack() as held:
        probes = [held.enter_context(closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def process_group(
    command: Sequence[str], output: BinaryIO | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command, and ends it and whatever it has started.

    Args:
        command: and its arguments.
        output: takes what it says, or None for where this process says it.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # It has ended, and what it had started too.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(
    ready: Callable[[], bool], processes: Mapping[str, subprocess.Popen[bytes]], folder: Path
) -> None:
    """Waits for what is asked.

    Args:
        ready: whether to go on.
        processes: by name; none may end meanwhile.
        folder: has the log of each, `<name>.log`.

    Raises:
        ClusterError: a process has ended, or it takes too long.
    """
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        ended = [name for name, process in processes.items() if process.poll() is not None]
        if ended or time.monotonic() > deadline:
            what = f"{ended[0]} has ended" if ended else f"not there after {START_SECONDS} s"
            said = (_last_words(folder / f"{name}.log") for name in ended or processes)
            raise ClusterError("\n".join([f"the cluster: {what}", *said]))
        time.sleep(_POLL_SECONDS)


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"--- {log.name}", *lines])


def listens(address: tuple[str, int]) -> bool:
    """Whether something accepts connections at a host and port."""
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False
