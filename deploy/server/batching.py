"""Merges requests that wait for the same signature into batches, and computes those in threads.

With one client nothing waits. With many, a batch is what came while the one before was computed.
What TF Serving does with `--enable_batching`, with two differences: a batch that fails is computed
again request by request, so that one bad picture costs the others nothing; and a request that is
larger than a batch is answered in parts.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from grpc import StatusCode

from deploy.server.configs import Batching
from deploy.server.errors import ServingError, invalid_argument
from deploy.server.servable import Array, Servable

Arrays = Mapping[str, Array]


class _Kind(NamedTuple):
    """Requests of one kind have the shapes that can be merged."""

    servable: Servable
    signature: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(eq=False)
class _Waiting:
    inputs: Arrays
    rows: int
    since: float
    answer: asyncio.Future[dict[str, Array]]


class Batcher:
    """Computes requests of an event loop in a few threads."""

    def __init__(self, batching: Batching) -> None:
        """Starts no thread before the first request."""
        self._batching = batching
        self._idle = batching.num_batch_threads
        self._threads = ThreadPoolExecutor(batching.num_batch_threads, "batch")
        self._queues: dict[_Kind, deque[_Waiting]] = {}
        self._rows = 0

    async def predict(
        self, servable: Servable, signature: str, inputs: Arrays, deadline: float
    ) -> dict[str, Array]:
        """As `Servable.predict`, perhaps in one batch with others.

        Args:
            servable: the model.
            signature: its name.
            inputs: arrays that `Servable.require_inputs` has let pass.
            deadline: of the event loop's clock.

        Raises:
            ServingError: of `Servable.predict`; INVALID_ARGUMENT, more rows than may ever wait;
                RESOURCE_EXHAUSTED, too many wait already; DEADLINE_EXCEEDED.
        """
        kind = _Kind(servable, signature, tuple((n, a.shape[1:]) for n, a in inputs.items()))
        rows = _common_rows(inputs) if servable.is_batchable(signature) else None
        if rows is None:  # It is merged with nothing, and counts as one.
            kind, rows = kind._replace(shapes=(("", (id(inputs),)),)), 1
            parts = [(inputs, 1)]
        else:
            size = self._batching.max_batch_size
            starts = range(0, max(rows, 1), size)
            parts = [
                ({n: a[start : start + size] for n, a in inputs.items()}, min(size, rows - start))
                for start in starts
            ]
        self._admit(rows)
        waiting = [self._enqueue(kind, part, count) for part, count in parts]
        try:
            async with asyncio.timeout_at(deadline):
                answers = [await one for one in waiting]
        except TimeoutError:
            raise ServingError(StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded") from None
        finally:
            for one in waiting:
                one.cancel()
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}

    def close(self) -> None:
        """Ends the threads, each after the batch that it computes."""
        self._threads.shutdown(cancel_futures=True)

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        return self._rows

    def _admit(self, rows: int) -> None:
        limit = self._batching.max_batch_size * self._batching.max_enqueued_batches
        if rows > limit:
            raise invalid_argument(f"A request of {rows:,} rows; at most {limit:,} are taken")
        if self._rows + rows > limit:
            raise ServingError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"{self._rows:,} rows wait already, of at most {limit:,}: ask again later",
            )

    def _enqueue(self, kind: _Kind, inputs: Arrays, rows: int) -> asyncio.Future[dict[str, Array]]:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(inputs, rows, loop.time(), loop.create_future())
        self._queues.setdefault(kind, deque()).append(waiting)
        self._rows += rows
        loop.call_soon(self._dispatch)
        return waiting.answer

    def _dispatch(self) -> None:
        """Gives batches to idle threads: first of the kind that is due first."""
        loop = asyncio.get_running_loop()
        while self._idle and self._queues:
            kind = min(self._queues, key=self._due)
            if (due := self._due(kind)) > loop.time():
                loop.call_at(due, self._dispatch)
                return
            batch = self._take(kind)
            if batch:
                self._idle -= 1
                loop.create_task(self._compute(kind, batch)).add_done_callback(self._done)

    def _due(self, kind: _Kind) -> float:
        """When requests of a kind are computed: at once where they fill a batch."""
        queue = self._queues[kind]
        full = sum(waiting.rows for waiting in queue) >= self._batching.max_batch_size
        return queue[0].since + (0 if full else self._batching.batch_timeout_micros / 1e6)

    def _take(self, kind: _Kind) -> list[_Waiting]:
        """As many as fit, without those whose clients are gone."""
        queue, batch, rows = self._queues[kind], list[_Waiting](), 0
        while queue and rows + queue[0].rows <= max(self._batching.max_batch_size, queue[0].rows):
            waiting = queue.popleft()
            self._rows -= waiting.rows
            if not waiting.answer.cancelled():
                batch.append(waiting)
                rows += waiting.rows
        if not queue:
            del self._queues[kind]
        return batch

    def _done(self, task: asyncio.Task[None]) -> None:
        self._idle += 1
        self._dispatch()
        task.result()  # Nothing is raised but what is a fault of this module.

    async def _compute(self, kind: _Kind, batch: list[_Waiting]) -> None:
        alone = len(batch) == 1 and not self._batching.allowed_batch_sizes
        merged = self._merge(batch)
        try:
            outputs = await self._in_thread(kind, merged)
            if not alone and _common_rows(outputs) != _common_rows(merged):
                raise invalid_argument("Outputs have not a row for each of the inputs")
        except Exception as error:  # Whatever it is, each client is owed an answer.
            if len(batch) > 1:
                for waiting in batch:
                    if not waiting.answer.done():  # Its client may have gone meanwhile.
                        await self._compute(kind, [waiting])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        start = 0
        for waiting in batch:
            rows = slice(start, start := start + waiting.rows)
            if not waiting.answer.done():
                waiting.answer.set_result(
                    outputs if alone else {name: a[rows] for name, a in outputs.items()}
                )

    async def _in_thread(self, kind: _Kind, inputs: Arrays) -> dict[str, Array]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, kind.servable.predict, kind.signature, inputs
        )

    def _merge(self, batch: list[_Waiting]) -> Arrays:
        rows = sum(waiting.rows for waiting in batch)
        larger = (size for size in self._batching.allowed_batch_sizes if size >= rows)
        parts = [waiting.inputs for waiting in batch]
        missing = next(larger, rows) - rows
        if missing and rows:
            parts.append({n: np.repeat(a[:1], missing, axis=0) for n, a in parts[0].items()})
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _common_rows(inputs: Arrays) -> int | None:
    """The length of all inputs, None where they have none in common."""
    lengths = {array.shape[:1] for array in inputs.values()}
    return None if len(lengths) != 1 or () in lengths else next(iter(lengths))[0]
