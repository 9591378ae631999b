"""A call that makes several requests: the first goes out at the call's turn, and each further one waits for its own.

A rate is kept only if every request has a turn. Whoever calls a destination knows of one; what a destination's code
makes of the call is known where its requests go out.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class _Turns:
    def __init__(self, slot: Callable[[], Awaitable[None]]) -> None:
        self._slot, self._first = slot, True

    async def take(self) -> None:
        first, self._first = self._first, False
        if not first:
            await self._slot()


_turns: ContextVar[_Turns | None] = ContextVar("turns", default=None)


@contextmanager
def turns(slot: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """The requests meanwhile, but for the first one, each wait for a `slot`."""
    token = _turns.set(_Turns(slot))
    try:
        yield
    finally:
        _turns.reset(token)


async def next_turn() -> None:
    """Has to be awaited before each request. Outside of a call that is paced it returns at once."""
    if taken := _turns.get():
        await taken.take()
