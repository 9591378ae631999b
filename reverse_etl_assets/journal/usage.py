"""What syncs take of an account, in the journal: calls, which a day's budget limits, rows and bytes."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update

from reverse_etl_assets.journal import schema as journal_schema
from reverse_etl_assets.journal.base import JournalPart
from reverse_etl_assets.journal.records import Refusal, Room, Taken, Usage, VendorCount
from reverse_etl_assets.records import Quota

_usage, _quota = journal_schema.usage, journal_schema.quota

DAY = 86_400.0  # seconds for which a vendor's counter is believed
_ASK_AGAIN = 3_600.0  # seconds after which a vendor that had no calls left is asked again
_ASKING = 5  # calls for that: a sign-in, and some whose answers tell the counter


@dataclass(frozen=True)
class Allowance:
    """What may be taken of an account: `calls` a UTC day (None: any number), and of the vendor's own allowance all but
    `leave` percent."""

    calls: int | None = None
    leave: float = 0.0


class Spending(JournalPart):
    """A day is the UTC day of the clock, or the one after it if calls were counted on that already: so a clock that
    is set back does not give a day's budget twice."""

    def take_calls(
        self, destination: str, sync: str, wanted: int, allowance: Allowance, heard: Quota | None = None
    ) -> Taken:
        """Counts up to `wanted` calls as made, fewer near a limit, so that those who come last do not go empty-handed
        while others hold calls that they never make. `heard` is what the vendor says by now.
        """
        with self.database.writing() as connection:
            self.database.lock(connection, _usage, "SHARE ROW EXCLUSIVE")
            day = self._counted_day(connection, destination)
            if heard:
                self._keep_quota(connection, destination, heard)
            room = self._room(connection, destination, day, allowance)
            calls = wanted if room.left is None else min(wanted, room.left if room.asks else -(-room.left // 10))
            if room.asks:
                asked = update(_quota).where(_quota.c.destination == destination)
                connection.execute(asked.values(asked_at=self.clock()))
            if calls:
                self._count(connection, day, destination, sync, calls=calls)
            return Taken(day, calls, room)

    def return_calls(self, destination: str, sync: str, taken: Taken, calls: int, heard: Quota | None = None) -> None:
        """Gives back calls of one taking that were not made."""
        this = (_usage.c.day == taken.day) & (_usage.c.destination == destination) & (_usage.c.sync == sync)
        with self.database.writing() as connection:
            self.database.lock(connection, _usage, "SHARE ROW EXCLUSIVE")
            connection.execute(update(_usage).where(this).values(calls=_usage.c.calls - calls))
            if heard:
                self._keep_quota(connection, destination, heard)

    def add_usage(self, destination: str, sync: str, *, rows: int, bytes: int) -> None:
        """Adds to what the sync has sent to the destination on this day; calls are counted as they are taken."""
        with self.database.writing() as connection:
            day = self._counted_day(connection, destination)
            self._count(connection, day, destination, sync, rows=rows, bytes=bytes)

    def usage(self, destination: str | None = None, days: int = 30) -> list[Usage]:
        """The last `days` UTC days with today, newest first."""
        t = _usage.c
        query = select(_usage).where(t.day > self._day(-days)).order_by(t.day.desc(), t.destination, t.sync)
        return [
            Usage(*row)
            for row in self._read(query if destination is None else query.where(t.destination == destination))
        ]

    def room(self, destination: str, allowance: Allowance) -> Room:
        """How an account stands now, without taking anything of it."""
        with self.database.reading() as connection:
            return self._room(connection, destination, self._counted_day(connection, destination), allowance)

    def _room(self, connection: Connection, destination: str, day: str, allowance: Allowance) -> Room:
        calls = self._calls(connection, destination, day, only=True)
        vendor = self._vendor_count(connection, destination)
        if allowance.calls is not None and calls >= allowance.calls:
            return Room(calls, vendor, 0, Refusal.BUDGET)
        left = [] if allowance.calls is None else [allowance.calls - calls]
        if vendor and (of_vendor := left_by_vendor(vendor, allowance.leave)) > 0:
            left.append(of_vendor)
        elif vendor and abs(self.clock() - vendor.asked_at) < _ASK_AGAIN:
            return Room(calls, vendor, 0, Refusal.VENDOR)
        elif vendor:  # it counts in days of its own, or the last 24 hours: only an answer tells if there is room again
            return Room(calls, vendor, min([_ASKING, *left]), asks=True)
        return Room(calls, vendor, min(left, default=None))

    def _keep_quota(self, connection: Connection, destination: str, heard: Quota) -> None:
        now, day = self.clock(), self._counted_day(connection, destination)
        ours = self._calls(connection, destination, day)
        values = {"used": heard.used, "limit": heard.limit, "at": now, "day": day, "ours": ours, "asked_at": now}
        upsert = self._insert(_quota).values(destination=destination, **values)
        connection.execute(upsert.on_conflict_do_update(index_elements=["destination"], set_=values))

    def _vendor_count(self, connection: Connection, destination: str) -> VendorCount | None:
        row = connection.execute(select(_quota).where(_quota.c.destination == destination)).one_or_none()
        if row is None or abs(self.clock() - row.at) >= DAY:
            return None
        since = max(0, self._calls(connection, destination, row.day) - row.ours)
        return VendorCount(row.used, row.limit, row.at, since, row.asked_at)

    def _calls(self, connection: Connection, destination: str, day: str, *, only: bool = False) -> int:
        """The calls of all syncs on a day, or since its beginning."""
        t = _usage.c
        days = t.day == day if only else t.day >= day
        return int(connection.scalar(select(func.sum(t.calls)).where(t.destination == destination, days)) or 0)

    def _counted_day(self, connection: Connection, destination: str) -> str:
        t = _usage.c
        counted = select(func.max(t.day)).where(t.destination == destination, t.day.in_([self._day(), self._day(1)]))
        return connection.scalar(counted) or self._day()

    def _count(self, connection: Connection, day: str, destination: str, sync: str, **spent: int) -> None:
        key = {"day": day, "destination": destination, "sync": sync}
        spent = {"calls": 0, "rows": 0, "bytes": 0, **spent}
        upsert = self._insert(_usage).values(**key, **spent)
        added = {name: _usage.c[name] + upsert.excluded[name] for name in spent}
        connection.execute(upsert.on_conflict_do_update(index_elements=list(key), set_=added))


def left_by_vendor(count: VendorCount, leave: float) -> int:
    """Calls until no more than `leave` percent of the vendor's allowance are left; below 0 if it is past that."""
    return int(count.limit * (1 - leave / 100)) - count.used - count.since
