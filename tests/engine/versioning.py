"""A sync whose file changes: what it had sent, and how it is refused."""

from typing import Any

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync

TEN = "select i::varchar as id, 'n' || i as name, 'o' || i as other, i::integer as number from range(10) r(i)"
EIGHT = f"{TEN} limit 8"


def people(**changes: Any) -> Sync:
    loose = {"guards": {"max_removed": {}, "row_count": {}}, "sync_mode": "mirror"}
    return sink_sync(**{**loose, **changes})


def names(sandbox: Sandbox, table: str = "people") -> dict[str, Any]:
    return {entry.id: entry.values.get("name") for entry in sandbox.rest.tables[table].live()}


def whole_state(shop: Shop) -> list[Any]:
    """Rows of every table of the state that a version owns."""
    tables = sorted(name for (name,) in shop.state(people(), "select table_name from duckdb_tables()"))
    owned = [table for table in tables if table.startswith(("synced", "held", "kept", "versions"))]
    return [(table, shop.state(people(), f"select * from state.{table} order by all")) for table in owned]


def refused(shop: Shop, sandbox: Sandbox, sync: Sync) -> str:
    """The words with which a run and a preview refuse; nothing is asked of the destination, and nothing changes."""
    calls, before = len(sandbox.log.lines()), whole_state(shop)
    with pytest.raises(StateError) as said:
        preview(sync, shop.environment, sink(sandbox.url))
    with pytest.raises(StateError) as again:
        shop.run(sync, sink(sandbox.url))
    assert str(said.value) == str(again.value)
    assert len(sandbox.log.lines()) == calls
    assert whole_state(shop) == before
    return str(said.value)
