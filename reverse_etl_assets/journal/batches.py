"""The journal's statements on the batches of a run, each inside a transaction of the caller."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.packing import (
    pack_answers,
    pack_notes,
    pack_rows,
    unpack_answers,
    unpack_notes,
    unpack_rows,
)
from reverse_etl_assets.journal.records import Answer, Intent, SentBatch, Stop
from reverse_etl_assets.journal.schema import Database, batches, runs, stops
from reverse_etl_assets.journal.stop_signals import StopSignals
from reverse_etl_assets.records import Operation

PAGE = 200  # batches read at once

_THIS = (batches.c.run_id == bindparam("of_run")) & (batches.c.number == bindparam("of_number"))
_SET_JOB = update(batches).where(_THIS).values(job=bindparam("job"))
_ANSWER = update(batches).where(_THIS).values(answered_at=bindparam("answered_at"), answers=bindparam("answers"))


def last_number(database: Database, run_id: str) -> int:
    """The highest number of the run's batches, 0 if it has none. Raises StateError if there is no such run."""
    with database.reading() as connection:
        known = connection.scalar(select(runs.c.run_id).where(runs.c.run_id == run_id))
        if known is None:
            raise StateError(f"run {run_id} is not in the journal")
        return connection.scalar(select(func.max(batches.c.number)).where(batches.c.run_id == run_id)) or 0


def stop_in_force(
    database: Database, connection: Connection, signals: StopSignals, scopes: Sequence[str]
) -> Stop | None:
    """The stop of one of the scopes, if any. Until the transaction ends, nobody can put a new one into the journal."""
    database.lock(connection, stops, "ROW SHARE")
    return signals.in_force(scopes) or read_stop(connection, scopes)


def read_stop(connection: Connection, scopes: Sequence[str]) -> Stop | None:
    found = {row.scope: Stop(*row) for row in connection.execute(select(stops).where(stops.c.scope.in_(scopes)))}
    return next((found[scope] for scope in scopes if scope in found), None)


def write_intents(connection: Connection, run_id: str, intents: Sequence[Intent], now: float) -> None:
    rows = [
        {
            "run_id": run_id,
            "number": i.number,
            "operation": i.operation,
            "rows": pack_rows(i.rows),
            "sent_at": now,
            "notes": pack_notes(i.notes),
            "once": pack_rows(i.once),
            "anew": pack_rows(i.anew),
        }
        for i in intents
    ]
    if rows:
        connection.execute(insert(batches), rows)


def write_jobs(connection: Connection, run_id: str, jobs: Mapping[int, str]) -> None:
    rows = [{"of_run": run_id, "of_number": number, "job": job} for number, job in jobs.items()]
    if rows and connection.execute(_SET_JOB, rows).rowcount != len(rows):
        raise _unknown(run_id, jobs)


def write_answers(connection: Connection, run_id: str, answers: Mapping[int, Sequence[Answer]], now: float) -> None:
    rows = [
        {"of_run": run_id, "of_number": number, "answered_at": now, "answers": pack_answers(answered)}
        for number, answered in answers.items()
    ]
    if rows and connection.execute(_ANSWER, rows).rowcount != len(rows):
        raise _unknown(run_id, answers)


def withdraw_intents(connection: Connection, run_id: str, numbers: Sequence[int]) -> None:
    """Takes back intents whose batches were not sent after all."""
    if numbers:
        unsent = batches.c.number.in_(numbers) & batches.c.answered_at.is_(None)
        connection.execute(delete(batches).where(batches.c.run_id == run_id, unsent))


def drop_notes(database: Database, run_id: str) -> bool:
    """Deletes what was read of records, a few transactions one after the other. False if there was nothing."""
    noted = (batches.c.run_id == run_id) & batches.c.notes.is_not(None)
    with database.reading() as connection:
        last = connection.scalar(select(func.max(batches.c.number)).where(noted))
    for start in range(0, last or 0, PAGE):
        these = noted & batches.c.number.between(start + 1, start + PAGE)
        with database.writing() as connection:
            connection.execute(update(batches).where(these).values(notes=None))
    return last is not None


def read_batches(database: Database, run_id: str) -> Iterator[SentBatch]:
    """A page at a time, so that neither memory nor a read transaction grows with the run."""
    last = 0
    query = select(batches).where(batches.c.run_id == run_id).order_by(batches.c.number).limit(PAGE)
    while True:
        with database.reading() as connection:
            page = connection.execute(query.where(batches.c.number > last)).all()
        for r in page:
            rows, answers = unpack_rows(r.rows), unpack_answers(r.answers)
            yield SentBatch(
                r.number,
                Operation(r.operation),
                rows,
                r.job,
                r.sent_at,
                r.answered_at,
                answers,
                unpack_notes(r.notes),
                None if r.once is None else unpack_rows(r.once),
                None if r.anew is None else unpack_rows(r.anew),
            )
        if len(page) < PAGE:
            return
        last = page[-1].number


def _unknown(run_id: str, numbers: Mapping[int, object]) -> StateError:
    return StateError(f"run {run_id} has no batch of one of the numbers {sorted(numbers)}")
