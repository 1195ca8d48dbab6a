"""How much of something all requests together may take."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from grpc import StatusCode

from deploy.server.errors import ServingError, invalid_argument


class Budget:
    """So many bytes, or pixels, at once."""

    def __init__(self, limit: int, unit: str) -> None:
        """Takes the most there may be, and what it is called."""
        self._limit, self._unit = limit, unit
        self._taken = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """What one request takes, piece by piece, until it is answered.

        Gives what takes some more, which raises:
            ServingError: RESOURCE_EXHAUSTED, with what others have it is too much;
                INVALID_ARGUMENT, it is more than one alone may have.
        """
        own = 0

        def take(more: int) -> None:
            nonlocal own
            if own + more > self._limit:
                raise invalid_argument(
                    f"A request of {own + more:,} {self._unit}; at most {self._limit:,} are "
                    "taken: send less at once"
                )
            if self._taken + more > self._limit:
                raise ServingError(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._taken:,} {self._unit} are being answered already: ask again later",
                )
            own += more
            self._taken += more

        try:
            yield take
        finally:
            self._taken -= own
