"""What the machine does meanwhile: MLflow's own monitors, as metrics of a run."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from components.common.tracking import TrackedRun

log = logging.getLogger(__name__)

SECONDS = 10.0
"""Between two samples, as MLflow's own: 13 numbers, of a run of an hour 5,000."""


@contextmanager
def system_metrics(run: TrackedRun, seconds: float = SECONDS) -> Iterator[None]:
    """Logs processor, memory, disk, network and GPU to a run, for the length of the block.

    MLflow's SystemMetricsMonitor asks the server at each sample whether the run goes on, and ends
    for good where it does not answer. During an outage no samples are kept: they would be most of
    what is sent after it, and nobody's loss.
    """
    ended = threading.Event()
    thread = threading.Thread(
        target=_sample, args=(run, seconds, ended), name="system metrics", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _sample(run: TrackedRun, seconds: float, ended: threading.Event) -> None:
    try:
        monitors = _monitors()
        step = 0
        while not ended.wait(seconds):
            if not run.queue.outage:
                run.log_metrics(_read(monitors), step)
                step += 1
    except Exception as error:  # drivers and containers hide what they like
        log.warning("no system metrics are logged: %s", error)


def _monitors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # whatever it raises without a GPU or without its library
        monitors.append(GPUMonitor())
    return monitors


def _read(monitors: list[Any]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        metrics |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
        monitor.clear_metrics()
    return metrics
