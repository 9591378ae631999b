"""A sync's own memory: the synced rows, the outbox of the current run, and every row's outcomes.

All functions take a connection on which the sync's state is attached as `state`.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from reverse_etl_assets.columns import Columns
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal_records import SentBatch
from reverse_etl_assets.records import FieldType, Operation, Reason, Record, Status
from reverse_etl_assets.spec import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.warehouses.duckdb import field_type

FORMAT = "1"
_OPERATIONS = {operation.value: operation for operation in Operation}
_CHUNK = 5_000  # rows in memory at once while streaming and folding


def settled(relation: str) -> str:
    """SQL that is true for an outcome after which destination and row agree."""
    done = f"{relation}.status in ('{Status.CREATED}', '{Status.UPDATED}', '{Status.DELETED}')"
    there = f"{relation}.reason in ('{Reason.ALREADY_EXISTS}', '{Reason.ALREADY_GONE}')"
    return f"coalesce({done} or {there}, false)"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row to send: its number in the outbox, what to do, and the record."""

    number: int
    operation: Operation
    record: Record
    size: int
    """Bytes of the fields as JSON."""


def prepare(con: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Create the state's tables, or fit them to the mapping. Raises StateError if they belong to another sync."""
    con.execute(render("state"))
    claim(con, columns)
    keys = [f"{key.name} {key.sql_type}" for key in columns.keys]
    fixed = ["_retl_key varchar", "_retl_id varchar", "_retl_run varchar", *keys]
    con.execute(f"create table if not exists state.synced ({', '.join(fixed)})")
    present = {row[0]: row[1] for row in con.execute("describe state.synced").fetchall()}
    if list(present.items())[len(fixed) :] != [(unquoted(f.name), f.sql_type) for f in columns.fields]:
        shown = ", ".join(fitted(columns, present))
        con.execute(f"create or replace table state.synced as select {shown} from state.synced")
        write_facts(con, {"full_compared_at": None})  # rows that were not modified differ, too


def fitted(columns: Columns, present: Mapping[str, str]) -> list[str]:
    """What to select from synced rows of the columns `present` so that they fit the mapping of now.

    A row that the destination was not told as the mapping has it now, because a field is new or its value is another
    in its new type, has no `_retl_run`: it has to be sent whatever its values.
    """
    stored = {name.lower(): sql_type for name, sql_type in present.items()}
    told, fields = ["true"], []
    for field in columns.fields:
        before = stored.get(unquoted(field.name).lower())
        value = field.name
        if before != field.sql_type:
            value = f"try_cast({field.name} as {field.sql_type})"
            if before and field_type(before) is field_type(field.sql_type) is not FieldType.JSON:
                told.append(f"try_cast({value} as {before}) is not distinct from {field.name}")
            else:
                value = f"null::{field.sql_type}"
                told.append("false")
        fields.append(f"{value} as {field.name}")
    run = f"case when {' and '.join(told)} then _retl_run end as _retl_run"
    return ["_retl_key", "_retl_id", run, *(key.name for key in columns.keys), *fields]


def unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')


def claim(con: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Make sure that the state is this sync's, written to the same place and matched by the same key.

    Raises StateError if it is not.
    """
    sync = columns.sync
    ours = {
        "format": FORMAT,
        "sync": sync.sync,
        "destination": sync.destination,
        "object": sync.object,
        "primary_key": ", ".join(
            f"{k.name[5:]}:{n}:{k.sql_type}" for k, n in zip(columns.keys, sync.primary_key, strict=True)
        ),
        "external_id": sync.external_id,
    }
    theirs = read_facts(con)
    for name, value in ours.items():
        if name in theirs and theirs[name] != value:
            raise StateError(
                f"the state of sync {sync.sync} belongs to another one: its {name} is {theirs[name]!r},"
                f" not {value!r}. Change the sync back or give it a new name; to start afresh, move its state"
                f" file away (every row of the model will be sent again)."
            )
    write_facts(con, {name: value for name, value in ours.items() if name not in theirs})


def read_facts(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What the state knows about itself; nothing if the sync never ran."""
    known = con.execute("select 1 from duckdb_tables() where database_name = 'state' and table_name = 'facts'")
    if known.fetchone() is None:
        return {}
    return dict(con.execute("select name, value from state.facts").fetchall())


def write_facts(con: duckdb.DuckDBPyConnection, facts: Mapping[str, str | None]) -> None:
    for name, value in facts.items():
        con.execute("delete from state.facts where name = $name", {"name": name})
        if value is not None:
            con.execute("insert into state.facts values ($name, $value)", {"name": name, "value": value})


def outbox_rows(con: duckdb.DuckDBPyConnection, columns: Columns) -> Generator[list[OutboxRow], None, None]:
    """What is to be sent, in chunks: writes before deletes. Uses the connection until it is done or closed."""
    for deletes in (False, True):
        yield from _read_outbox(con, columns, f"operation is not null and (operation = 'delete') = {deletes}")


def rows_by_number(con: duckdb.DuckDBPyConnection, columns: Columns, numbers: Iterable[int]) -> list[OutboxRow]:
    """Rows of the outbox that were sent before, by their numbers."""
    con.register("wanted", pa.table({"number": pa.array(numbers, pa.int64())}))
    return [row for chunk in _read_outbox(con, columns, "rowid in (select number from wanted)") for row in chunk]


def _read_outbox(con: duckdb.DuckDBPyConnection, columns: Columns, condition: str) -> Iterator[list[OutboxRow]]:
    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    reader = con.sql(
        f"select rowid, operation, key, external_id, destination_id,"
        f" case when after is not null then {columns.json('after')} else '{{}}' end as fields"
        f" from state.outbox where {condition}"
    ).to_arrow_reader(_CHUNK)
    for chunk in reader:
        rows = zip(*(column.to_pylist() for column in chunk.columns), strict=True)
        yield [
            OutboxRow(number, _OPERATIONS[op], Record(key, external_id, decode(fields), destination_id), len(fields))
            for number, op, key, external_id, destination_id, fields in rows
        ]


def fold(
    con: duckdb.DuckDBPyConnection,
    columns: Columns,
    run_id: str,
    batches: Iterable[SentBatch],
    *,
    now: float,
    stopped: str,
    hold: frozenset[Operation],
    retention_days: int = 90,
) -> None:
    """Bring a run's answers home in one transaction; folding a run again changes nothing.

    `stopped` says why rows that were never sent were not. Ambiguous rows of the operations in `hold` are kept
    back from later runs until a person says what became of them.
    """
    facts = read_facts(con)
    if facts.get("folded_run") == run_id or facts.get("outbox_run") != run_id:
        return
    _load_answers(con, batches)
    names = {"run_id": run_id, "now": _timestamp(now)}
    con.execute("begin")
    try:
        fields_json = f"case when outbox.after is not null then {columns.json('outbox.after')} end"
        con.execute(render("fold_outcomes", fields_json=fields_json), {**names, "stopped": stopped})
        same_key = " and ".join(f"synced.{key.name} = outbox.{key.name}" for key in columns.keys)
        con.execute(
            "delete from state.synced as synced using state.outbox as outbox, answers"
            f" where answers.number = outbox.rowid and {settled('answers')} and {same_key}"
        )
        insert = render("fold_synced", keys=columns.keys, fields=columns.fields, settled=settled("answers"))
        con.execute(insert, {"run_id": run_id})
        _remember_unsettled(con, run_id, hold)
        con.execute(
            f"delete from state.outcomes where answered_at < $now::timestamp - interval {retention_days:d} day",
            {"now": names["now"]},
        )
        new_facts: dict[str, str | None] = {"folded_run": run_id}
        if facts.get("outbox_newest"):
            new_facts["newest"] = facts["outbox_newest"]
        if facts.get("outbox_full"):
            new_facts["full_compared_at"] = facts["outbox_full"]
            new_facts["full_compared_as"] = facts["outbox_sync"]
        write_facts(con, new_facts)
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def _remember_unsettled(con: duckdb.DuckDBPyConnection, run_id: str, hold: frozenset[Operation]) -> None:
    mine = "from state.outcomes as o where run_id = $run_id"
    con.execute("delete from state.pending")
    con.execute(
        f"insert into state.pending select key {mine} and key is not null and not {settled('o')}", {"run_id": run_id}
    )
    con.execute(
        f"insert into state.held select key, run_id, message {mine}"
        " and reason = $ambiguous and list_contains($hold, operation)",
        {"run_id": run_id, "ambiguous": Reason.AMBIGUOUS.value, "hold": [operation.value for operation in hold]},
    )


_ANSWERS = pa.schema(
    [
        ("number", pa.int64()),
        ("priority", pa.int64()),
        ("answered_at", pa.timestamp("us")),
        *((name, pa.string()) for name in ("status", "reason", "code", "message", "field", "destination_id")),
        ("inferred", pa.bool_()),
    ]
)


def _load_answers(con: duckdb.DuckDBPyConnection, batches: Iterable[SentBatch]) -> None:
    """The final answer of each row that was sent, as the temporary table `answers`."""
    con.register("nothing", pa.table([[] for _ in _ANSWERS], schema=_ANSWERS))
    con.execute("create or replace temp table answers as select * from nothing")
    waiting: list[tuple[Any, ...]] = []
    for batch in batches:
        waiting.extend(_answer_rows(batch))
        if len(waiting) >= _CHUNK:
            _insert_answers(con, waiting)
            waiting = []
    _insert_answers(con, waiting)
    row = con.execute("select count(*) - count(distinct number) from answers").fetchone()
    if row and row[0]:  # rows that were sent more than once: the last answer counts
        con.execute(
            "create or replace temp table answers as select * from answers"
            " qualify row_number() over (partition by number order by priority desc) = 1"
        )


def _answer_rows(batch: SentBatch) -> Iterator[tuple[Any, ...]]:
    if batch.answered_at is None:  # whatever else is known of these rows comes before this
        why = "the request was sent, and the process ended before the answer came"
        for number in batch.rows:
            yield (number, -1, _timestamp(batch.sent_at), "failed", "ambiguous", None, why, None, None, False)
        return
    at = _timestamp(batch.answered_at)
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


def _insert_answers(con: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        con.register("chunk", pa.table([list(column) for column in zip(*rows, strict=True)], schema=_ANSWERS))
        con.execute("insert into answers select * from chunk")
        con.unregister("chunk")


def _timestamp(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None)


def counts(con: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, int]:
    """How many rows of a run ended how: by status, and failed and skipped also by reason."""
    rows = con.execute(
        "select status, reason, count(*) from state.outcomes where run_id = $run_id group by all", {"run_id": run_id}
    ).fetchall()
    found = {status.value: 0 for status in Status}
    for status, reason, number in rows:
        found[status] += number
        if reason:
            found[f"{status}_{reason}"] = found.get(f"{status}_{reason}", 0) + number
    return found


def seal_outbox(
    con: duckdb.DuckDBPyConnection, columns: Columns, run_id: str, *, newest: datetime | None, full_at: float | None
) -> None:
    """The outbox is complete and belongs to this run; with it goes all that its fold will need, even after a crash."""
    write_facts(
        con,
        {
            "outbox_sync": written(columns.sync),
            "outbox_types": msgspec.json.encode(dict(columns.types)).decode(),
            "outbox_fold_case": str(columns.fold_case),
            "outbox_newest": newest.isoformat() if newest else None,
            "outbox_full": repr(full_at) if full_at is not None else None,
            "outbox_run": run_id,
        },
    )


def written(sync: Sync) -> str:
    """A sync as text that can be read back."""
    return sync.model_dump_json(exclude_unset=True)


def outbox_columns(con: duckdb.DuckDBPyConnection) -> Columns:
    """The keys and fields of the outbox as they were when it was written."""
    facts = read_facts(con)
    return Columns(
        Sync.model_validate_json(facts["outbox_sync"]),
        msgspec.json.decode(facts["outbox_types"], type=dict[str, str]),
        facts["outbox_fold_case"] == "True",
    )


Learned = dict[str, list[str]]


def last_check(
    con: duckdb.DuckDBPyConnection, columns: Columns, options: Mapping[str, Any], since: float
) -> Learned | None:
    """What the destination's last check learned; None if it is due: the target changed, or the check is old."""
    facts = read_facts(con)
    if facts.get("checked") != _fingerprint(columns, options) or float(facts["checked_at"]) < since:
        return None
    return msgspec.json.decode(facts.get("learned", "{}"), type=Learned)


def remember_check(
    con: duckdb.DuckDBPyConnection,
    columns: Columns,
    options: Mapping[str, Any],
    learned: Mapping[str, list[str]],
    now: float,
) -> None:
    facts = {
        "checked": _fingerprint(columns, options),
        "checked_at": repr(now),
        "learned": msgspec.json.encode(dict(learned)).decode(),
    }
    write_facts(con, facts)


def _fingerprint(columns: Columns, options: Mapping[str, Any]) -> str:
    target = columns.target
    return repr((target.object, target.external_id, sorted(target.fields.items()), sorted(target.operations), options))
