"""Reads the conflict log: where a field rule met a record that disagreed, what lost, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import duckdb
import msgspec

from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.state.outcomes import has_outcomes


@dataclass(frozen=True)
class ConflictEntry:
    """A field of a row: the sync's rule, our last write (`base`), both values, and who won."""

    run_id: str
    noted_at: datetime
    key: str
    field: str
    rule: str
    base: Any
    ours: Any
    theirs: Any
    winner: str
    why: str

    def masked(self, mask: Mask) -> "ConflictEntry":
        values = {name: mask.value(self.field, getattr(self, name)) for name in ("base", "ours", "theirs")}
        return replace(self, key=mask.key(self.key) or "", **values)


def conflict_log(
    con: duckdb.DuckDBPyConnection, *, limit: int = 50, run_id: str | None = None, key: str | None = None
) -> Sequence[ConflictEntry]:
    """Newest first; of one run, or of one key in any case, if asked for. Nothing for a sync that never ran."""
    if not has_outcomes(con):
        return []
    rows = con.execute(
        "select run_id, noted_at, key, field, rule, base, ours, theirs, winner, why from state.conflicts"
        " where ($run_id is null or run_id = $run_id) and ($key is null or lower(key) = lower($key))"
        " order by noted_at desc, key, field limit $limit",
        {"run_id": run_id, "key": key, "limit": limit},
    ).fetchall()
    return [ConflictEntry(*row[:5], *map(_value, row[5:8]), *row[8:]) for row in rows]


def conflict_count(con: duckdb.DuckDBPyConnection, run_id: str) -> int:
    """How many a run met."""
    row = con.execute("select count(*) from state.conflicts where run_id = $run_id", {"run_id": run_id}).fetchone()
    return int(row[0]) if row else 0


def _value(text: str) -> Any:
    return msgspec.json.decode(text)
