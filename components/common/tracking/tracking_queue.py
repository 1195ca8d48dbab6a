"""The one thread that sends records to MLflow, in their order, while the training goes on.

Whoever tells a record does not wait: it is in the spool. What waits for the server (for the id of a
run, for the end) waits at most `PATIENCE` seconds an outage, all waits together. An outage begins
with a failure or a slow answer, and ends when nothing is left to send and answers are prompt.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from components.common.tracking.mlflow_sender import RefusedError, Sender
from components.common.tracking.spool import Record, Spool

log = logging.getLogger(__name__)

PATIENCE = 5.0
PROMPT = 1.0
"""Seconds of an answer that is not slow."""

_LONGEST_PAUSE = 5.0


class TrackingQueue:
    """Sends the records of a spool."""

    def __init__(
        self, spool: Spool, sender: Sender, tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Takes the spool, what sends a record, and the tags of every run that is started."""
        self.spool = spool
        self.sender = sender
        self.tags = tags
        self._changed = threading.Condition()
        self._patience = PATIENCE
        self._outage = False
        self._closing = False
        self._done = False

    @property
    def outage(self) -> bool:
        """Whether the server failed, or was slow, and has not caught up."""
        return self._outage

    @property
    def patience(self) -> float:
        """The seconds that may yet be waited in this outage."""
        return max(self._patience, 0.0)

    def put(self, record: Record) -> None:
        """Keeps a record, to be sent; a disk that is full costs the record and not the training."""
        try:
            with self._changed:
                self.spool.append(record)
                self._changed.notify_all()
        except (OSError, ValueError) as error:
            log.warning("this record for MLflow is lost: %s", error)

    def id_of(self, run: str) -> str:
        """What the server calls a run that was started; "" where it does not say in time."""
        self._wait(lambda: run in self.spool.ids)
        return self.spool.ids.get(run, "")

    def drain(self) -> bool:
        """Waits until all is sent; returns whether it is."""
        return self._wait(lambda: self._done or self.spool.next_unsent() is None)

    def close(self) -> bool:
        """Sends what is left; returns whether all was sent, else the spool keeps the rest."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        return self._wait(lambda: self._done)

    def _wait(self, done: Callable[[], bool]) -> bool:
        with self._changed:
            while not done() and self._patience > 0:
                started = time.monotonic()
                self._changed.wait(self._patience)
                self._patience -= time.monotonic() - started
            return done()

    def start(self) -> threading.Thread:
        """Sends in a thread that does not keep the process alive."""
        thread = threading.Thread(target=self.work, name="mlflow", daemon=True)
        thread.start()
        return thread

    def work(self) -> None:
        """Sends until it is closed and nothing is left; then removes the spool.

        Raises:
            OSError, ValueError: the spool cannot be read, or removed.
        """
        pause = 0.0
        while record := self._next():
            try:
                self._send(record)
                pause = 0.0
            except Exception as error:  # of MLflow, of the databases behind it, of a full disk
                pause = min(2 * pause or 1, _LONGEST_PAUSE)
                self._fail(error, pause)
        with self._changed:
            self.spool.remove()
            self._done = True
            self._changed.notify_all()

    def _send(self, record: Record) -> None:
        started = time.monotonic()
        server_id = _send_or_set_aside(record, self.spool, self.sender)
        self._mark_sent(server_id, time.monotonic() - started)

    def _next(self) -> Record | None:
        with self._changed:
            while True:
                record = self.spool.next_unsent()
                if record or self._closing:
                    return record
                self._changed.wait()

    def _mark_sent(self, server_id: str | None, seconds: float) -> None:
        with self._changed:
            self.spool.mark_sent(server_id)
            prompt = seconds < PROMPT
            self._outage = not prompt or (self._outage and self.spool.next_unsent() is not None)
            if not self._outage:
                self._patience = PATIENCE
            self._changed.notify_all()

    def _fail(self, error: Exception, pause: float) -> None:
        with self._changed:
            if not self._outage:
                log.warning("MLflow failed, what it is told is kept and sent again: %s", error)
            self._outage = True
            closing, time_to_try = self._closing, time.monotonic() + pause
            # When it is closed it tries once more at once.
            while self._closing == closing and (left := time_to_try - time.monotonic()) > 0:
                self._changed.wait(left)


def replay(spool: Spool, sender: Sender) -> bool:
    """Sends what a process left; returns whether that was all, else the spool keeps the rest.

    Raises:
        OSError, ValueError: the spool cannot be read, or removed.
    """
    while record := spool.next_unsent():
        try:
            spool.mark_sent(_send_or_set_aside(record, spool, sender))
        except Exception as error:  # of MLflow, of the databases behind it, of a full disk
            log.debug("MLflow failed: %s", error)
            spool.close()
            return False
    spool.remove()
    return True


def _send_or_set_aside(record: Record, spool: Spool, sender: Sender) -> str | None:
    try:
        return sender.send(record, spool)
    except RefusedError as error:
        kept = spool.set_aside(record)
        log.warning("MLflow refuses a record, which is kept in %s: %s", kept, error)
        return None
