"""The journal as a whole: a SQLite file in WAL mode, or a PostgreSQL database that several machines share.

It may be used by several processes and threads at once. Times are UTC, in seconds since 1970. Every method raises
StateError if the database fails; a change is on disk when its method returns.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path

from sqlalchemy import Connection, select, update

from reverse_etl_assets.journal import schema as journal_schema
from reverse_etl_assets.journal.plans import Plans
from reverse_etl_assets.journal.records import (
    ModelResult,
)
from reverse_etl_assets.journal.runs import Runs
from reverse_etl_assets.journal.schema import Database
from reverse_etl_assets.journal.stop_signals import StopSignals
from reverse_etl_assets.journal.usage import Spending

_logger = logging.getLogger(__name__)

LONGEST_HOLD = 900.0
"""Seconds that an account waits at most because it asked for it; then somebody tries."""
SLOTS_AHEAD = 100
"""Slots that processes may have reserved before each other at most."""

_pace, _results = journal_schema.pace, journal_schema.model_results


class Journal(Runs, Plans, Spending):
    """Runs and batches, the kill switch and plans that wait, calls, the models' tests, and the rates of accounts."""

    @classmethod
    def open(cls, url: str, clock: Callable[[], float] = time.time, stop_folder: Path | None = None) -> "Journal":
        """Opens `sqlite:///path` or `postgresql://...`; makes folder and tables if they are not there, and brings those
        of an earlier release up to date. Files in `stop_folder` are a kill switch of their own.

        Raises ConfigurationError if the URL is malformed, StateError if the database is unreachable or was written
        by a newer release.
        """
        return cls(Database(url), clock, StopSignals(stop_folder))

    def close(self) -> None:
        self.database.close()

    # results of the models' dbt tests

    def hear_model_results(self, found: Mapping[str, Iterable[ModelResult]]) -> None:
        """Each takes the place of an older result of the same test; one from after now is taken for one of now."""
        now, t = self.clock(), _results.c
        known = {(row.model, row.test): row.at for row in self._read(select(t.model, t.test, t.at))}
        latest = {
            (model, result.test): {"model": model, "test": result.test, "status": result.status, "at": at}
            for model, results in found.items()
            for result in sorted(results, key=attrgetter("at"))
            for at, before in [(min(result.at, now), known.get((model, result.test), 0.0))]
            if at > before or before >= now
        }
        if not latest:
            return
        upsert = self._insert(_results)
        new = {"status": upsert.excluded.status, "at": upsert.excluded.at}
        older = upsert.excluded.at >= t.at
        statement = upsert.on_conflict_do_update(index_elements=["model", "test"], set_=new, where=older | (t.at > now))
        with self.database.writing() as connection:
            connection.execute(statement, [latest[key] for key in sorted(latest)])

    def model_results(self, model: str) -> list[ModelResult]:
        t = _results.c
        return [
            ModelResult(*row)
            for row in self._read(select(t.test, t.status, t.at).where(t.model == model).order_by(t.test))
        ]

    # the rate of an account, shared by all processes

    def reserve(self, account: str, interval: float, count: int) -> float:
        """Reserves `count` slots, `interval` seconds apart; returns the time of the first.

        No slot is given twice, lies in the past or before a hold. Clocks of several machines have to agree: a time that
        lies too far ahead was written by one that was wrong, and is set right.
        """
        with self.database.writing() as connection:
            next_at, held_until = self._locked_pace(connection, account)
            now = self.clock()
            next_at = _near(account, next_at, now, LONGEST_HOLD + SLOTS_AHEAD * interval)
            held_until = _near(account, held_until, now, LONGEST_HOLD)
            first = max(now, next_at, held_until)
            later = update(_pace).where(_pace.c.account == account)
            connection.execute(later.values(next_at=first + interval * count, held_until=held_until))
            return first

    def hold(self, account: str, until: float) -> None:
        """Gives nobody a slot before `until`, or for LONGEST_HOLD at most; never shortens an earlier hold."""
        with self.database.writing() as connection:
            _, held_until = self._locked_pace(connection, account)
            now = self.clock()
            held_until = _near(account, held_until, now, LONGEST_HOLD)
            until = max(held_until, min(until, now + LONGEST_HOLD))
            connection.execute(update(_pace).where(_pace.c.account == account).values(held_until=until))

    def held_until(self, account: str) -> float:
        """0 if the account was never held."""
        found = self._read(select(_pace.c.held_until).where(_pace.c.account == account))
        return _near(account, float(found[0].held_until), self.clock(), LONGEST_HOLD) if found else 0.0

    def holds(self) -> dict[str, float]:
        """Until when each account, or part of one (`slack/C012`), is held, if it is."""
        now = self.clock()
        found = self._read(select(_pace.c.account, _pace.c.held_until).order_by(_pace.c.account))
        return {row.account: row.held_until for row in found if now < row.held_until <= now + LONGEST_HOLD}

    def lift_holds(self, account: str, who: str, why: str) -> list[str]:
        """Lets requests to the account, and to every part of it, go out again. Returns what was held."""
        held = [each for each in self.holds() if each == account or each.startswith(f"{account}/")]
        if held:
            lifted = {"held_until": 0.0, "next_at": 0.0}
            with self.database.writing() as connection:
                connection.execute(update(_pace).where(_pace.c.account.in_(held)).values(lifted))
                self._log(connection, "lift hold", f"destination:{account}", who, why, self.clock())
        return held

    def _locked_pace(self, connection: Connection, account: str) -> tuple[float, float]:
        connection.execute(
            self._insert(_pace).values(account=account, next_at=0.0, held_until=0.0).on_conflict_do_nothing()
        )
        found = select(_pace.c.next_at, _pace.c.held_until).where(_pace.c.account == account).with_for_update()
        row = connection.execute(found).one()
        return row.next_at, row.held_until


def _near(account: str, at: float, now: float, most: float) -> float:
    """A time of the account's pace, or 0 if it lies further ahead than a clock that is right would have put it."""
    if at <= now + most:
        return at
    _logger.warning("%s: its pace goes on in %.0f s only; a clock was wrong, and that is set right", account, at - now)
    return 0.0
