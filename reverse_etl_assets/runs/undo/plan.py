"""The change set that puts back what a run wrote, out of its before-images and the synced rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.plan.change_set import Plan, transform
from reverse_etl_assets.records import Operation, Status
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.state import ledger, shared_records
from reverse_etl_assets.state.facts import changing_facts, read_facts
from reverse_etl_assets.state.images import image_fields, unpacked
from reverse_etl_assets.state.outbox import outbox_columns
from reverse_etl_assets.warehouses import value_text
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection
from reverse_etl_assets.warehouses.duckdb import literal

_OUTBOX = "state.outbox"
_NO_ANSWER = "the run sent it, its answer was lost, and nobody knows what had been there"
_NO_IMAGE = (
    "what the record held before is not known: it was not read before the run wrote it, and had not been synced before"
)
_SHARED = (
    "another row stands for the same record, so the run wrote over what that row had sent; what the record held before"
    " is not known, for it was not read by the key of this one"
)
# The first that the destination can do. An update is better, for it makes no record where one has gone.
_PUTS_BACK = {
    Status.UPDATED: (Operation.UPDATE, Operation.UPSERT),
    Status.CREATED: (Operation.DELETE,),
    Status.DELETED: (Operation.UPSERT, Operation.INSERT),
}


def plan_undo(
    con: Connection, sync: Sync, account: Account, run_id: str, *, undos: Sequence[str]
) -> tuple[Columns, Plan]:
    """Write the change set that undoes the run to the outbox, which is nobody's until it is sealed.

    `undos` are the runs that have undone parts of it before. Raises StateError if nothing is known of the run, if the
    sync goes to another place now, or if the destination cannot do what it takes.
    """
    columns = _columns(con, sync)
    with changing_facts(con) as facts:
        facts.outbox_run = None
    operations = _operations(columns, account)
    names = _names(columns, operations) | {"restores": str(_restores(account, operations)).lower()}
    con.execute(render("undo", **names), {"run": run_id, "undos": list(undos)})
    _refuse_what_cannot_be_done(con, columns, account)
    shared_records.spare(con, columns, _OUTBOX, once=False)  # which of them left its values there shows with the record
    if columns.sync.transforms:  # what was read at the destination was a hash already
        transform(con, _OUTBOX, columns, "source = 'synced'")
    used = {Operation(o): n for o, n in _count(con, "operation").items() if o}
    kinds, reasons = _count(con, "kind", "operation is not null"), _count(con, "reason")
    plan = Plan(
        model_rows=sum(_count(con, "kind").values()),
        synced_rows=_number(con, "select count(*) from state.synced"),
        added=kinds.get("added", 0),
        changed=kinds.get("changed", 0),
        removed=kinds.get("removed", 0),
        unchanged=reasons.get("same", 0) + reasons.get("edited", 0),
        rejected=reasons.get("invalid", 0),
        held=0,
        to_send=used,
        removed_known=True,
        more={**_sources(con), **{name: _count(con, name).get(True, 0) for name in ("in_doubt", "has_arrived")}},
    )
    return replace(columns, operations=frozenset(used)), plan


def _sources(con: Connection) -> dict[str, int]:
    """Where the values come from that are put back."""
    found = _count(con, "source", "operation is not null and sent is not null")
    return {f"from_{source}": rows for source, rows in found.items()}


def _columns(con: Connection, sync: Sync) -> Columns:
    """The columns of the synced rows as they are: what the last run sent is what can be put back."""
    if read_facts(con).outbox_sync is None:
        raise StateError(f"the state of sync {sync.sync} knows of no run; its file was moved away or is another one.")
    columns = outbox_columns(con)
    for name in ("version", "destination", "object", "primary_key", "external_id"):
        then, now = getattr(columns.sync, name), getattr(sync, name)
        if then != now:
            raise StateError(
                f"sync {sync.sync} wrote with `{name}: {then}`, and has `{now}` now. Change it back first."
            )
    ledger.prepare(con, columns)
    return columns


def _operations(columns: Columns, account: Account) -> dict[str, str]:
    """What undoes each thing that a run does to a record; if the destination can do none of the ways, the first."""
    able = _able(columns, account)
    return {status.value: next((o for o in ways if o in able), ways[0]).value for status, ways in _PUTS_BACK.items()}


def _restores(account: Account, operations: Mapping[str, str]) -> bool:
    """A record that was deleted goes out with its id, to be asked for by it."""
    return hasattr(account.type, "restore") and operations[Status.DELETED.value] == Operation.UPSERT.value


def _able(columns: Columns, account: Account) -> frozenset[Operation]:
    return Route(columns.sync, account.type).capabilities_for(columns.target).operations


def _refuse_what_cannot_be_done(con: Connection, columns: Columns, account: Account) -> None:
    needed = {Operation(o): rows for o, rows in _count(con, "operation").items() if o}
    missing = [f"{o.value} ({needed[o]:,} rows)" for o in sorted(needed.keys() - _able(columns, account))]
    if missing:
        raise StateError(
            f"putting this run back takes {' and '.join(missing)}, which `{account.name}` cannot do as it is set up."
            " Nothing was sent."
        )


def _names(columns: Columns, operations: dict[str, str]) -> dict[str, Any]:
    fields = list(image_fields(columns, "image", ours="source = 'synced'"))
    doubted = (f"{field.literal}: {field.value}" for field in image_fields(columns, "doubted"))
    external_id = dict(zip(columns.sync.mapping, fields, strict=True)).get(columns.sync.external_id)
    as_written = value_text.text(f"left_there.{external_id.name}", external_id.sql_type) if external_id else "null"
    as_deleted = external_id.text if external_id else "null"
    return {
        "outbox": _OUTBOX,
        "settled": ledger.settled("later"),
        "pack_synced": columns.pack("synced"),
        "pack_doubted": "{" + ", ".join(doubted) + "}",
        "unpacked": f"{unpacked(columns, 'image')}, {unpacked(columns, 'doubted')}",
        "json_left": columns.json("left_there"),
        "keys": columns.keys,
        "key_values": columns.key_values("unpacked.key"),
        "no_key": " or ".join(f"{key.name} is null" for key in columns.keys),
        "fields": fields,
        "mapped": ", ".join(field.literal for field in fields),
        "external_id": f"(case status when 'created' then {as_written} when 'deleted' then {as_deleted} end)",
        "operations": operations,
        "no_image_message": literal(_NO_IMAGE),
        "no_answer_message": literal(_NO_ANSWER),
        "shared_message": literal(_SHARED),
    }


def _count(con: Connection, column: str, where: str = "true") -> dict[Any, int]:
    query = f"select {column}, count(*) from {_OUTBOX} where {where} group by all"
    return dict(con.execute(query).fetchall())


def _number(con: Connection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
