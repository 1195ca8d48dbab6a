import pytest

from components.common.tracking import TrackedRun
from components.common.tracking import system_metrics as module
from components.common.tracking.system_metrics import system_metrics
from tests.components.common.tracking.told import Told


class FakeMonitor:
    """Counts its samples, and says when there are some."""

    def __init__(self, told: Told) -> None:
        self.told, self.samples = told, 0

    def collect_metrics(self) -> None:
        self.samples += 1

    def aggregate_metrics(self) -> dict[str, float]:
        return {"cpu_utilization_percentage": float(self.samples)}

    def clear_metrics(self) -> None:
        pass


def samples(told: Told) -> list[tuple[str, int]]:
    metrics = [record for record in told.records if record["op"] == "metrics"]
    return [(row[0], row[3]) for record in metrics for row in record["rows"]]


def wait_for_samples(told: Told, count: int) -> None:
    with told._changed:  # It is told of each record.
        assert told._changed.wait_for(lambda: len(samples(told)) >= count, timeout=20)


def test_processor_memory_disk_and_network_are_metrics_of_the_run(told: Told) -> None:
    with system_metrics(TrackedRun(told, "parent", {}), seconds=0.01):
        wait_for_samples(told, 20)
    names = {name for name, _ in samples(told)}
    assert {"system/cpu_utilization_percentage", "system/disk_usage_percentage"} <= names
    assert {"system/system_memory_usage_megabytes", "system/network_receive_megabytes"} <= names


def test_samples_are_numbered(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_monitors", lambda: [FakeMonitor(told)])
    with system_metrics(TrackedRun(told, "parent", {}), seconds=0.001):
        wait_for_samples(told, 3)
    assert [step for _, step in samples(told)][:3] == [0, 1, 2]


def test_a_short_run_neither_waits_for_a_sample_nor_has_one(told: Told) -> None:
    with system_metrics(TrackedRun(told, "parent", {}), seconds=1000):
        pass
    assert samples(told) == []


def test_during_an_outage_no_samples_pile_up(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = FakeMonitor(told)
    monkeypatch.setattr(module, "_monitors", lambda: [monitor])
    run = TrackedRun(told, "parent", {})
    told._outage, told._patience = True, 0.1
    with system_metrics(run, seconds=0.001):
        assert not run.queue.drain()  # It waits for as long as 100 samples take.
    assert samples(told) == []


def test_a_machine_that_hides_its_numbers_costs_a_warning(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def denied() -> list[FakeMonitor]:
        raise PermissionError("/proc/stat")

    monkeypatch.setattr(module, "_monitors", denied)
    with system_metrics(TrackedRun(told, "parent", {}), seconds=0.001):
        pass
    assert "/proc/stat" in caplog.text
