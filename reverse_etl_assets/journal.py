"""The journal: what every run intended, sent and heard, and what all processes have to agree on.

It is a SQLite file in WAL mode, or a PostgreSQL database that several machines share. It may be used by several
processes and threads at once. Times are UTC, in seconds since 1970. Every method raises StateError if the database
fails; a change is on disk when its method returns.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from reverse_etl_assets import journal_batches, journal_schema
from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.journal_records import (
    Answer,
    ControlEntry,
    Intent,
    ModelResult,
    Run,
    RunStatus,
    SentBatch,
    Stop,
    Stopped,
    Usage,
    escaped,
)
from reverse_etl_assets.journal_schema import Database

__all__ = [
    "Answer",
    "ControlEntry",
    "Intent",
    "Journal",
    "ModelResult",
    "Run",
    "RunStatus",
    "SentBatch",
    "Stop",
    "Stopped",
    "Usage",
]

_runs, _batches, _pace = journal_schema.runs, journal_schema.batches, journal_schema.pace
_stops, _control = journal_schema.stops, journal_schema.control
_usage, _results = journal_schema.usage, journal_schema.model_results


class Journal:
    """`database` and `clock` are there for JournalWriter."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock

    @classmethod
    def open(cls, url: str, clock: Callable[[], float] = time.time) -> "Journal":
        """Opens `sqlite:///path` or `postgresql://...`; makes folder and tables if they are not there.

        Raises ConfigurationError if the URL is malformed, StateError if the database is unreachable or was written
        by a newer release.
        """
        return cls(Database(url), clock)

    def close(self) -> None:
        self.database.close()

    # runs

    def start_run(
        self,
        run_id: str,
        sync: str,
        destination: str,
        *,
        model_rows: int | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Raises StateError if there is a run of this id."""
        run = insert(_runs).values(
            run_id=run_id,
            sync=sync,
            destination=destination,
            status=RunStatus.OPEN,
            started_at=self.clock(),
            model_rows=model_rows,
            counts=_json(counts or {}),
        )
        with self.database.writing() as connection:
            try:
                connection.execute(run)
            except IntegrityError:
                raise StateError(f"run {run_id} is in the journal already") from None

    def end_run(self, run_id: str, status: RunStatus, *, counts: Mapping[str, int], detail: str | None = None) -> None:
        """Raises StateError if there is no such run."""
        end = update(_runs).values(status=status, ended_at=self.clock(), counts=_json(counts), detail=_text(detail))
        with self.database.writing() as connection:
            if connection.execute(end.where(_runs.c.run_id == run_id)).rowcount != 1:
                raise StateError(f"run {run_id} is not in the journal")

    def run(self, run_id: str) -> Run | None:
        return next(iter(self._read_runs(select(_runs).where(_runs.c.run_id == run_id))), None)

    def open_runs(self, sync: str) -> list[Run]:
        """The runs whose outcomes are not folded yet, oldest first."""
        unfolded = select(_runs).where(_runs.c.sync == sync, _runs.c.status == RunStatus.OPEN)
        return self._read_runs(unfolded.order_by(_runs.c.number))

    def history(self, sync: str, limit: int = 30) -> list[Run]:
        """Newest first."""
        return self._read_runs(select(_runs).where(_runs.c.sync == sync).order_by(_runs.c.number.desc()).limit(limit))

    def latest_runs(self) -> list[Run]:
        """The newest run of every sync, by name of the sync."""
        newest = select(func.max(_runs.c.number)).group_by(_runs.c.sync)
        return self._read_runs(select(_runs).where(_runs.c.number.in_(newest)).order_by(_runs.c.sync))

    # batches

    def begin_batches(self, run_id: str, intents: Sequence[Intent]) -> None:
        """Raises Stopped, and writes nothing, if the kill switch is on; StateError if there is no such run."""
        with self.database.writing() as connection:
            run = connection.execute(select(_runs).where(_runs.c.run_id == run_id)).one_or_none()
            if run is None:
                raise StateError(f"run {run_id} is not in the journal")
            stop = journal_batches.stop_in_force(self.database, connection, run.destination, run.sync)
            if stop:
                raise Stopped(stop)
            journal_batches.write_intents(connection, run_id, intents, self.clock())

    def set_job(self, run_id: str, number: int, job: str) -> None:
        """Keeps the destination's id of an asynchronous job, so that a later process can collect its answer."""
        with self.database.writing() as connection:
            journal_batches.write_jobs(connection, run_id, {number: job})

    def answer_batches(self, run_id: str, answers: Mapping[int, Sequence[Answer]]) -> None:
        """Keeps the answers of each batch, in place of earlier ones. Raises StateError if a batch was not begun."""
        with self.database.writing() as connection:
            journal_batches.write_answers(connection, run_id, answers, self.clock())

    def batches(self, run_id: str) -> Iterator[SentBatch]:
        """In order of number, streamed."""
        return journal_batches.read_batches(self.database, run_id)

    def forget_batches(self, before: float) -> int:
        """Deletes the batches, not the runs, of folded runs that ended before this time; returns how many."""
        folded = select(_runs.c.run_id).where(_runs.c.status != RunStatus.OPEN, _runs.c.ended_at < before)
        with self.database.writing() as connection:
            return connection.execute(delete(_batches).where(_batches.c.run_id.in_(folded))).rowcount

    # kill switch

    def stop(self, scope: str, who: str, why: str) -> None:
        """No batch of the scope begins after this returns; batches already sent still get their answers.

        `scope` is `all`, `destination:<name>` or `sync:<name>`, else ConfigurationError.
        """
        self._switch("stop", scope, who, why)

    def resume(self, scope: str, who: str, why: str) -> None:
        """Lifts the stop of this very scope; stops of other scopes stay."""
        self._switch("resume", scope, who, why)

    def stops(self) -> list[Stop]:
        return [Stop(*row) for row in self._read(select(_stops).order_by(_stops.c.at))]

    def stopped(self, destination: str, sync: str) -> Stop | None:
        with self.database.reading() as connection:
            return journal_batches.read_stop(connection, destination, sync)

    def control_log(self, limit: int = 50) -> list[ControlEntry]:
        """Every use of the kill switch, newest first."""
        t = _control.c
        log = select(t.action, t.scope, t.who, t.why, t.at).order_by(t.number.desc()).limit(limit)
        return [ControlEntry(*row) for row in self._read(log)]

    # usage

    def add_usage(self, destination: str, sync: str, *, calls: int, rows: int, bytes: int) -> None:
        """Adds to what the sync has asked of the destination on this UTC day."""
        spent = {"calls": calls, "rows": rows, "bytes": bytes}
        key = {"day": self._day(), "destination": destination, "sync": sync}
        upsert = self._insert(_usage).values(**key, **spent)
        added = {name: _usage.c[name] + upsert.excluded[name] for name in spent}
        with self.database.writing() as connection:
            connection.execute(upsert.on_conflict_do_update(index_elements=list(key), set_=added))

    def usage(self, destination: str | None = None, days: int = 30) -> list[Usage]:
        """The last `days` UTC days with today, newest first."""
        t = _usage.c
        query = select(_usage).where(t.day > self._day(-days)).order_by(t.day.desc(), t.destination, t.sync)
        return [
            Usage(*row)
            for row in self._read(query if destination is None else query.where(t.destination == destination))
        ]

    # results of the models' dbt tests

    def record_model_results(self, model: str, results: Mapping[str, str]) -> None:
        """Replaces the earlier results of the named tests; `results` is test name to status."""
        rows = [{"model": model, "test": t, "status": s, "at": self.clock()} for t, s in sorted(results.items())]
        upsert = self._insert(_results)
        new = {"status": upsert.excluded.status, "at": upsert.excluded.at}
        if rows:
            with self.database.writing() as connection:
                connection.execute(upsert.on_conflict_do_update(index_elements=["model", "test"], set_=new), rows)

    def model_results(self, model: str) -> list[ModelResult]:
        t = _results.c
        return [
            ModelResult(*row)
            for row in self._read(select(t.test, t.status, t.at).where(t.model == model).order_by(t.test))
        ]

    # the rate of an account, shared by all processes

    def reserve(self, account: str, interval: float, count: int) -> float:
        """Reserves `count` slots, `interval` seconds apart; returns the time of the first.

        No slot is given twice, lies in the past or before a hold. Clocks of several machines have to agree.
        """
        with self.database.writing() as connection:
            next_at, held_until = self._locked_pace(connection, account)
            first = max(self.clock(), next_at, held_until)
            later = update(_pace).where(_pace.c.account == account).values(next_at=first + interval * count)
            connection.execute(later)
            return first

    def hold(self, account: str, until: float) -> None:
        """Gives nobody a slot before `until`; never shortens an earlier hold."""
        with self.database.writing() as connection:
            _, held_until = self._locked_pace(connection, account)
            if until > held_until:
                connection.execute(update(_pace).where(_pace.c.account == account).values(held_until=until))

    def held_until(self, account: str) -> float:
        """0 if the account was never held."""
        found = self._read(select(_pace.c.held_until).where(_pace.c.account == account))
        return float(found[0].held_until) if found else 0.0

    def _locked_pace(self, connection: Connection, account: str) -> tuple[float, float]:
        connection.execute(
            self._insert(_pace).values(account=account, next_at=0.0, held_until=0.0).on_conflict_do_nothing()
        )
        found = select(_pace.c.next_at, _pace.c.held_until).where(_pace.c.account == account).with_for_update()
        row = connection.execute(found).one()
        return row.next_at, row.held_until

    def _switch(self, action: str, scope: str, who: str, why: str) -> None:
        kind, _, name = scope.partition(":")
        if scope != "all" and not (kind in ("destination", "sync") and name):
            raise ConfigurationError(f"kill switch: scope is {scope!r}, must be all, destination:<name> or sync:<name>")
        entry = {"scope": scope, "who": _text(who), "why": _text(why), "at": self.clock()}
        with self.database.writing() as connection:
            self.database.lock(connection, _stops, "EXCLUSIVE")
            connection.execute(delete(_stops).where(_stops.c.scope == scope))
            if action == "stop":
                connection.execute(insert(_stops).values(entry))
            connection.execute(insert(_control).values(action=action, **entry))

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self.database.is_sqlite else postgresql.insert(table)

    def _read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self.database.reading() as connection:
            return connection.execute(query).all()

    def _read_runs(self, query: Select[Any]) -> list[Run]:
        fields = ("run_id", "sync", "destination", "started_at", "ended_at", "model_rows", "detail")
        return [
            Run(status=RunStatus(r.status), counts=msgspec.json.decode(r.counts), **{f: getattr(r, f) for f in fields})
            for r in self._read(query)
        ]

    def _day(self, days: int = 0) -> str:
        return (datetime.fromtimestamp(self.clock(), UTC) + timedelta(days=days)).date().isoformat()


def _json(counts: Mapping[str, int]) -> str:
    return msgspec.json.encode(dict(counts)).decode()


def _text(value: str | None) -> str | None:
    """PostgreSQL's text holds no NUL."""
    return value and escaped(value.replace("\0", ""))
