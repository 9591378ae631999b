"""The journal's answers and notes of a run as temporary tables, for the fold."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from reverse_etl_assets.journal.records import SentBatch

_CHUNK = 5_000  # rows in memory at once

_ANSWERS = pa.schema(
    [
        ("number", pa.int64()),
        ("priority", pa.int64()),
        ("answered_at", pa.timestamp("us")),
        *((name, pa.string()) for name in ("status", "reason", "code", "message", "field", "destination_id")),
        ("inferred", pa.bool_()),
        ("once", pa.bool_()),
        ("anew", pa.bool_()),
    ]
)
_NOTES = pa.schema(
    [
        ("number", pa.int64()),
        ("priority", pa.int64()),
        ("read", pa.bool_()),
        ("before", pa.string()),
        ("sent", pa.list_(pa.string())),
    ]
)
_CONFLICTS = pa.schema(
    [
        ("number", pa.int64()),
        ("priority", pa.int64()),
        *((name, pa.string()) for name in ("field", "rule", "base", "ours", "theirs", "winner", "why")),
    ]
)


class _Table:
    """A temporary table that is filled in chunks; of rows with the same `unique` columns one is kept in the end."""

    def __init__(self, con: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
        self._con, self._name, self._schema = con, name, schema
        self._waiting: list[tuple[Any, ...]] = []
        self.is_empty = True
        con.register("nothing", pa.table([[] for _ in schema], schema=schema))
        con.execute(f"create or replace temp table {name} as select * from nothing")

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._waiting.extend(rows)
        if len(self._waiting) >= _CHUNK:
            self._flush()

    def close(self, unique: str, order: str) -> None:
        """Keep the first of several rows by `order`: rows that were sent more than once."""
        self._flush()
        if self.is_empty:
            return
        counted = f"select count(*) - count(distinct ({unique})) from {self._name}"
        ((again,),) = self._con.execute(counted).fetchall()
        if again:
            self._con.execute(
                f"create or replace temp table {self._name} as select * from {self._name}"
                f" qualify row_number() over (partition by {unique} order by {order}) = 1"
            )

    def _flush(self) -> None:
        if self._waiting:
            columns = [list(column) for column in zip(*self._waiting, strict=True)]
            self._con.register("chunk", pa.table(columns, schema=self._schema))
            self._con.execute(f"insert into {self._name} select * from chunk")
            self._con.unregister("chunk")
            self._waiting = []
            self.is_empty = False


def load_answers(con: duckdb.DuckDBPyConnection, batches: Iterable[SentBatch]) -> bool:
    """Make `answers` (the final one of each row that was sent, with what was noted as it was sent), `notes` (what was
    read before a row was first sent) and `conflicts`. Returns whether there are conflicts."""
    answers, notes = _Table(con, "answers", _ANSWERS), _Table(con, "notes", _NOTES)
    conflicts = _Table(con, "conflicts", _CONFLICTS)
    for batch in batches:
        answers.add(_answer_rows(batch))
        notes.add((n.row, batch.number, n.read, n.before, n.sent) for n in batch.notes)
        conflicts.add(
            (note.row, batch.number, c.field, c.rule, c.base, c.ours, c.theirs, c.winner, c.why)
            for note in batch.notes
            for c in note.conflicts or ()
        )
    answers.close("number", "priority desc, once desc nulls first")
    notes.close("number", "priority")
    conflicts.close("number, field", "priority")
    return not conflicts.is_empty


def _answer_rows(batch: SentBatch) -> Iterator[tuple[Any, ...]]:
    once = None if batch.once is None else frozenset(batch.once)
    anew = None if batch.anew is None else frozenset(batch.anew)
    for row in _rows_of_answers(batch):
        number = row[0]
        yield (*row, None if once is None else number in once, None if anew is None else number in anew)


def _rows_of_answers(batch: SentBatch) -> Iterator[tuple[Any, ...]]:
    if batch.answered_at is None:  # whatever else is known of these rows comes before this
        why = "the request was sent, and the process ended before the answer came"
        for number in batch.rows:
            yield (number, -1, as_timestamp(batch.sent_at), "failed", "ambiguous", None, why, None, None, False)
        return
    at = as_timestamp(batch.answered_at)
    for answer in batch.answers:
        error = answer.error
        yield (
            answer.row,
            batch.number,
            at,
            answer.status.value,
            answer.reason.value if answer.reason else None,
            error.code if error else None,
            error.message if error else None,
            error.field if error else None,
            answer.destination_id,
            answer.inferred,
        )


def as_timestamp(epoch: float) -> datetime:
    """UTC, without a zone, as the state keeps times."""
    return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None)
