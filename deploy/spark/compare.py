"""Runs mien's Beam steps here and on a Spark of this machine, and compares every byte they write.

    python -m deploy.spark.compare [--images N] [--folder FOLDER]

As deploy.flink.compare does; but Spark runs inside the job server (`local[2]`), with two threads
and one worker pool.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from deploy.flink.cluster import JAVA_OPTIONS
from deploy.flink.compare import Comparison, compare, main, telling
from deploy.flink.jars import CACHE, job_server_jar
from deploy.flink.processes import free_ports, listens, process_group, wait_until

POM = Path(__file__).with_name("pom.xml")
# What Spark 3.5 asks of Java 17 beyond Flink (its launcher's JavaModuleOptions).
_OPEN = ("java.lang.invoke", "jdk.internal.ref", "sun.nio.cs", "sun.security.action")


def compare_on_spark(folder: Path, images: int) -> Comparison:
    """Runs the steps on the DirectRunner and on Spark, and compares; see `compare_on_flink`."""
    with telling("the job server's jar"):
        jar = job_server_jar(CACHE, POM)
    logs = folder / "cluster"
    logs.mkdir()
    with local_spark(jar, logs) as beam:
        return Comparison(compare(folder, images, beam), {})


@contextmanager
def local_spark(jar: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Starts Beam's job server with Spark in it, and a worker pool; gives Beam's options for it.

    Raises:
        ClusterError: it does not start.
    """
    jobs, pool = free_ports(2)
    opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPEN]
    java = ["java", f"@{JAVA_OPTIONS}", *opens, "-Xmx1g", f"-Djava.io.tmpdir={folder}"]
    served = [f"--job-port={jobs}", "--artifact-port=0", "--expansion-port=0"]
    served += ["--spark-master-url=local[2]", f"--artifacts-dir={folder / 'artifacts'}"]
    commands = {
        "job-server": [*java, "-jar", str(jar), *served],
        "worker-pool": [sys.executable, "-m", "deploy.flink.worker_pool", f"127.0.0.1:{pool}"],
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as running:
        for name, command in commands.items():
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            processes[name] = running.enter_context(process_group(command, log))
        servers = [("127.0.0.1", jobs), ("127.0.0.1", pool)]
        wait_until(lambda: all(map(listens, servers)), processes, folder)
        yield {
            "runner": "SparkRunner",
            "job_endpoint": f"localhost:{jobs}",
            "environment_type": "EXTERNAL",
            "environment_config": f"localhost:{pool}",
        }


if __name__ == "__main__":
    sys.exit(main(compare_on_spark, "Runs the Beam steps here and on Spark; compares the bytes."))
