"""A Flink cluster of this machine's processes, and Beam's job server in front of it.

There is a worker pool for each task manager, and all are told one address of it, as on a real
cluster, where it means the task manager's own machine. Here each has a hosts file of its own, in
which the pool's name is 127.0.0.2 for the first and 127.0.0.3 for the second (Linux has all of
127.0.0.0/8; macOS has only 127.0.0.1).
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from deploy.flink.processes import free_ports, listens, process_group, wait_until

JAVA_OPTIONS = Path(__file__).with_name("java.options")
POOL = "worker-pool"
_SLOT_MILLISECONDS = 30_000  # A task manager that has died does not come back.

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"

# Flink's own start script works these out of one total; the class wants each of them.
_MEMORY = {
    "taskmanager.cpu.cores": 1,
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "64m",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "64m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "64m",
    "taskmanager.memory.jvm-overhead.max": "64m",
}


class Cluster(NamedTuple):
    """A running cluster.

    Attributes:
        url: of the job manager's REST API, which is also its web page.
        beam: the options with which a Beam pipeline runs on it.
        processes: by name; each writes `<name>.log` in the cluster's folder.
    """

    url: str
    beam: dict[str, Any]
    processes: dict[str, subprocess.Popen[bytes]]


@contextmanager
def flink_cluster(jar: Path, folder: Path, task_managers: int = 2) -> Iterator[Cluster]:
    """Starts a cluster of one slot for each task manager; ends every process afterwards.

    Args:
        jar: of Beam's job server, which has Flink in it.
        folder: is there; for logs, settings and temporary files.
        task_managers: how many.

    Raises:
        ClusterError: it does not start.
    """
    rest, rpc, jobs, pool = free_ports(4)
    url = f"http://localhost:{rest}"
    conf = _write_settings(folder / "conf", rest, rpc)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as running:

        def start(name: str, command: Sequence[str]) -> None:
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            processes[name] = running.enter_context(process_group(command, log))

        java = ["java", f"@{JAVA_OPTIONS}", "-Xmx512m", f"-Djava.io.tmpdir={folder}"]
        start("job-manager", [*java, "-cp", str(jar), _JOB_MANAGER, *conf])
        ports = {"job": jobs, "artifact": 0, "expansion": 0}
        served = [f"--{name}-port={port}" for name, port in ports.items()]
        served += [f"--flink-master={url}", f"--artifacts-dir={folder / 'artifacts'}"]
        start("job-server", [*java, "-jar", str(jar), *served])
        for number in range(1, task_managers + 1):
            name, address = f"task-manager-{number}", f"127.0.0.{number + 1}"
            serve = [sys.executable, "-m", "deploy.flink.worker_pool", f"{address}:{pool}"]
            start(f"worker-pool-{number}", serve)
            hosts = _write_hosts(folder / f"{name}.hosts", address)
            options = [f"-Djdk.net.hosts.file={hosts}", "-cp", str(jar)]
            identity = ["-D", f"taskmanager.resource-id={name}"]
            start(name, [*java, *options, _TASK_MANAGER, *conf, *identity])
        servers = [("127.0.0.1", jobs)]
        servers += [(f"127.0.0.{number + 1}", pool) for number in range(1, task_managers + 1)]
        wait_until(lambda: all(map(listens, servers)), processes, folder)
        wait_until(lambda: _count_task_managers(url) == task_managers, processes, folder)
        beam = {
            "runner": "FlinkRunner",
            "job_endpoint": f"localhost:{jobs}",
            "environment_type": "EXTERNAL",
            "environment_config": f"{POOL}:{pool}",
            "parallelism": task_managers,
        }
        yield Cluster(url, beam, processes)


def ask(url: str) -> Any:
    """What the REST API answers."""
    with urlopen(url, timeout=10) as response:
        return json.load(response)


def _write_settings(folder: Path, rest: int, rpc: int) -> list[str]:
    """Writes Flink's `config.yaml`; returns the arguments that name it."""
    settings = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc,
        "jobmanager.bind-host": "localhost",
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": rest,
        "taskmanager.host": "localhost",
        "taskmanager.bind-host": "localhost",
        "taskmanager.numberOfTaskSlots": 1,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 3,
        "restart-strategy.fixed-delay.delay": "1 s",
        "slot.request.timeout": _SLOT_MILLISECONDS,
        **_MEMORY,
    }
    folder.mkdir()
    lines = [f"{key}: {value}\n" for key, value in settings.items()]
    (folder / "config.yaml").write_text("".join(lines))
    return ["--configDir", str(folder)]


def _write_hosts(path: Path, address: str) -> Path:
    path.write_text(f"127.0.0.1 localhost {socket.gethostname()}\n{address} {POOL}\n")
    return path


def _count_task_managers(url: str) -> int:
    try:
        return int(ask(f"{url}/overview")["taskmanagers"])
    except (URLError, OSError, ValueError):
        return 0  # Not listening yet, or not ready to say.
