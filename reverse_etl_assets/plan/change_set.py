"""The plan: what a run would send, found by one comparison inside the warehouse."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import msgspec

from reverse_etl_assets.destinations.base import encode_json
from reverse_etl_assets.plan import parents
from reverse_etl_assets.plan.field_changes import FieldChange, count_field_changes
from reverse_etl_assets.privacy.transforms import InvalidValue, transformed
from reverse_etl_assets.records import FieldType, Operation
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.state import held_rows, shared_records
from reverse_etl_assets.state.quarantine import keep_back
from reverse_etl_assets.warehouses import row_times
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Column, Columns
from reverse_etl_assets.warehouses.duckdb import literal
from reverse_etl_assets.warehouses.model_rows import latest_rows, name_superseded


@dataclass(frozen=True)
class Plan:
    """Counts of a change set. The rows stand in the outbox that the plan was written to.

    `removed_known` is false if only recently modified rows were compared. Rows in quarantine are counted as such and as
    nothing else; so are superseded ones, which are those of the whole model.
    """

    model_rows: int
    synced_rows: int
    added: int
    changed: int
    removed: int
    unchanged: int
    rejected: int
    held: int
    to_send: Mapping[Operation, int]
    removed_known: bool
    newest: datetime | None = None
    field_changes: tuple[FieldChange, ...] = ()
    quarantined: int = 0
    superseded: int = 0
    waiting: int = 0
    """Rows whose parent's row is not there; counted as such and as nothing else, too."""
    unusable_times: Mapping[str, int] = field(default_factory=dict)
    """Rows whose time cannot be used, by column."""
    more: Mapping[str, int] = field(default_factory=dict)
    """Further counts."""

    @property
    def counts(self) -> dict[str, int]:
        names = ("model_rows", "synced_rows", "added", "changed", "removed", "unchanged", "rejected", "held")
        left_out = ("quarantined", "superseded")
        times = {"unusable_times": sum(self.unusable_times.values())} if self.unusable_times else {}
        waiting = {"waiting": self.waiting} if self.waiting else {}
        return {**{name: getattr(self, name) for name in (*names, *left_out)}, **waiting, **times, **self.more}


@dataclass(frozen=True)
class Prefilter:
    """Compare only rows modified since `since`, and those that are not settled yet."""

    column: str
    since: datetime


def make_plan(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Columns,
    *,
    outbox: str = "state.outbox",
    prefilter: Prefilter | None = None,
    now: float | None = None,
) -> Plan:
    """Compare the model with the synced rows and write the change set to the outbox. `now` bounds rows' times."""
    now = time.time() if now is None else now
    model = relation
    relation, superseded = latest_rows(con, model, columns)
    names = _names(relation, columns, outbox, prefilter, now)
    model_rows, keyed_rows, newest = _measure(con, names, columns, now)
    synced_rows = _number(con, "select count(*) from state.synced")
    names["narrowed"] = "candidates" if _narrow(con, names, columns, synced_rows) else None
    con.execute(render("change_set", **names), {"since": prefilter.since} if prefilter else None)
    if shared_records.spare(con, columns, outbox):
        _send_heirs(con, names, columns)
    scope = "changes" if prefilter else _duplicate_scope(_count(con, outbox, "kind"), keyed_rows, synced_rows)
    _reject(con, names, columns, keyless=model_rows != keyed_rows, scope=scope)
    if columns.sync.transforms:
        transform(con, outbox, columns)
    held = held_rows.keep_back(con, outbox)
    kept_back = keep_back(con, columns, outbox)
    waiting = parents.keep_back(con, columns, relation, outbox)
    apart = Counter(kept_back) + Counter(waiting)
    found = {kind: rows - apart[kind] for kind, rows in _count(con, outbox, "kind").items()}
    con.execute(f"delete from {outbox} where operation is null and reason is null")
    if superseded:
        name_superseded(con, model, columns, names)
    if held:
        held_rows.name_others(con, outbox)
    quarantined = sum(kept_back.values())
    changes = sum(found.get(kind, 0) for kind in ("added", "changed", "rejected"))
    return Plan(
        model_rows=model_rows + superseded,
        synced_rows=synced_rows,
        added=found.get("added", 0),
        changed=found.get("changed", 0),
        removed=found.get("removed", 0),
        unchanged=model_rows - changes - (apart.total() - apart["removed"]),
        rejected=found.get("rejected", 0),
        held=held,
        to_send={Operation(op): n for op, n in _count(con, outbox, "operation").items() if op},
        removed_known=prefilter is None,
        newest=newest,
        field_changes=count_field_changes(con, columns, outbox) if found.get("changed") else (),
        quarantined=quarantined,
        superseded=superseded,
        waiting=sum(waiting.values()),
        unusable_times=row_times.unusable(con, model, columns.sync.time_columns, now),
    )


def _send_heirs(con: duckdb.DuckDBPyConnection, names: Mapping[str, Any], columns: Columns) -> None:
    """Rows whose record another row of theirs leaves go out with all fields: it may hold that row's values."""
    outbox = names["outbox"]
    heirs = f"{outbox}_of_heirs"
    stale = shared_records.all_fields(columns)
    con.execute(render("change_set", **{**names, "outbox": heirs, "narrowed": "shared_rows", "stale": stale}))
    con.execute(f"delete from {outbox} where key in (select key from {heirs} where kind = 'changed')")
    con.execute(f"insert into {outbox} by name select * from {heirs} where kind = 'changed'")
    con.execute(f"drop table {heirs}")
    shared_records.inherit(con, columns, outbox)


def _names(relation: str, columns: Columns, outbox: str, prefilter: Prefilter | None, now: float) -> dict[str, Any]:
    """What the SQL templates need to know."""
    pairs = [_differs(f) for f in columns.fields]
    untold = " or ".join(_untold(f) for f in columns.fields)
    differs = " or ".join([f"(synced._retl_untold is not null and ({untold}))", *pairs])
    own_keys = [key.expression for key in columns.keys]
    key_columns = " or ".join(columns.sync.primary_key)
    recent = row_times.since(prefilter.column, "$since") if prefilter else None
    names = ", ".join(key.name for key in columns.keys)
    pending = (
        f"{columns.key_text()} in (select key from state.pending) or ({', '.join(own_keys)}) in"
        f" (select ({names}) from state.synced where _retl_key in (select key from state.pending))"
    )
    return {
        "outbox": outbox,
        "relation": relation,
        "mode": columns.sync.mode,
        "keys": columns.keys,
        "own_keys": ", ".join(own_keys),
        "key_names": names,
        "fields": columns.fields,
        "has_key": columns.has_key,
        "has_synced_key": columns.has_synced_key,
        "external_id": columns.external_id,
        "key_text": columns.key_text("model"),
        "is_old_spelling": columns.is_old_spelling("synced"),
        "key_text_of_row": columns.key_text(),
        "differs": differs,
        "changed": lambda field: f"{_differs(field)} or {_untold(field)}",
        "sent_fields": _sent_fields(columns),
        "pack_after": columns.pack("model", otherwise="synced"),
        "row_time": row_times.row_time(columns.sync.updated_at, now) if columns.sync.updated_at else None,
        "pack": columns.pack,
        "pack_expressions": columns.pack(None),
        "prefilter": f"{recent} or {pending}" if prefilter else None,
        "stale": None,
        "no_key_message": literal(f"the primary key ({key_columns}) is empty{_or_not_finite(columns)}"),
        "duplicate_message": literal(_duplicate_message(columns.sync)),
    }


def _or_not_finite(columns: Columns) -> str:
    """What else may be wrong with a key of these types."""
    kinds = {field_type(columns.types[name.lower()]) for name in columns.sync.primary_key}
    endless = kinds & {FieldType.FLOAT, FieldType.DATE, FieldType.TIMESTAMP}
    return ", or no finite number or time" if endless else ""


def _duplicate_message(sync: Sync) -> str:
    shared = " rows of the model share this primary key"
    latest_by = sync.on_duplicate_key.latest_by
    return f"{shared}, and none of them alone has the greatest `{latest_by}`" if latest_by else shared


def _differs(field: Column) -> str:
    differs = f"model.{field.name} is distinct from synced.{field.name}"
    return f"(model.{field.name} is not null and {differs})" if field.keeps_null else differs


def _untold(field: Column) -> str:
    """The destination was not told the field as the mapping has it now."""
    untold = f"coalesce(list_contains(synced._retl_untold, {field.literal}), false)"
    return f"(model.{field.name} is not null and {untold})" if field.keeps_null else untold


def _sent_fields(columns: Columns) -> str:
    """The names of the fields that go out; NULL is all of them."""
    every = "null::varchar[]"
    if any(field.keeps_null for field in columns.fields):
        kept = "case when model.{0} is not null then {1} end"
        names = [kept.format(f.name, f.literal) if f.keeps_null else f.literal for f in columns.fields]
        every = f"list_filter([{', '.join(names)}], lambda name: name is not null)"
    first = f"model.{columns.keys[0].name}"
    changed = "changed_fields" if columns.partial else every
    return (
        f"case when {first} is null then null::varchar[] when synced._retl_key is null then {every} else {changed} end"
    )


def _measure(
    con: duckdb.DuckDBPyConnection, names: Mapping[str, Any], columns: Columns, now: float
) -> tuple[int, int, Any]:
    """Rows of the model, those with a key, and the newest modification until now if the sync goes by it."""
    modified = columns.sync.change_detection.last_modified_at
    newest = row_times.newest(modified, now) if modified else "null"
    query = f"select count(*), count(*) filter (where {names['has_key']}), {newest} from {names['relation']}"
    row = con.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row[0], row[1], row[2]


# What a value costs in the comparison's hash table, in bytes, and how much of the memory it may take.
_VALUE_BYTES, _MEMORY_SHARE = 24, 0.5


def _narrow(con: duckdb.DuckDBPyConnection, names: Mapping[str, Any], columns: Columns, synced_rows: int) -> bool:
    """Where the synced rows' values would not fit into memory, find first which rows may differ at all."""
    memory = _number(con, "select parse_formatted_bytes(current_setting('memory_limit'))")
    needed = synced_rows * len(columns.fields) * _VALUE_BYTES
    if names["prefilter"] or columns.sync.mode.sends_all or needed < memory * _MEMORY_SHARE:
        return False
    con.execute(render("narrow", **names))
    return True


def _reject(
    con: duckdb.DuckDBPyConnection, names: Mapping[str, Any], columns: Columns, *, keyless: bool, scope: str
) -> None:
    """Take rows without a usable key or value out of the change set, and name each as rejected."""
    outbox = names["outbox"]
    con.execute(render("duplicate_keys", **names, scope=scope))
    duplicates = _number(con, "select count(*) from duplicate_keys")
    if duplicates:
        con.execute(f"delete from {outbox} using duplicate_keys where {_same_key(columns, outbox, 'duplicate_keys')}")
    if duplicates or keyless:
        con.execute(render("rejected_rows", **names))
    if sendable := columns.sendable:
        messages = [f"when not ({test}) then {literal(wrong)}" for wrong, test in sendable]
        con.execute(
            f"update {outbox} set kind = 'rejected', operation = null, reason = 'invalid',"
            f" message = case {' '.join(messages)} end"
            f" where kind <> 'rejected' and not ({' and '.join(test for _, test in sendable)})"
        )


def transform(con: duckdb.DuckDBPyConnection, outbox: str, columns: Columns, which: str = "true") -> None:
    """Write down what goes out of each row, and refuse rows with a value that cannot be transformed."""
    import pyarrow as pa  # only who plans waits for it

    decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
    where = f"where operation is not null and after is not null and ({which})"
    going_out = f"coalesce(sent, {columns.json('after')}::varchar)"
    rows = con.execute(f"select rowid, {going_out} from {outbox} {where}").fetchall()
    going: list[tuple[int, str | None, str | None]] = []
    for number, after in rows:
        try:
            going.append((number, encode_json(transformed(columns.sync, decode(after))).decode(), None))
        except InvalidValue as error:
            going.append((number, None, str(error)))
    numbers, texts, problems = ([row[i] for row in going] for i in range(3))
    arrays = {"number": pa.array(numbers, pa.int64()), "sent": pa.array(texts, pa.string())}
    con.register("going", pa.table({**arrays, "problem": pa.array(problems, pa.string())}))
    con.execute(f"update {outbox} as o set sent = going.sent from going where going.number = o.rowid")
    con.execute(
        f"update {outbox} as o set kind = 'rejected', operation = null, reason = 'invalid', message = going.problem"
        " from going where going.number = o.rowid and going.problem is not null"
    )
    con.unregister("going")


def _duplicate_scope(found: Mapping[str, int], keyed_rows: int, synced_rows: int) -> str:
    """Where to look for keys that stand in two rows of the model, without grouping the whole model.

    Synced keys are unique, so as many model rows as synced rows found a partner unless a key is there twice;
    of the added rows only those themselves have to be grouped.
    """
    added, removed = found.get("added", 0), found.get("removed", 0)
    if keyed_rows - added != synced_rows - removed:
        return "model"
    return "added" if added else "none"


def _same_key(columns: Columns, left: str, right: str) -> str:
    return " and ".join(f"{left.split('.')[-1]}.{key.name} = {right}.{key.name}" for key in columns.keys)


def _count(con: duckdb.DuckDBPyConnection, relation: str, column: str) -> dict[str, int]:
    return dict(con.execute(f"select {column}, count(*) from {relation} group by all").fetchall())


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
