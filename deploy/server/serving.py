"""What answers requests: the models, the batches, the counts, for both APIs alike."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import chain

from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.server.batching import Batcher
from deploy.server.budget import Budget
from deploy.server.limits import MAX_BYTES_AT_ONCE, MAX_PIXELS_AT_ONCE
from deploy.server.models import Models
from deploy.server.monitoring import Monitor
from deploy.server.off_loop import off_the_loop
from deploy.server.servable import Array, Servable

log = logging.getLogger(__name__)


class Serving:
    """The parts of a running server.

    Attributes:
        models: what is served.
        batcher: computes.
        monitor: counts.
        bytes: of the requests that are being answered.
        pixels: of their pictures.
    """

    def __init__(self, models: Models, batcher: Batcher, monitor: Monitor) -> None:
        """Takes models that were reconciled once."""
        self.models, self.batcher, self.monitor = models, batcher, monitor
        self._turn = asyncio.Lock()
        self.bytes = Budget(MAX_BYTES_AT_ONCE, "bytes")
        self.pixels = Budget(MAX_PIXELS_AT_ONCE, "pixels")

    async def predict(
        self,
        servable: Servable,
        signature: str,
        inputs: Mapping[str, Array],
        deadline: float,
        pixels: int = 0,
    ) -> dict[str, Array]:
        """As `Batcher.predict`, of inputs that are checked, pictures by their headers.

        Args:
            servable: the model.
            signature: its name.
            inputs: arrays by name.
            deadline: of the event loop's clock.
            pixels: of pictures that are hidden in the inputs, as in an Example.

        Raises:
            ServingError: of `Servable.require_inputs`, of `Budget.share` or of `Batcher.predict`.
        """
        texts = (array.flat for array in inputs.values() if array.dtype == object)
        size = sum(map(len, chain.from_iterable(texts)))
        pixels += await off_the_loop(size, servable.require_inputs, signature, inputs)
        with self.pixels.share() as take:
            take(pixels)
            return await self.batcher.predict(servable, signature, inputs, deadline)

    async def reload(self, config: ModelServerConfig) -> list[str]:
        """Serves another config, and returns what of it cannot be."""
        async with self._turn:
            self.models.configure(config)
            await asyncio.to_thread(self.models.reconcile)
        return self.models.shortfalls()

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
