"""What answers requests: the models, the batches, the counts, for both APIs alike."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from grpc import StatusCode
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.server.batching import Batcher
from deploy.server.errors import ServingError
from deploy.server.limits import MAX_BYTES_AT_ONCE
from deploy.server.models import Models
from deploy.server.monitoring import Monitor

log = logging.getLogger(__name__)


class Serving:
    """The parts of a running server.

    Attributes:
        models: what is served.
        batcher: computes.
        monitor: counts.
    """

    def __init__(self, models: Models, batcher: Batcher, monitor: Monitor) -> None:
        """Takes models that were reconciled once."""
        self.models, self.batcher, self.monitor = models, batcher, monitor
        self._turn = asyncio.Lock()
        self._bytes = 0

    @contextmanager
    def admitted(self, size: int) -> Iterator[None]:
        """Counts the bytes of a request while it is answered.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, with those that are being answered they are too many.
        """
        if self._bytes + size > MAX_BYTES_AT_ONCE:
            raise ServingError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"{self._bytes:,} bytes are being answered already: ask again later",
            )
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size

    async def reload(self, config: ModelServerConfig) -> list[str]:
        """Serves another config, and returns why some of it cannot be."""
        async with self._turn:
            self.models.configure(config)
            await asyncio.to_thread(self.models.reconcile)
        return self.models.problems()

    @asynccontextmanager
    async def watching(self, seconds: float) -> AsyncIterator[None]:
        """Looks for new versions, so often, for the length of the block; never with 0 seconds."""
        task = asyncio.create_task(self._watch(seconds)) if seconds > 0 else None
        try:
            yield
        finally:
            if task:
                task.cancel()

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                async with self._turn:
                    await asyncio.to_thread(self.models.reconcile)
            except Exception:  # It is looked again, whatever it was.
                log.exception("new versions could not be looked for")
