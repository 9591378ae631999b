"""On random tables, run after run: a preview counts what the run then does, and names the rows that it sends."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.spec.modes import SyncMode
from reverse_etl_assets.warehouses.duckdb import quote
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.engine.strategies import Table, tables
from tests.heavy import heavy
from tests.warehouse import writing

UNGUARDED = {"allow_empty_model": True, "max_removed": {}, "row_count": {}}


RUNS = given(
    table=tables(),
    mode=st.sampled_from(sorted(SyncMode)),
    fields=st.lists(st.integers(1, 3), min_size=4),
    resend=st.booleans(),
)


@heavy
@settings(max_examples=2, deadline=None)
@RUNS
def test_a_run_does_what_the_preview_says(
    tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox, **drawn: Any
) -> None:
    preview_and_run(tmp_path_factory, running_sandbox, **drawn)


@heavy
@settings(max_examples=6, deadline=None)
@RUNS
def test_it_does_so_again_and_again(
    tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox, **drawn: Any
) -> None:
    preview_and_run(tmp_path_factory, running_sandbox, **drawn)


def preview_and_run(
    tmp_path_factory: pytest.TempPathFactory,
    running_sandbox: Sandbox,
    table: Table,
    mode: SyncMode,
    fields: list[int],
    resend: bool,
) -> None:
    """The mapping has one to three of the fields, and another choice in each run, which is a version of its own."""
    home = tmp_path_factory.mktemp("random")
    shop = Shop(home)
    running_sandbox.reset()
    keys = [f"key {n}" for n in range(len(table.keys))]
    names = [f"field {n}" for n in range(len(table.fields))]
    types = dict(zip([*keys, *names], [*table.keys, *table.fields], strict=True))
    account = sink(running_sandbox.url)
    try:
        cutover = "resend" if resend and mode not in (SyncMode.INSERT_ONLY, SyncMode.APPEND) else "restart"
        same: dict[str, Any] = {
            "primary_key": keys,
            "external_id": "id",
            "sync_mode": mode,
            "guards": UNGUARDED,
            "cutover": cutover,
        }
        for number, (rows, most) in enumerate(zip(table.versions, fields, strict=False), 1):
            write(shop, types, rows)
            sync = sink_sync(**same, mapping={name: name for name in names[:most]}, version=number)
            found = preview(sync, shop.environment, account)
            report = shop.run(sync, account)
            assert found.begun == report.begun
            assert found.plan.counts == {name: report.counts[name] for name in found.plan.counts}
            assert found.plan_id == report.plan_id
            sent = {(row.key, row.kind) for row in (*found.rows, *found.refused)}
            told = {(outcome.key, outcome.kind) for outcome in shop.outcomes(sync, report.run_id)}
            assert sent == told
    finally:
        shop.close()


def write(shop: Shop, types: dict[str, str], rows: tuple[tuple[object, ...], ...]) -> None:
    """Build the model's table anew."""
    columns = ", ".join(f"null::{kind} as {quote(name)}" for name, kind in types.items())
    shop.build(f"select {columns} where false")
    with writing(shop.file) as con:
        for row in rows:
            con.execute(f"insert into marts.people values ({', '.join('?' for _ in row)})", list(row))


def test_recently_modified_rows(shop: Shop, sandbox: Sandbox) -> None:
    """A run that compares only recent rows is previewed as such, and so is the full compare of the day after."""
    rows = "select 'e' || i as id, 'n' || i as name, timestamp '2024-01-01' + to_days(i::int) as at from range(10) r(i)"
    sync = sink_sync(change_detection={"last_modified_at": "at"}, mapping={"id": "id", "name": "name", "at": "at"})
    account = sink(sandbox.url)
    shop.build(rows)
    shop.run(sync, account)
    shop.build(f"select * replace (name || case when id in ('e1', 'e9') then '!' else '' end as name) from ({rows})")
    found = preview(sync, shop.environment, account)
    assert [row.key for row in found.rows] == ["e9"]
    assert not found.plan.removed_known
    assert shop.run(sync, account).counts["changed"] == 1
    assert preview(sync, shop.environment, account, key="e1").rows == []
    later = shop.environment.clock() + 90_000
    shop._clock = lambda: later
    assert [row.key for row in preview(sync, shop.environment, account).rows] == ["e1"]
    assert shop.run(sync, account).counts["changed"] == 1


@heavy
def test_a_column_of_another_type_is_compared_in_every_row(shop: Shop, sandbox: Sandbox) -> None:
    """Also where only recent rows would be compared otherwise."""
    rows = "select 'e' || i as id, i::{} as name, timestamp '2024-01-01' + to_days(i::int) as at from range(10) r(i)"
    sync = sink_sync(change_detection={"last_modified_at": "at"}, mapping={"id": "id", "name": "name", "at": "at"})
    account = sink(sandbox.url)
    shop.build(rows.format("int"))
    shop.run(sync, account)
    shop.build(rows.format("varchar"))
    found = preview(sync, shop.environment, account)
    report = shop.run(sync, account)
    assert (found.plan_id, found.plan.counts) == (report.plan_id, {n: report.counts[n] for n in found.plan.counts})
    assert report.counts["changed"] == 10


@pytest.mark.parametrize("key", ["B|1", "b|1"])
def test_one_key(shop: Shop, sandbox: Sandbox, key: str) -> None:
    shop.build("select * from (values ('A', 1, 'x'), ('B', 1, 'y'), ('b', 2, 'z')) v(id, number, name)")
    sync = sink_sync(primary_key=["id", "number"], external_id="id", mapping={"name": "name"})
    found = preview(sync, shop.environment, sink(sandbox.url), key=key)
    assert [(row.key, row.kind) for row in found.rows] == [("B|1", "added")]
    assert found.plan.model_rows == 1
