"""A sync's own memory: the synced rows, the outbox of the current run, and every row's outcomes.

All functions take a connection on which the sync's state is attached as `state`.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from reverse_etl_assets.errors import ChangeSetLost, StateError
from reverse_etl_assets.journal.records import SentBatch
from reverse_etl_assets.reasons import IN_DOUBT, SETTLED
from reverse_etl_assets.records import AMBIGUOUS_KEY, Capabilities, FieldType, Reason, Status
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render, words
from reverse_etl_assets.state import held_rows, quarantine, shared_records
from reverse_etl_assets.state.answers import as_timestamp, load_answers
from reverse_etl_assets.state.facts import Facts, changing_facts, read_facts
from reverse_etl_assets.warehouses import migrations
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import literal, transaction

_FIXED = {"_retl_key": "varchar", "_retl_id": "varchar", "_retl_run": "varchar", "_retl_untold": "varchar[]"}


def settled(relation: str) -> str:
    """SQL that is true for an outcome after which destination and row agree."""
    done = f"{relation}.status in ('{Status.CREATED}', '{Status.UPDATED}', '{Status.DELETED}')"
    there = f"{relation}.reason in ({words(SETTLED)})"
    return f"coalesce({done} or {there}, false)"


def prepare(con: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Create the state's tables, or fit them to the mapping. Raises StateError if they belong to another sync."""
    claim(con, columns.sync)
    fit(con, columns)


def fit(con: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Make the synced rows, or give them the fields of the mapping."""
    keys = [f"{key.name} {key.sql_type}" for key in columns.keys]
    fixed = [*(f"{name} {sql_type}" for name, sql_type in _FIXED.items()), *keys]
    con.execute(f"create table if not exists state.synced ({', '.join(fixed)})")
    present = columns_of_table(con, "state.synced")
    if not fits(columns, present):
        shown = ", ".join(fitted(columns, present))
        con.execute(f"create or replace table state.synced as select {shown} from state.synced")
        with changing_facts(con) as facts:
            facts.full_compared_at = None  # rows that were not modified differ, too


def fits(columns: Columns, present: Mapping[str, str]) -> bool:
    """Whether synced rows of these columns have just the fields of the mapping, and their types."""
    fixed = len(_FIXED) + len(columns.keys)
    return list(present.items())[fixed:] == [(unquoted(f.name), f.sql_type) for f in columns.fields]


def columns_of_table(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of synced rows, and their types."""
    return {row[0]: row[1] for row in con.execute(f"describe {table}").fetchall()}


def fitted(columns: Columns, present: Mapping[str, str], *, nothing_told: bool = False) -> list[str]:
    """What to select from synced rows of the columns `present` so that they fit the mapping of now.

    Fields that the destination was not told as the mapping has them now, because they are new or their value is another
    in its new type, are named in `_retl_untold`: they have to be sent whatever their values. All are if `nothing_told`.
    """
    stored = {name.lower(): sql_type for name, sql_type in present.items()}
    untold, fields = [], []
    for field in columns.fields:
        before = stored.get(unquoted(field.name).lower())
        value = field.name
        if before != field.sql_type:
            value = f"try_cast({field.name} as {field.sql_type})"
            if before and field_type(before) is field_type(field.sql_type) is not FieldType.JSON:
                untold.append(
                    f"case when try_cast({value} as {before}) is distinct from {field.name} then {field.literal} end"
                )
            else:
                value = f"null::{field.sql_type}"
                untold.append(field.literal)
        if nothing_told:
            untold.append(field.literal)
        fields.append(f"{value} as {field.name}")
    keys = [f"{spelt} as {key.name}" for key, spelt in columns.respelled_keys]
    return ["_retl_key", "_retl_id", "_retl_run", _untold(columns, untold), *keys, *fields]


def _untold(columns: Columns, more: Sequence[str]) -> str:
    """The fields that a row's record was not told: those of before that are still mapped, and more. NULL if none."""
    now = " ".join(f"when {literal(unquoted(f.name).lower())} then {f.literal}" for f in columns.fields)  # or its case
    before = f"list_transform(coalesce(_retl_untold, []), lambda name: case lower(name) {now} end)"
    fields = f"list_distinct(list_concat({before}, [{', '.join(more)}]::varchar[]))"  # which leaves NULLs out
    return f"case when len({fields}) > 0 then {fields} end as _retl_untold"


def unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')


def claim(con: duckdb.DuckDBPyConnection, sync: Sync) -> Facts:
    """Create the state's tables, or make sure that they are this sync's. Raises StateError if they are not.

    Returns what the state knows of itself.
    """
    con.execute(render("state"))
    if lacks := migrations.missing(con):
        raise StateError(
            f"the state of sync {sync.sync} is damaged: it lacks {', '.join(lacks)}. Put a copy of it back, or move it"
            " away: the next run then says how the sync can go on without it."
        )
    with changing_facts(con) as facts:
        if facts.sync not in (None, sync.sync):
            raise StateError(
                f"the state of sync {sync.sync} belongs to another one, {facts.sync}: a file was renamed or copied. Put"
                " its own back; to start afresh, move the file away: the next run says how it can go on."
            )
        facts.format, facts.sync = facts.format or str(migrations.FORM), sync.sync
    return facts


def fold(
    con: duckdb.DuckDBPyConnection,
    columns: Columns,
    run_id: str,
    batches: Iterable[SentBatch],
    *,
    now: float,
    stopped: str,
    capabilities: Capabilities,
    unsent: Reason = Reason.STOPPED,
    heirs: Set[str] | None = None,
    retention_days: int = 90,
) -> None:
    """Fold a run's answers into the state in one transaction; folding a run again changes nothing.

    `stopped` and `unsent` say why rows that were never sent were not. Ambiguous rows that must not be sent twice, by
    what was noted as they were sent, are kept back from later runs until a person says what became of them.
    Raises ChangeSetLost, and changes nothing, if the outbox is another run's.
    """
    facts = read_facts(con)
    if facts.folded_run == run_id and facts.outbox_run in (run_id, None):
        return
    refuse_taken_over(facts, run_id)
    disagreed = load_answers(con, batches)
    shared_records.answer(con, as_timestamp(now), met=heirs is not None)
    names = {"run_id": run_id, "now": as_timestamp(now)}
    with transaction(con):
        fields_json = f"case when outbox.after is not null then {columns.json('outbox.after')} end"
        bound = {**names, "stopped": stopped, "unsent": unsent.value}
        con.execute(render("fold_outcomes", fields_json=fields_json), bound)
        _fold_values(con, columns, names)
        _fold_conflicts(con, names, disagreed=disagreed)
        _remember_unsettled(con, run_id, trial=facts.outbox_trial)
        held_rows.remember(con, columns, run_id, capabilities.once | capabilities.once_if_new)
        shared_records.send_heirs_again(con, columns, run_id, heirs or frozenset())
        shared_records.begin_anew(con)
        if not columns.sync.mode.of_events:
            shared_records.note(con, columns, settled=settled("answers") if facts.shared_noted else None)
        if facts.outbox_of_model:
            quarantine.remember(con, columns, run_id, settled=settled("answers"), trial=facts.outbox_trial)
        _forget_old(con, names, retention_days)
        with changing_facts(con) as facts:
            _note_fold(con, run_id, facts)


def begin_to_send(con: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """Has to be said before a run's first request, and after the journal knows the run. Raises ChangeSetLost."""
    refuse_taken_over(read_facts(con), run_id)
    with changing_facts(con) as facts:
        facts.began_to_send = run_id


def refuse_taken_over(facts: Facts, run_id: str) -> None:
    """Raises ChangeSetLost if the outbox does not belong to the run."""
    if (other := facts.outbox_run) != run_id:
        by = f"run {other}" if other else "another run"
        raise ChangeSetLost(
            f"the change set of run {run_id} was taken over by {by}, which ran at the same time: its lock file was"
            " removed, or the disk's locks are not real. What the destination has said since then stays in the journal,"
            " and cannot be told from rows any more. Run each sync in one place at a time."
        )


def _fold_values(con: duckdb.DuckDBPyConnection, columns: Columns, names: Mapping[str, Any]) -> None:
    """What the destination acknowledged, and what it held before."""
    run = {"run_id": names["run_id"]}
    same_key = " and ".join(f"synced.{key.name} = outbox.{key.name}" for key in columns.keys)
    con.execute(
        "delete from state.synced as synced using state.outbox as outbox, answers"
        f" where answers.number = outbox.rowid and {settled('answers')} and {same_key}"
    )
    insert = render("fold_synced", keys=columns.keys, fields=columns.fields, settled=settled("answers"))
    con.execute(insert, run)
    before = f"case when outbox.before is not null then {columns.json('outbox.before')} end"
    con.execute(render("fold_images", before_json=before), run)


def _fold_conflicts(con: duckdb.DuckDBPyConnection, names: Mapping[str, Any], *, disagreed: bool) -> None:
    """Who won where somebody else had written."""
    if con.execute("select 1 from state.kept limit 1").fetchone():
        con.execute(render("fold_written_over", settled=settled("answers")))
    if disagreed:
        con.execute(render("fold_conflicts"), names)
        con.execute(render("fold_kept", settled=settled("answers")), names)


def _forget_old(con: duckdb.DuckDBPyConnection, names: Mapping[str, Any], days: int) -> None:
    """Outcomes and before-images of runs long ago, seen from the run before: a clock that is ahead once takes none."""
    latest = "least($now::timestamp, (select max(answered_at) from state.outcomes where run_id <> $run_id))"
    con.execute(
        f"delete from state.outcomes where run_id <> $run_id and answered_at < {latest} - interval {days:d} day", names
    )
    con.execute("delete from state.images where run_id not in (select run_id from state.outcomes)")


def _note_fold(con: duckdb.DuckDBPyConnection, run_id: str, facts: Facts) -> None:
    """What holds once the run is folded. Its sync's definition counts as sent once a write was acknowledged or is in
    doubt: before that the file may change as if nothing had been."""
    facts.folded_run, facts.shared_noted = run_id, True
    facts.newest = facts.outbox_newest or facts.newest
    if facts.outbox_full is not None:
        facts.full_compared_at, facts.full_compared_as = facts.outbox_full, facts.outbox_sync
    if facts.outbox_definition is None:
        return
    facts.begun_told = True
    if _may_have_written(con, run_id):  # later files are compared with what was sent
        latest = "version = (select max(version) from state.versions)"
        definition = {"definition": facts.outbox_definition}
        con.execute(f"update state.versions set definition = $definition where {latest}", definition)
        facts.sent_run = run_id


def _may_have_written(con: duckdb.DuckDBPyConnection, run_id: str) -> bool:
    wrote = ", ".join(f"'{status}'" for status in (Status.CREATED, Status.UPDATED, Status.DELETED))
    there = f"status in ({wrote}) or reason in ({words(IN_DOUBT)})"
    query = f"select 1 from state.outcomes where run_id = $run_id and ({there}) limit 1"
    return con.execute(query, {"run_id": run_id}).fetchone() is not None


def _remember_unsettled(con: duckdb.DuckDBPyConnection, run_id: str, *, trial: bool) -> None:
    """Of a trial, what is known of other rows stays known."""
    mine = "from state.outcomes as o where run_id = $run_id"
    con.execute("delete from state.pending" + (" where key in (select key from state.outbox)" if trial else ""))
    con.execute(
        f"insert into state.pending select key {mine} and key is not null and not {settled('o')}"
        " and reason is distinct from $superseded",
        {"run_id": run_id, "superseded": Reason.SUPERSEDED.value},
    )


def mark_stale(con: duckdb.DuckDBPyConnection, fields: Mapping[str, Sequence[str]], gone: Sequence[str]) -> None:
    """Make the next run send these fields by key, and rows whose records are gone as if they were new."""
    con.register("untold", pa.table({"key": list(fields), "names": pa.array(fields.values(), pa.list_(pa.string()))}))
    con.register("gone", pa.table({"key": pa.array(gone, pa.string())}))
    with transaction(con):
        con.execute(
            "update state.synced set _retl_untold = list_distinct(list_concat(coalesce(_retl_untold, []), names))"
            " from untold where key = _retl_key"
        )
        con.execute("delete from state.synced where _retl_key in (select key from gone)")
        # A timestamp must not hide them.
        con.execute("insert into state.pending select key from untold union all select key from gone")


def kept_bases(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
    """Our last write of each field that the destination won, by key and field; None where we never wrote it."""
    decode = msgspec.json.Decoder(Any, float_hook=Decimal).decode
    found: dict[str, dict[str, Any]] = {}
    for key, name, base in con.execute("select key, field, base from state.kept").fetchall():
        found.setdefault(key, {})[name] = decode(base)
    return found


def counts(
    con: duckdb.DuckDBPyConnection, run_id: str, several_records: frozenset[str] = frozenset()
) -> dict[str, int]:
    """How many rows of a run ended how: by status, and failed and skipped also by reason.

    `failed_deletions` are among the failed. `possible_duplicates` are rows whose key several records carry, as we found
    or as one of these codes says.
    """
    rows = con.execute(
        "select status, reason, count(*) from state.outcomes where run_id = $run_id group by all", {"run_id": run_id}
    ).fetchall()
    found = {status.value: 0 for status in Status}
    for status, reason, number in rows:
        found[status] += number
        if reason:
            found[f"{status}_{reason}"] = found.get(f"{status}_{reason}", 0) + number
    failed = "select count(*) from state.outcomes where run_id = $run_id and (status, operation) = ('failed', 'delete')"
    ((found["failed_deletions"],),) = con.execute(failed, {"run_id": run_id}).fetchall()
    codes = [AMBIGUOUS_KEY, *several_records]
    duplicates = "select count(*) from state.outcomes where run_id = $run_id and list_contains($codes, code)"
    ((found["possible_duplicates"],),) = con.execute(duplicates, {"run_id": run_id, "codes": codes}).fetchall()
    return found


def written(sync: Sync) -> str:
    """A sync as text that can be read back."""
    return sync.model_dump_json(exclude_unset=True)
