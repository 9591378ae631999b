"""What syncs may take of an account: the day's calls, shared by all processes."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.accounts.lease import Grant, Lease
from reverse_etl_assets.errors import BudgetSpent, StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import Refusal, Room, Taken
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.records import Quota

_FEW, _MANY = 20, 2_000  # calls of a lease
_BRISK, _IDLE = 0.5, 5.0  # seconds: a lease that lasts less is followed by a greater one, after more by a small one


class Meter:
    """Counts the calls of one sync to an account before they are made, and refuses them when the day's are used up.

    Calls are taken from the journal a few at a time, more at once while many are made and fewer near a limit, so that a
    process that is killed leaves them counted. `settle` gives back what was not used; a meter goes on working after it.
    """

    def __init__(self, journal: Journal, destination: str, sync: str, budget: Budget) -> None:
        self._journal = journal
        self._destination = destination
        self._sync = sync
        self._budget = budget
        self._allowance = Allowance(budget.calls, budget.leave)
        self._calls = Lease(self._ask, journal.clock, few=_FEW, many=_MANY)
        self._taken: Taken | None = None  # the last lease
        self._ends_at = 0.0
        self._heard: Quota | None = None  # what the vendor said since the last lease
        self._overdrawn = False

    async def take(self) -> None:
        """Has to be called before each request. Raises BudgetSpent, StateError if the journal fails."""
        while not self._calls.shares or self._overdrawn or self._journal.clock() >= self._ends_at:
            await self._calls.renew()
            if self._taken and (why := refusal(self._destination, self._budget, self._taken.room)):
                raise BudgetSpent(why)
        self._calls.shares.popleft()

    def learn(self, quota: Quota) -> None:
        """What an answer says of the vendor's own counter. The other processes learn it with the next lease."""
        if quota.limit <= 0:
            return
        self._heard = quota
        self._overdrawn = quota.used >= quota.limit * (1 - self._budget.leave / 100)

    async def settle(self) -> None:
        """Gives unused calls back. If the journal fails they stay counted, which spoils no run."""
        spare = len(await self._calls.settle())
        heard, self._heard = self._heard, None
        if self._taken and (spare or heard):
            with contextlib.suppress(StateError):
                await asyncio.to_thread(self._give_back, self._taken, spare, heard)

    async def _ask(self, calls: int) -> Grant[Taken]:
        now, spare, heard = self._journal.clock(), len(self._calls.take_all()), self._heard
        self._heard, self._overdrawn = None, False
        self._taken = taken = await asyncio.to_thread(self._exchange, calls, self._taken, spare, heard)
        self._ends_at = _end_of(taken.day)
        return Grant([taken] * taken.calls, brisk_until=now + _BRISK, idle_from=now + _IDLE)

    def _exchange(self, calls: int, old: Taken | None, spare: int, heard: Quota | None) -> Taken:
        """Gives back what was left of the last lease, and takes the next one."""
        if old and spare:
            self._give_back(old, spare, heard)
            heard = None
        return self._journal.take_calls(self._destination, self._sync, calls, self._allowance, heard)

    def _give_back(self, taken: Taken, spare: int, heard: Quota | None) -> None:
        self._journal.return_calls(self._destination, self._sync, taken, spare, heard)


def spent(journal: Journal, destination: str, budget: Budget) -> str | None:
    """Why no call may be made to the destination now, if so. Raises StateError."""
    room = journal.room(destination, Allowance(budget.calls, budget.leave))
    return refusal(destination, budget, room)


def refusal(destination: str, budget: Budget, room: Room) -> str | None:
    """Why no call may be made to an account that stands like this, if so."""
    match room.refused:
        case Refusal.BUDGET:
            used = f"the day's budget of {budget.calls:,} requests to {destination} is used up"
            return f"{used}; what is left goes out on the next UTC day"
        case Refusal.VENDOR if vendor := room.vendor:
            used = f"{destination} counts {vendor.used + vendor.since:,} of {vendor.limit:,} requests as used"
            return f"{used}, and {budget.leave:g} % are left for other tools; a later run asks again"
    return None


def _end_of(day: str) -> float:
    return (datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
