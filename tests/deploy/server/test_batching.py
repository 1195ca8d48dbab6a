"""How requests are merged; what computes is a stand-in that can be held."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode

from deploy.server.batching import Batcher
from deploy.server.configs import Batching
from deploy.server.errors import ServingError, invalid_argument
from deploy.server.servable import Array


class Doubling:
    """Doubles `x`, notes how many rows it was given, and refuses what is negative."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go, self.started = threading.Event(), threading.Event()
        self.go.set()

    def is_batchable(self, signature: str) -> bool:
        return signature == "batchable"

    def predict(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        self.started.set()
        self.go.wait(60)
        self.batches.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise invalid_argument("negative")
        return {"y": 2 * inputs["x"]}


@pytest.fixture
def servable() -> Doubling:
    return Doubling()


def x(*values: int) -> dict[str, Array]:
    return {"x": np.array(values)}


Ask = Callable[..., Awaitable[list[int]]]


def run(servable: Doubling, batching: Batching, scenario: Callable[[Ask, Batcher], Any]) -> Any:
    async def main() -> Any:
        batcher = Batcher(batching)

        async def ask(
            *values: int, signature: str = "batchable", seconds: float = 60.0
        ) -> list[int]:
            deadline = asyncio.get_running_loop().time() + seconds
            answer = await batcher.predict(servable, signature, x(*values), deadline)  # type: ignore[arg-type]
            return answer["y"].tolist()

        try:
            return await scenario(ask, batcher)
        finally:
            servable.go.set()
            batcher.close()

    return asyncio.run(main())


ONE_THREAD = Batching(num_batch_threads=1)


async def behind_a_held_one(ask: Ask, servable: Doubling, *others: Any) -> list[Any]:
    """The answers of others, which wait while the only thread computes."""
    servable.go.clear()
    held = asyncio.ensure_future(ask(0))
    await asyncio.to_thread(servable.started.wait, 60)
    waiting = [asyncio.ensure_future(other) for other in others]
    for _ in range(3):
        await asyncio.sleep(0)
    servable.go.set()
    await held
    return await asyncio.gather(*waiting, return_exceptions=True)


def test_what_waits_is_one_batch_and_each_gets_its_own(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        return await behind_a_held_one(ask, servable, ask(1), ask(2, 3), ask(4))

    assert run(servable, ONE_THREAD, scenario) == [[2], [4, 6], [8]]
    assert servable.batches == [1, 4]


def test_a_batch_is_no_larger_than_it_may_be(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        return await behind_a_held_one(ask, servable, ask(1, 2), ask(3, 4), ask(5))

    batching = ONE_THREAD._replace(max_batch_size=3)
    assert run(servable, batching, scenario) == [[2, 4], [6, 8], [10]]
    assert servable.batches == [1, 2, 3]


def test_a_request_larger_than_a_batch_is_answered_in_parts(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        return await ask(*range(7))

    assert run(servable, ONE_THREAD._replace(max_batch_size=3), scenario) == [*range(0, 14, 2)]
    assert servable.batches == [3, 3, 1]


def test_one_that_fails_costs_the_others_nothing(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        return await behind_a_held_one(ask, servable, ask(1), ask(-1), ask(3))

    first, second, third = run(servable, ONE_THREAD, scenario)
    assert (first, third) == ([2], [6])
    assert isinstance(second, ServingError)
    assert str(second) == "negative"


def test_a_batch_is_filled_up_to_an_allowed_size(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        return await ask(1, 2, 3)

    batching = ONE_THREAD._replace(max_batch_size=8, allowed_batch_sizes=(4, 8))
    assert run(servable, batching, scenario) == [2, 4, 6]
    assert servable.batches == [4]


def test_what_cannot_be_merged_is_computed_alone(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        others = (ask(1, signature="other"), ask(2, signature="other"))
        return await behind_a_held_one(ask, servable, *others)

    assert run(servable, ONE_THREAD, scenario) == [[2], [4]]
    assert servable.batches == [1, 1, 1]


def test_too_many_are_refused_and_then_taken_again(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        many = [ask(number) for number in range(6)]
        answers = await behind_a_held_one(ask, servable, *many)
        return answers, await ask(9)

    batching = ONE_THREAD._replace(max_batch_size=2, max_enqueued_batches=2)
    answers, after = run(servable, batching, scenario)
    codes = [one.code for one in answers if isinstance(one, ServingError)]
    assert codes == [StatusCode.RESOURCE_EXHAUSTED] * 2
    assert answers[:4] == [[0], [2], [4], [6]]
    assert after == [18]


def test_a_request_that_could_never_wait_is_told_so(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        with pytest.raises(ServingError, match="A request of 5 rows; at most 4") as refused:
            await ask(*range(5))
        return refused.value.code

    batching = ONE_THREAD._replace(max_batch_size=2, max_enqueued_batches=2)
    assert run(servable, batching, scenario) is StatusCode.INVALID_ARGUMENT


def test_who_does_not_wait_is_not_computed(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        answers = await behind_a_held_one(ask, servable, ask(1, seconds=0.0), ask(2))
        return answers, batcher.waiting

    (late, other), waiting = run(servable, ONE_THREAD, scenario)
    assert late.code is StatusCode.DEADLINE_EXCEEDED
    assert other == [4]
    assert servable.batches == [1, 1]
    assert waiting == 0


def test_a_batch_that_is_not_full_waits_as_long_as_it_may(servable: Doubling) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        first = asyncio.ensure_future(ask(1))
        await asyncio.sleep(0)
        return await asyncio.gather(first, ask(2, 3))

    batching = Batching(max_batch_size=3, batch_timeout_micros=60_000_000, num_batch_threads=2)
    assert run(servable, batching, scenario) == [[2], [4, 6]]
    assert servable.batches == [3]


def test_a_full_batch_of_another_kind_does_not_wait_for_the_time_of_the_first(
    servable: Doubling,
) -> None:
    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        other = batcher.predict(servable, "batchable", {"x": np.array([[7]])}, math.inf)  # type: ignore[arg-type]
        first = asyncio.ensure_future(other)  # Of another shape, and so of another kind.
        await asyncio.sleep(0)
        answer = await ask(1, 2)
        first.cancel()
        return answer

    batching = Batching(max_batch_size=2, batch_timeout_micros=600_000_000, num_batch_threads=1)
    assert run(servable, batching, scenario) == [2, 4]


def test_outputs_of_other_rows_are_no_other_clients_answer(
    servable: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def positive(signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        return {"y": inputs["x"][inputs["x"] > 0]}

    monkeypatch.setattr(servable, "predict", positive)

    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        return await asyncio.gather(ask(-1, -2), ask(7, 8))

    batching = Batching(max_batch_size=4, batch_timeout_micros=10_000, num_batch_threads=1)
    assert run(servable, batching, scenario) == [[], [7, 8]]


def test_who_has_gone_is_not_computed_when_a_batch_is_computed_again(
    servable: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[list[int]] = []
    asked: list[asyncio.Future[list[int]]] = []

    def predict(signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        computed.append(inputs["x"].tolist())
        if len(inputs["x"]) == 3:
            asked[2].get_loop().call_soon_threadsafe(asked[2].cancel)
            raise invalid_argument("no batch")
        return {"y": inputs["x"]}

    monkeypatch.setattr(servable, "predict", predict)

    async def scenario(ask: Ask, batcher: Batcher) -> Any:
        asked.extend(asyncio.ensure_future(ask(number)) for number in range(3))
        return await asyncio.gather(*asked, return_exceptions=True)

    batching = Batching(max_batch_size=3, batch_timeout_micros=60_000_000, num_batch_threads=1)
    assert run(servable, batching, scenario)[:2] == [[0], [1]]
    assert computed == [[0, 1, 2], [0], [1]]
