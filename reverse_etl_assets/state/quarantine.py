"""Quarantine: a row that the destination refuses again and again with the same values leaves the loop.

Refusals are counted when a run is folded; those that follow each other within `apart` count once. A row that settled,
left the model or changed is forgotten there, so what is left is what still stands in the model as it was refused.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.sql import render
from reverse_etl_assets.warehouses.columns import Columns, meant
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse, literal

_REFUSED = f"answers.status = '{Status.FAILED}' and answers.reason = '{Reason.REJECTED}'"


def keep_back(con: duckdb.DuckDBPyConnection, columns: Columns, outbox: str) -> dict[str, int]:
    """Take the operation from rows that were refused too often with the values that they have now.

    Returns how many those are, by kind.
    """
    sync = columns.sync
    if sync.quarantine.after is None or not _any(con):
        return {}
    more = "".join(f"; {part}" for part in (_owned(sync), sync.quarantine.hint) if part)
    query = render("quarantine", outbox=outbox, digest=_digest(columns))
    con.execute(query, {"after": sync.quarantine.after, "more": more})
    held = f"select kind, count(*) from {outbox} where reason = '{Reason.QUARANTINED}' group by kind"
    return dict(con.execute(held).fetchall())


def _owned(sync: Sync) -> str:
    return f"owner {', '.join(sync.owners)}" if sync.owners else ""


def remember(con: duckdb.DuckDBPyConnection, columns: Columns, run_id: str, *, settled: str, trial: bool) -> None:
    """Count a run's refusals, and forget those of rows that settled, left the model or changed; of a `trial` nothing is
    known of other rows.

    `settled` is SQL that is true for an answer after which destination and row agree.
    """
    if not _any(con) and not con.execute(f"select 1 from answers where {_REFUSED} limit 1").fetchall():
        return
    names = {"outbox": "state.outbox", "digest": _digest(columns), "refused": _REFUSED, "settled": settled}
    con.execute(render("refused_rows", **names))
    con.execute(
        "delete from state.refusals as r where not exists"
        " (select 1 from refused_rows as now where now.key = r.key and now.digest = r.digest and not now.settled)"
        + (" and r.key in (select key from state.outbox)" if trial else "")
    )
    con.execute(
        "update state.refusals as r set times = r.times + 1, counted_at = now.answered_at"
        " from refused_rows as now where now.again and now.key = r.key"
        # whichever is later: rows are counted also after a clock that was ahead
        " and abs(epoch(now.answered_at) - epoch(coalesce(r.counted_at, r.last_at))) >= $apart",
        {"apart": columns.sync.quarantine.apart.total_seconds()},
    )
    con.execute(
        "update state.refusals as r set last_at = now.answered_at, run_id = $run_id,"
        " code = now.code, message = now.message, field = now.field, freed = false"
        " from refused_rows as now where now.again and now.key = r.key",
        {"run_id": run_id},
    )
    con.execute(
        "insert into state.refusals"
        " select key, digest, 1, answered_at, answered_at, $run_id, code, message, field, false, answered_at"
        " from refused_rows where again and key not in (select key from state.refusals)",
        {"run_id": run_id},
    )


def _digest(columns: Columns) -> str:
    """SQL for the digest of what would go out of a row, of the mapping that makes it, and of where it goes."""
    sync = columns.sync
    mapping = {name: source.model_dump(mode="json") for name, source in sync.mapping.items()}
    place = (sync.destination, sync.object, sync.external_id, sync.sync_mode, sync.version, sync.options)
    made = msgspec.json.encode([mapping, place], order="sorted").decode()
    values = f"case when outbox.after is not null then {columns.json('outbox.after')}::varchar end"
    return f"md5(to_json([{literal(made)}, coalesce(outbox.sent, {values}), outbox.sent_fields::varchar])::varchar)"


@dataclass(frozen=True)
class QuarantinedRow:
    """A row in quarantine: how often it was refused, since when and why, and who should look at it. Times are UTC.

    `link` leads to the object at the destination, where there is such a page.
    """

    sync: str
    key: str
    times: int
    first_at: datetime
    last_at: datetime
    run_id: str
    code: str | None
    message: str | None
    field: str | None
    owners: tuple[str, ...] = ()
    hint: str = ""
    link: str | None = None

    def masked(self, mask: Mask) -> "QuarantinedRow":
        """As it may be shown. What the destination said was kept without the row's personal data."""
        message = mask.text(self.message or "", {}, self.key) or self.message
        return replace(self, key=str(mask.key(self.key)), message=message)


def quarantined(
    con: duckdb.DuckDBPyConnection, sync: Sync, *, link: str | None = None, limit: int | None = None
) -> Iterator[QuarantinedRow]:
    """The rows that the next run will not send as they are, those that were refused most often first."""
    columns = "key, times, first_at, last_at, run_id, code, message, field"
    most = "" if limit is None else f"limit {limit:d}"
    for row in _held(con, sync, f"select {columns}", f"order by times desc, first_at, key {most}"):
        yield QuarantinedRow(*(sync.sync, *row, sync.owners, sync.quarantine.hint, link))


def count(con: duckdb.DuckDBPyConnection, sync: Sync) -> int:
    """How many rows of the sync are in quarantine."""
    return next((int(rows) for (rows,) in _held(con, sync, "select count(*)")), 0)


def look(
    warehouse: DuckDBWarehouse, syncs: Iterable[tuple[Sync, str | None]], limit: int | None = None
) -> tuple[dict[str, int], list[QuarantinedRow]]:
    """How many rows each sync has in quarantine, and the worst of all of them; each sync comes with its link."""
    counts: dict[str, int] = {}
    rows: list[QuarantinedRow] = []
    for sync, link in syncs:
        with warehouse.open(sync.sync) as con:
            counts[sync.sync] = count(con, sync)
            rows += quarantined(con, sync, link=link, limit=limit)
    rows.sort(key=lambda row: (-row.times, row.first_at, row.sync, row.key))
    return counts, rows if limit is None else rows[:limit]


def _held(con: duckdb.DuckDBPyConnection, sync: Sync, select: str, order: str = "") -> list[tuple[Any, ...]]:
    if sync.quarantine.after is None:
        return []
    query = f"{select} from state.refusals where times >= $after and not freed {order}"
    try:
        return con.execute(query, {"after": sync.quarantine.after}).fetchall()
    except duckdb.CatalogException:  # the sync never ran
        return []


def retry(con: duckdb.DuckDBPyConnection, sync: Sync, key: str | None = None) -> int:
    """Let the row with this key, or all rows of the sync be sent once more. Returns how many were held.

    The count goes on: a row that is refused again with the same values is back in quarantine. Raises StateError as
    `columns.meant` does.
    """
    waiting = [waits for (waits,) in _held(con, sync, "select key")]
    if key is not None:
        one = meant(waiting, key, "rows in quarantine")
        waiting = [] if one is None else [one]
    if waiting:
        con.execute("update state.refusals set freed = true where key in (select unnest($keys))", {"keys": waiting})
    return len(waiting)


def _any(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute("select 1 from state.refusals limit 1").fetchone() is not None
