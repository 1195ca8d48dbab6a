"""Counts for Prometheus, under TF Serving's names: `/monitoring/prometheus/metrics`."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from deploy.server.errors import ServingError

_BUCKETS = [10 * 1.8**power for power in range(33)]
"""Of microseconds, as TF Serving has them."""


class Monitor:
    """What was asked, and how long it took."""

    def __init__(self, models: Callable[[], Collection[str]], waiting: Callable[[], int]) -> None:
        """Starts at nothing.

        Args:
            models: tells which are served; others, endless, are not counted by their names.
            waiting: tells how many rows wait for a batch.
        """
        self._models = models
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests: Counter[tuple[str, str]] = Counter()
        self._registry.register(self)
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from a request to its answer.",
            ["model_name", "API", "entrypoint"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        Gauge(
            ":mien:rows_waiting", "Rows that wait for a batch.", registry=self._registry
        ).set_function(waiting)

    def collect(self) -> Iterator[Metric]:
        """The counter of requests: the library would add `_total` to TF Serving's name."""
        metric = Metric(":tensorflow:serving:request_count", "Requests by status.", "unknown")
        for (model, status), count in self._requests.items():
            labels = {"model_name": model, "status": status}
            metric.add_sample(":tensorflow:serving:request_count", labels, count)
        yield metric

    @contextmanager
    def request(self, model: str, api: str, entrypoint: str) -> Iterator[None]:
        """Counts what happens in the block, by its ServingError or its success."""
        began, status = time.perf_counter(), "OK"
        try:
            yield
        except ServingError as error:
            status = error.code.name
            raise
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        except BaseException:
            status = "INTERNAL"
            raise
        finally:
            model = model if model in self._models() else ""
            self._requests[model, status] += 1
            microseconds = 1e6 * (time.perf_counter() - began)
            self._latency.labels(model, api, entrypoint).observe(microseconds)

    def page(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
