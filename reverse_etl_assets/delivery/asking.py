"""Asks a destination for many keys. One that it cannot be asked for takes no other with it: the asking is halved."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from reverse_etl_assets.delivery.guarding import guarded
from reverse_etl_assets.delivery.retries import Retries
from reverse_etl_assets.errors import DestinationError, GarbledAnswer, Hopeless, RequestRejected, Unsendable

T = TypeVar("T")

HOPELESS = 25
"""Rows or keys refused one by one, out of many, with no request accepted yet: then the fault is not theirs."""


@dataclass
class Answers(Generic[T]):
    """What is known of keys. Each key that was asked for is in one of the two."""

    found: dict[str, T] = field(default_factory=dict)
    refused: dict[str, DestinationError] = field(default_factory=dict)
    """Why a key could not be asked for, though others could."""


Call = Callable[[Sequence[str]], Awaitable[Mapping[str, T]]]


class Asking:
    """The reads of one run, or of one look at records."""

    def __init__(self, retries: Retries, name: str) -> None:
        """`name`: the destination's, for its errors."""
        self._retries, self._name = retries, name
        self._answered = False
        self._refused = 0

    async def ask(self, keys: Sequence[str], limit: int, call: Call[T]) -> Answers[T]:
        """Answers for all keys, however many. Raises the DestinationError that concerns them all."""
        answers = Answers[T]()
        for start in range(0, len(keys), limit):
            await self.ask_once(keys[start : start + limit], call, answers, halves=limit > 1)
        return answers

    async def ask_once(self, keys: Sequence[str], call: Call[T], answers: Answers[T], *, halves: bool) -> None:
        """For no more keys than one request takes; `halves` if it takes several. Adds to `answers`."""
        try:
            found = await self._retries.call(partial(self._call, call, keys))
        except (RequestRejected, GarbledAnswer) as error:
            if len(keys) > 1:
                half = len(keys) // 2
                for part in (keys[:half], keys[half:]):
                    await self.ask_once(part, call, answers, halves=halves)
                return
            answers.refused[keys[0]] = error
            if halves or isinstance(error, Unsendable):
                self._stop_if_all_refused(error)
        else:
            self._answered = True
            answers.found.update(found)

    async def _call(self, call: Call[T], keys: Sequence[str], last: bool) -> Mapping[str, T]:
        async def asked() -> Mapping[str, T]:
            return await call(keys)

        return await guarded(asked(), self._name)

    def _stop_if_all_refused(self, error: DestinationError) -> None:
        self._refused += 1
        if self._refused >= HOPELESS and not self._answered:
            raise Hopeless(f"every look-up was refused, down to {HOPELESS} single keys: {error}") from error
