"""Work that would keep the event loop from its other clients."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_LARGE = 2**18
"""Bytes of a request that takes longer to read than a thread takes to start."""


async def off_the_loop(size: int, call: Callable[..., T], *arguments: Any) -> T:
    """Calls at once what is small, and what is large in a thread, so that the loop stays free."""
    if size < _LARGE:
        return call(*arguments)
    return await asyncio.to_thread(call, *arguments)
