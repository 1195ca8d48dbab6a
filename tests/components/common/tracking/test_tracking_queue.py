import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.common.tracking import tracking_queue
from components.common.tracking.mlflow_sender import RefusedError
from components.common.tracking.spool import Record, Spool
from components.common.tracking.tracking_queue import TrackingQueue, replay
from tests.components.common.tracking.full_disk import FullDisk


class FakeSender:
    """Takes records, until it is told to fail or to hang."""

    uri = "fake"

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.error: Exception | None = None
        self.tries = 0
        self.answers = threading.Event()
        self.answers.set()

    def send(self, record: Record, spool: Spool) -> str | None:
        self.tries += 1
        self.answers.wait(20)
        if self.error:
            raise self.error
        self.taken.append(record["number"])
        return f"id of {record['run']}" if record["op"] == "start" else None


@pytest.fixture
def sender() -> Iterator[FakeSender]:
    sender = FakeSender()
    yield sender
    sender.error = None
    sender.answers.set()


@pytest.fixture
def queue(tmp_path: Path, sender: Any, monkeypatch: pytest.MonkeyPatch) -> TrackingQueue:
    monkeypatch.setattr(tracking_queue, "PATIENCE", 0.3)
    monkeypatch.setattr(tracking_queue, "_LONGEST_PAUSE", 0.01)
    return TrackingQueue(Spool(tmp_path / "spool"), sender)


def put(queue: TrackingQueue, *numbers: int, op: str = "metrics") -> None:
    for number in numbers:
        queue.put({"op": op, "run": "r", "number": number})


def seconds(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def wait_for_the_end_of_the_outage(queue: TrackingQueue) -> None:
    with queue._changed:
        assert queue._changed.wait_for(lambda: not queue.outage, timeout=20)


def test_what_is_told_is_sent_in_order_and_the_spool_is_gone(
    queue: TrackingQueue, sender: FakeSender, tmp_path: Path
) -> None:
    queue.start()
    put(queue, 0, op="start")
    put(queue, *range(1, 50))
    assert queue.id_of("r") == "id of r"
    assert queue.close()
    assert sender.taken == list(range(50))
    assert list(tmp_path.iterdir()) == []


def test_an_outage_delays_what_is_told_and_loses_none(
    queue: TrackingQueue, sender: FakeSender, caplog: pytest.LogCaptureFixture
) -> None:
    sender.error = ConnectionError("server is down")
    queue.start()
    put(queue, *range(3))
    assert not queue.drain()
    assert queue.outage
    sender.error = None
    put(queue, 3)
    wait_for_the_end_of_the_outage(queue)
    assert queue.close()
    assert sender.taken == [0, 1, 2, 3]
    assert caplog.text.count("server is down") == 1


def test_an_outage_is_waited_for_once(queue: TrackingQueue, sender: FakeSender) -> None:
    sender.answers.clear()
    queue.start()
    put(queue, 0, op="start")
    put(queue, 1)
    assert 0.3 <= seconds(lambda: queue.id_of("r")) < 1
    assert queue.id_of("r") == ""
    assert seconds(lambda: [queue.id_of("r"), queue.drain(), queue.close()]) < 0.2


def test_after_an_outage_the_next_one_is_waited_for_again(
    queue: TrackingQueue, sender: FakeSender
) -> None:
    for numbers in ([0, 1], [2, 3]):
        sender.error = ConnectionError("server is down")
        if not numbers[0]:
            queue.start()
        put(queue, *numbers)
        assert 0.3 <= seconds(queue.drain) < 1
        sender.error = None
        wait_for_the_end_of_the_outage(queue)
    assert sender.taken == [0, 1, 2, 3]


def test_what_a_server_will_never_take_is_kept_and_does_not_stop_the_rest(
    queue: TrackingQueue, sender: FakeSender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender.error = RefusedError("a parameter has another value")
    queue.start()
    put(queue, 0)
    assert queue.drain()
    sender.error = None
    put(queue, 1)
    assert queue.close()
    assert sender.taken == [1]
    assert f"{tmp_path / 'spool.refused'}: a parameter has another value" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["spool.refused"]


def test_what_was_not_sent_waits_for_the_next_process(
    queue: TrackingQueue, sender: FakeSender, tmp_path: Path
) -> None:
    put(queue, 0, op="start")
    put(queue, 1, 2)
    queue.spool.mark_sent("theirs")
    queue.spool.close()
    spool = Spool(tmp_path / "spool")
    assert replay(spool, sender)  # type: ignore[arg-type]
    assert sender.taken == [1, 2]
    assert spool.ids == {"r": "theirs"}


def test_a_full_disk_costs_the_record_and_neither_the_training_nor_the_next_record(
    queue: TrackingQueue,
    sender: FakeSender,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(queue, 1)
    with monkeypatch.context() as full, caplog.at_level(logging.WARNING):
        full.setattr(queue.spool, "_records", FullDisk(queue.spool._records))
        put(queue, 2)
    put(queue, 3)
    assert "No space left on device" in caplog.text
    queue.start()
    assert queue.close()
    assert sender.taken == [1, 3]
