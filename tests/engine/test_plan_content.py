"""What is part of a plan's id: whatever goes out of a row, each part alone."""

import pytest

from reverse_etl_assets.guards.approval import identify
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.state.outbox import outbox_columns
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first_rows

NO_VALUES, VALUES = "{{'id': null, 'name': null}}::{}", "{{'id': null, 'name': 'n'}}::{}"


@pytest.mark.parametrize(
    ("part", "one", "other"),
    first_rows(
        [
            ("key", "'k8'", "'k9'"),
            ("external_id", "'k0'", "'K0'"),
            ("destination_id", "null", "'r9'"),
            ("kind", "'changed'", "'unchanged'"),
            ("operation", "'update'", "'upsert'"),
            ("sent_fields", "null", "['id']"),
            ("sent", "null", "'{{}}'"),
            ("before", NO_VALUES, VALUES),
            ("before", NO_VALUES, "null"),
            ("after", NO_VALUES, VALUES),
            ("after", NO_VALUES, "null"),
        ],
        keep=4,
    ),
)
def test_two_plans_that_differ_in_one_part_are_two(
    shop: Shop, sandbox: Sandbox, part: str, one: str, other: str
) -> None:
    sync, account = sink_sync(), sink(sandbox.url)
    shop.build("select 'k0' as id, 'n' as name")
    shop.run(sync, account)
    plan = preview(sync, shop.environment, account).plan
    with shop.warehouse.open(sync.sync) as con:
        con.execute("create temp table mine as from state.outbox")
        [(kind,)] = con.execute("select typeof(after) from mine").fetchall()
        found = []
        for value in (one, other):
            con.execute(f"update mine set {part} = {value.format(kind)}")
            found.append(identify(con, outbox_columns(con), account, plan, "mine").plan_id)
    assert found[0] != found[1]
