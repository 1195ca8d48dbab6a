"""What answers requests: the models, the batches, the counts, for both APIs alike."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import chain

from grpc import StatusCode
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from deploy.server.batching import Batcher
from deploy.server.errors import ServingError, invalid_argument
from deploy.server.limits import BYTES_OF_A_PIXEL, MAX_BYTES_AT_ONCE
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
    """

    def __init__(self, models: Models, batcher: Batcher, monitor: Monitor) -> None:
        """Takes models that were reconciled once."""
        self.models, self.batcher, self.monitor = models, batcher, monitor
        self._turn = asyncio.Lock()
        self._bytes = 0

    @contextmanager
    def admission(self) -> Iterator[Callable[[int], None]]:
        """Counts the bytes of a request, as they come, while it is answered.

        Gives what counts some more of them, which raises:
            ServingError: RESOURCE_EXHAUSTED, with those that are being answered they are too many;
                INVALID_ARGUMENT, they are more than may ever be.
        """
        taken = 0

        def admit(size: int) -> None:
            nonlocal taken
            if taken + size > MAX_BYTES_AT_ONCE:
                raise invalid_argument(
                    f"A request of {taken + size:,} bytes, pictures decoded; at most "
                    f"{MAX_BYTES_AT_ONCE:,} are taken: send fewer pictures at once"
                )
            if self._bytes + size > MAX_BYTES_AT_ONCE:
                raise ServingError(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._bytes:,} bytes are being answered already: ask again later",
                )
            taken += size
            self._bytes += size

        try:
            yield admit
        finally:
            self._bytes -= taken

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
            ServingError: of `Servable.require_inputs`, of `admission` or of `Batcher.predict`.
        """
        texts = (array.flat for array in inputs.values() if array.dtype == object)
        size = sum(map(len, chain.from_iterable(texts)))
        pixels += await off_the_loop(size, servable.require_inputs, signature, inputs)
        with self.admission() as admit:
            admit(BYTES_OF_A_PIXEL * pixels)
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
