"""What a plan does to each field: counted over real tables, and judged before a request goes out."""

from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.plan.field_changes import FieldChange
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first_rows, heavy


def planned(shop: Shop, sandbox: Sandbox, sync: Sync) -> dict[str, FieldChange]:
    found = preview(sync, shop.environment, sink(sandbox.url)).plan.field_changes
    return {change.field: change for change in found}


def test_an_empty_text_is_no_value(shop: Shop, sandbox: Sandbox) -> None:
    before = "('kept', 'a'), ('nulled', 'a'), ('blanked', 'a'), ('was null', null), ('was blank', ''), ('other', 'a')"
    after = "('kept', 'a'), ('nulled', null), ('blanked', ''), ('was null', ''), ('was blank', null), ('other', 'b')"
    shop.build(f"from (values {before}) v(id, name)")
    shop.run(sink_sync(), sink(sandbox.url))
    shop.build(f"from (values {after}) v(id, name)")
    assert planned(shop, sandbox, sink_sync()) == {"name": FieldChange("name", changed=5, emptied=2, filled=4)}


@pytest.mark.parametrize(
    ("sql_type", "value", "other"),
    first_rows(
        [
            ("integer", "0", "1"),
            ("boolean", "false", "true"),
            ("date", "'2024-02-29'", "'2024-03-01'"),
            ("uuid", "'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'"),
            ("enum('a', 'b')", "'a'", "'b'"),
            ("decimal(12, 2)", "0.00", "1.00"),
            ("struct(a integer)", "{'a': null}", "{'a': 1}"),
            ("integer[]", "[]", "[1]"),
        ],
        2,
    ),
)
def test_every_type_of_value_can_be_lost(shop: Shop, sandbox: Sandbox, sql_type: str, value: str, other: str) -> None:
    shop.sql(f"create type its_type as {sql_type}")
    rows = "select i::varchar as id, ({}) as name from range(6) r(i)"
    shop.build(rows.format(f"case when i < 5 then {value}::its_type end"))
    shop.run(sink_sync(), sink(sandbox.url))
    shop.build(rows.format(f"case when i < 2 then null when i = 2 then {other}::its_type else {value}::its_type end"))
    assert planned(shop, sandbox, sink_sync()) == {"name": FieldChange("name", changed=4, emptied=2, filled=5)}


@heavy
def test_only_rows_that_change_a_record_count(shop: Shop, sandbox: Sandbox) -> None:
    """Not those that are added, removed or refused; and synced rows are counted where a value is lost, only there."""
    mapping = {"id": "id", 'its "name"': "name", "it's": "other"}
    adds = sink_sync(sync="adds", mapping=mapping, sync_mode="insert_only")
    shop.build("select i::varchar as id, 'n' as name, 'o' as other from range(20) r(i)")
    shop.run(sink_sync(mapping=mapping), sink(sandbox.url))
    shop.run(adds, sink(sandbox.url))
    shop.build(
        "select i::varchar as id, case when i > 10 then 'n' end as name, 'p' as other from range(8, 25) r(i)"
        " union all select '12', null, null"
    )
    changes = planned(shop, sandbox, sink_sync(mapping=mapping))
    assert changes == {
        'its "name"': FieldChange('its "name"', changed=3, emptied=3, filled=20),
        "it's": FieldChange("it's", changed=11),
    }
    assert planned(shop, sandbox, adds) == {}


@heavy
def test_a_field_that_keeps_its_value_is_emptied_by_an_empty_text_only(shop: Shop, sandbox: Sandbox) -> None:
    sync = sink_sync(mapping={"id": "id", "name": {"column": "name", "null": "keep"}, "other": "other"})
    shop.build("select i::varchar as id, 'n' as name, 'o' as other from range(20) r(i)")
    shop.run(sync, sink(sandbox.url))
    shop.build(
        "select i::varchar as id, case when i < 5 then '' when i > 9 then 'n' end as name, null::varchar as other"
        " from range(20) r(i)"
    )
    changes = planned(shop, sandbox, sync)
    assert changes["name"].emptied == 5
    assert changes["other"].emptied == 20


@heavy
def test_a_broken_join_that_empties_a_field_sends_nothing(shop: Shop, sandbox: Sandbox) -> None:
    account = sink(sandbox.url)
    shop.build("select i::varchar as id, 'n' || i as name from range(1000) r(i)")
    shop.run(sink_sync(), account)
    calls = len(sandbox.log.lines())
    shop.sql("update marts.people set name = null where id::int < 201")
    report = shop.run(sink_sync(), account)
    assert report.status is RunStatus.GUARDED
    assert "name loses its value in 201 rows: 20.10 % of 1000 synced rows that have a value" in str(report.detail)
    assert len(sandbox.log.lines()) == calls
    shop.sql("update marts.people set name = 'n' where id = '0'")
    assert shop.run(sink_sync(), account).counts["updated"] == 201


@heavy
def test_one_field_may_be_guarded_closer_than_the_others(shop: Shop, sandbox: Sandbox) -> None:
    fields: dict[str, Any] = {"iban": {"max_changed": {"rows": 2}}}
    sync = sink_sync(mapping={"id": "id", "name": "name", "iban": "iban"}, guards={"fields": fields})
    shop.build("select i::varchar as id, 'n' as name, 'b' || i as iban from range(100) r(i)")
    shop.run(sync, sink(sandbox.url))
    shop.sql("update marts.people set name = 'm'", "update marts.people set iban = 'x' where id::int < 3")
    report = shop.run(sync, sink(sandbox.url))
    assert report.detail == "field_changes: iban changes in 3 rows; the limit is 2 rows"
