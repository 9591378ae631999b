"""What a destination's last check found out, and whether one is due."""

from collections.abc import Mapping
from typing import Any

import duckdb

from reverse_etl_assets.state.facts import Learned, changing_facts, read_facts
from reverse_etl_assets.warehouses.columns import Columns

_HOLDS = 86_400.0  # seconds


def last_check(
    con: duckdb.DuckDBPyConnection, columns: Columns, options: Mapping[str, Any], now: float | None
) -> Learned | None:
    """What the destination's last check learned; None if one is due: the target changed, or it was a day ago or, by a
    clock that was wrong, is still to come. Without `now` its age does not matter."""
    facts = read_facts(con)
    if facts.checked != _fingerprint(columns, options) or facts.checked_at is None:
        return None
    return facts.learned if now is None or 0 <= now - facts.checked_at <= _HOLDS else None


def remember_check(
    con: duckdb.DuckDBPyConnection,
    columns: Columns,
    options: Mapping[str, Any],
    learned: Mapping[str, list[str]],
    now: float,
) -> None:
    with changing_facts(con) as facts:
        facts.checked, facts.checked_at = _fingerprint(columns, options), now
        facts.learned = dict(learned)


def forget_check(con: duckdb.DuckDBPyConnection) -> None:
    """Let the next run check before it sends; what was learned stays, for those who do not send."""
    with changing_facts(con) as facts:
        facts.checked = None


def _fingerprint(columns: Columns, options: Mapping[str, Any]) -> str:
    target = columns.target
    place = (columns.sync.destination, target.object, target.external_id)
    return repr((*place, sorted(target.fields.items()), sorted(target.operations), options))
