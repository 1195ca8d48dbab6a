"""What answers requests: the models, the batches, the counts, for both APIs alike."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.server.batching import Batcher
from deploy.server.models import Models
from deploy.server.monitoring import Monitor


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
            async with self._turn:
                await asyncio.to_thread(self.models.reconcile)
