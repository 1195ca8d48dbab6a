"""What is refused, and when; the model is a stand-in that computes until it is let go."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf
from aiohttp.test_utils import TestClient, TestServer

from deploy.server import rest
from deploy.server.batching import Batcher
from deploy.server.configs import Batching
from deploy.server.monitoring import Monitor
from deploy.server.rest import application
from deploy.server.serving import Serving

PATH = "/v1/models/faces:predict"
BODY = {"instances": [1.0]}
ONE_AT_A_TIME = Batching(num_batch_threads=1, max_batch_size=1, max_enqueued_batches=1)


class Held:
    """Gives back what it is given, once it may."""

    def __init__(self) -> None:
        self.go, self.started = threading.Event(), threading.Event()
        self.computed = 0

    def inputs(self, signature: str) -> dict[str, tf.TensorSpec]:
        return {"x": tf.TensorSpec([None], tf.float32)}

    def require_inputs(self, signature: str, inputs: Any) -> int:
        return 0

    def is_batchable(self, signature: str) -> bool:
        return True

    def predict(self, signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        self.started.set()
        self.go.wait(60)
        self.computed += 1
        return {"y": inputs["x"]}


@pytest.fixture
def servable() -> Held:
    return Held()


Scenario = Callable[[TestClient[Any, Any], Held], Awaitable[Any]]


def run(servable: Held, scenario: Scenario) -> Any:
    """Has a client talk with the REST API."""

    async def main() -> Any:
        models: Any = SimpleNamespace(find=lambda spec: servable, names=list)
        batcher = Batcher(ONE_AT_A_TIME)
        serving = Serving(models, batcher, Monitor(list, lambda: batcher.waiting))
        async with TestClient(TestServer(application(serving))) as client:
            try:
                return await scenario(client, servable)
            finally:
                servable.go.set()
                batcher.close()

    return asyncio.run(main())


async def status(client: TestClient[Any, Any]) -> int:
    async with client.post(PATH, json=BODY) as answer:
        return answer.status


def test_who_finds_the_queue_full_is_to_ask_again_later(servable: Held) -> None:
    async def scenario(client: TestClient[Any, Any], servable: Held) -> list[int]:
        first = asyncio.create_task(status(client))
        await asyncio.to_thread(servable.started.wait, 60)
        others = [asyncio.create_task(status(client)) for _ in range(3)]
        await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        servable.go.set()
        return [await first, *sorted([await other for other in others])]

    assert run(servable, scenario) == [200, 200, 429, 429]


def test_who_waits_too_long_is_told_and_not_computed(
    servable: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(client: TestClient[Any, Any], servable: Held) -> list[int]:
        first = asyncio.create_task(status(client))
        await asyncio.to_thread(servable.started.wait, 60)
        monkeypatch.setattr(rest, "MAX_SECONDS_TO_ANSWER", 0.05)
        late = await status(client)
        monkeypatch.setattr(rest, "MAX_SECONDS_TO_ANSWER", 60.0)
        servable.go.set()
        return [await first, late, await status(client)]

    assert run(servable, scenario) == [200, 504, 200]
    assert servable.computed == 2


def test_a_body_that_does_not_come_is_waited_for_so_long(
    servable: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "MAX_SECONDS_TO_READ", 0.05)

    async def never() -> Any:
        yield b"{"
        await asyncio.sleep(60)

    async def scenario(client: TestClient[Any, Any], servable: Held) -> int:
        async with client.post(PATH, data=never()) as answer:
            return answer.status

    assert run(servable, scenario) == 408
