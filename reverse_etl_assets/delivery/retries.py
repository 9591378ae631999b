"""Asks a destination again: how often, how long between, and never after the run has been told to end."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reverse_etl_assets.accounts.pacing import Pacer, backoff
from reverse_etl_assets.accounts.turns import turns
from reverse_etl_assets.accounts.waiting import Halted
from reverse_etl_assets.errors import Ambiguous, DestinationError, RetryLater, Unavailable
from reverse_etl_assets.journal import LONGEST_HOLD, Stopped

T = TypeVar("T")

_logger = logging.getLogger(__name__)
_WORTH_SAYING = 5.0  # seconds of waiting that whoever looks on should know of


@dataclass(frozen=True)
class RetryPolicy:
    """How long the dispatcher goes on. Times in seconds."""

    attempts: int = 8
    """Times a batch is sent before its rows are given up."""
    rate_limited: float = LONGEST_HOLD
    """How long one batch may be refused for the rate alone, and the longest wait that a destination may ask for."""
    backoff_base: float = 0.5
    backoff_cap: float = 60.0
    last_answers: float = 10.0
    """How long to wait for answers in flight when the run is cancelled."""
    job_poll: float = 10.0
    """Longest wait between two looks at a job."""


class Retries:
    """How one run goes on. Once `halted` is set, every wait ends with Halted.

    Nothing goes out then, but where it `asks_on`, for a question about rows that are out: until it would have to wait.
    """

    def __init__(self, pacer: Pacer, retry_policy: RetryPolicy, *, asks_on: bool = False) -> None:
        self.halted = pacer.waits.halted
        self._pacer = pacer
        self._retry_policy = retry_policy
        self._asks_on = asks_on

    async def call(self, call: Callable[[bool], Awaitable[T]], attempt: int = 0) -> T:
        """Call until it is taken; `call` is told when it is the last time.

        Refusals for the rate alone do not count as attempts: they end when the account's time is up. Raises Unavailable
        if the destination asks for a longer wait than the policy allows.
        Raises the last error, or an earlier one if that try may have been carried out. A refusal is raised as it is,
        with `perhaps_done` if an earlier try may have been. Halted has such an earlier error as `doubt`.
        """
        limited_until: float | None = None
        doubt: DestinationError | None = None
        tries = attempt
        while True:
            with _doubtful(doubt):
                await self._turn()
            last = attempt + 1 >= self._retry_policy.attempts
            try:
                with turns(self._further_turn):
                    return await call(last)
            except (RetryLater, Ambiguous) as error:
                hold = isinstance(error, RetryLater) and error.hold
                doubt = error if error.perhaps_done else doubt
                now = asyncio.get_running_loop().time()
                limited_until = limited_until or now + self._retry_policy.rate_limited
                attempt += not hold
                tries += 1
                if attempt >= self._retry_policy.attempts or (hold and now > limited_until):
                    raise doubt or error from None
                with _doubtful(doubt):
                    await self._wait(error, tries, in_doubt=doubt is not None)
            except DestinationError as error:
                error.perhaps_done |= doubt is not None
                raise

    async def once(self, call: Callable[[], Awaitable[T]]) -> T:
        """One try, at its turn, also within a call that has had its own. Raises Halted if it does not come to that."""
        await self._turn()
        with turns(self._further_turn):
            return await call()

    async def pause(self, tries: int) -> None:
        """Wait before rows are sent again that the destination asked for."""
        await self._sleep(self._backoff(tries))

    async def _turn(self) -> None:
        """Wait for the account's next slot."""
        if not self._asks_on:
            self._check_halted()
        await self._pacer.slot()
        if not self._asks_on:
            self._check_halted()

    async def _further_turn(self) -> None:
        """For a further request of the same call. It comes to its end also where the run does: else what its first
        request did would be in doubt."""
        with contextlib.suppress(Halted, Stopped):
            await self._pacer.slot()

    def _check_halted(self) -> None:
        if self.halted.is_set():
            raise Halted

    async def _wait(self, error: DestinationError, tries: int, *, in_doubt: bool) -> None:
        asked = error.after if isinstance(error, RetryLater) else None
        seconds = self._backoff(tries) if asked is None else asked
        if seconds >= _WORTH_SAYING:  # not the vendor's words: they may hold values of rows
            _logger.warning("no answer that settles a request (%s); waiting %.0f s", type(error).__name__, seconds)
        if isinstance(error, RetryLater) and error.hold:
            await self._pacer.hold(seconds)
        if seconds > self._retry_policy.rate_limited:
            raise Unavailable(
                f"{error}; the destination asks to be left alone until {_moment(seconds)}, which is longer than the"
                f" {self._retry_policy.rate_limited:,.0f} s that a run waits",
                perhaps_done=in_doubt,
            ) from error
        if not (isinstance(error, RetryLater) and error.hold):
            await self._sleep(seconds)

    def _backoff(self, tries: int) -> float:
        return backoff(tries, base=self._retry_policy.backoff_base, cap=self._retry_policy.backoff_cap)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but wake up when the run is ending."""
        await self._pacer.waits.wait(seconds)
        self._check_halted()


@contextlib.contextmanager
def _doubtful(doubt: DestinationError | None) -> Iterator[None]:
    """The run may end meanwhile, between two tries."""
    try:
        yield
    except Halted as end:
        end.doubt = doubt
        raise


def _moment(seconds: float) -> str:
    """From now, in UTC."""
    try:
        return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M} UTC"
    except OverflowError:
        return "a time that no calendar has"
