"""One text for a value everywhere: a key is written as the same column is as a field, and old states still meet."""

from typing import Any

import duckdb
import httpx
import pytest

from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.warehouses import value_text
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import a_crm
from tests.engine.shop import Shop, crm, sink, sink_sync
from tests.heavy import first, heavy

KEYS = {
    "1e16::double": "10000000000000000.0",
    "1.50::decimal(9,2)": "1.50",
    "timestamp '2026-01-01 12:00:00'": "2026-01-01T12:00:00.000000Z",
    "1e-7::double": "0.0000001",
    "-2.5e22::double": "-25000000000000000000000",
    "0.1::float": "0.1",
    "3::double": "3.0",
    "100::decimal(5,0)": "100",
    "1234567.10::decimal(38,2)": "1234567.10",
    "timestamp '2026-01-01 12:00:00.5'": "2026-01-01T12:00:00.500000Z",
    "timestamptz '2026-01-01 12:00:00+02'": "2026-01-01T10:00:00.000000Z",
    "timestamp_ns '2026-01-01 12:00:00.123456789'": "2026-01-01T12:00:00.123456789Z",
    "timestamp_s '2026-01-01 12:00:00'": "2026-01-01T12:00:00.000000Z",
    "date '2026-01-01'": "2026-01-01",
    "time '12:00:00.5'": "12:00:00.5",
    "true": "true",
    "uuid '00000000-0000-0000-0000-000000000001'": "00000000-0000-0000-0000-000000000001",
    "18446744073709551615::ubigint": "18446744073709551615",
    "'A b'": "A b",
    """'"A b"'::json""": "A b",
    "'17'::json": "17",
}
MIRROR = {"sync_mode": "mirror", "guards": {"max_removed": {}, "row_count": {}}}


@heavy
@pytest.mark.parametrize("value", first(KEYS, 3))
def test_a_key_is_written_as_its_field(shop: Shop, sandbox: Sandbox, value: str) -> None:
    """Made, changed and deleted at a sink that tells rows apart by the field."""
    shop.build(f"select {value} as id, 'first' as name")
    sync, to = sink_sync(**MIRROR), sink(sandbox.url)
    made = shop.run(sync, to)
    assert made.counts["created"] == 1
    assert [outcome.key for outcome in shop.outcomes(sync, made.run_id)] == [KEYS[value]]
    shop.sql("update marts.people set name = 'second'")
    assert shop.run(sync, to).counts["updated"] == 1
    (entry,) = sandbox.rest.tables["people"].live()
    assert entry.values["name"] == "second"
    shop.sql("delete from marts.people")
    gone = sink_sync(**MIRROR | {"guards": {"max_removed": {}, "row_count": {}, "allow_empty_model": True}})
    assert shop.run(gone, to).counts["deleted"] == 1
    assert sandbox.rest.tables["people"].live() == []


@pytest.mark.parametrize(
    ("value", "sql_type", "text"),
    [
        ("'1e16'", "JSON", "10000000000000000.0"),
        ("""'{"a": [1.0, "b"]}'""", "JSON", '{"a":[1.0,"b"]}'),
        ("[0.1]", "FLOAT[]", "[0.1]"),
        ("{'a': 100}", "STRUCT(a DECIMAL(5,0))", '{"a":100}'),
    ],
)
def test_the_text_of_what_is_json(value: str, sql_type: str, text: str) -> None:
    query = f"select {value_text.text(f'({value}::{sql_type})', sql_type)}"
    assert duckdb.execute(query).fetchall() == [(text,)]


@heavy
def test_a_composite_key_has_the_texts_of_its_parts(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 1e16::double as a, timestamp '2026-01-01' as b, 'n' as name")
    sync = sink_sync(primary_key=["a", "b"], external_id="id", mapping={"name": "name"})
    assert shop.run(sync, sink(sandbox.url)).counts["created"] == 1
    assert shop.state(sync, "select _retl_key from state.synced") == [
        ("10000000000000000.0|2026-01-01T00:00:00.000000Z",)
    ]


def hubspot_sync(**changes: Any) -> Sync:
    own = {"object": "2-1234567", "primary_key": "id", "external_id": "code", "verify": {"sample": 0}}
    spec: dict[str, Any] = {"destination": "crm", "options": {}, "mapping": {"code": "id", "label": "name"}}
    return sink_sync(**{**own, **spec, **changes})


@pytest.fixture
def codes(sandbox: Sandbox) -> Sandbox:
    """HubSpot contacts have a property of ours with unique values."""
    body = {"name": "code", "label": "Code", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
    made = httpx.post(
        f"{sandbox.url}/hubspot/crm/v3/properties/contacts",
        json={**body, "hasUniqueValue": True},
        headers={"Authorization": "Bearer pat-sandbox"},
    )
    assert made.is_success, made.text
    return sandbox


@heavy
@pytest.mark.parametrize(
    "value", first(["1e16::double", "timestamp '2026-01-01 12:00:00'", "100::decimal(5,0)", "0.1::float"])
)
def test_hubspot_finds_its_record_again(shop: Shop, codes: Sandbox, value: str) -> None:
    shop.build(f"select {value} as id, 'first' as name")
    sync = hubspot_sync(object="contacts", mapping={"code": "id", "firstname": "name"}, **MIRROR)
    assert shop.run(sync, crm(codes.url)).counts["created"] == 1
    shop.sql("update marts.people set name = 'second'")
    assert shop.run(sync, crm(codes.url)).counts["updated"] == 1
    (entry,) = codes.hubspot.tables["contacts"].live()
    assert entry.values["firstname"] == "second"


BLANK = ["''", "' '", "chr(9)", "chr(10)", "chr(160)", "chr(8203)", "chr(65279)", "chr(12288)", "chr(10240)", "null"]
BLANK += ["chr(65039)", "chr(917760)", "chr(6155)"]


@pytest.mark.parametrize("blank", first(BLANK))
def test_a_key_that_nobody_can_see_is_rejected(shop: Shop, sandbox: Sandbox, blank: str) -> None:
    shop.build(f"select {blank}::varchar as id, 'n' as name union all select 'a', 'n'")
    assert_rejected(shop, sandbox)


@heavy
@pytest.mark.parametrize("blank", first(["null", '" "', '""']))
def test_a_key_of_json_that_nobody_can_see_is_rejected(shop: Shop, sandbox: Sandbox, blank: str) -> None:
    shop.build(f"""select '{blank}'::json as id, 'n' as name union all select '"a"', 'n'""")
    assert_rejected(shop, sandbox)


def assert_rejected(shop: Shop, sandbox: Sandbox) -> None:
    report = shop.run(sink_sync(), sink(sandbox.url))
    (bad,) = [outcome for outcome in shop.outcomes(report.sync, report.run_id) if outcome.status == "failed"]
    assert (bad.reason, report.counts["created"]) == ("invalid", 1)
    assert "the primary key (id) is empty" in str(bad.message)


@heavy
@pytest.mark.parametrize("key", first(["'nan'::double", "'inf'::float", "timestamp 'infinity'", "date '12345-01-01'"]))
def test_a_key_that_json_has_no_word_for_is_rejected(shop: Shop, sandbox: Sandbox, key: str) -> None:
    shop.build(f"select {key} as id, 'n' as name")
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert (report.counts["failed_invalid"], report.counts["created"]) == (1, 0)


@heavy
@pytest.mark.parametrize(
    ("a", "b", "legal"), [("''", "''", False), ("chr(9)", "chr(8203)", False), ("''", "'b'", True)]
)
def test_a_key_of_several_texts_needs_one_that_is_not_empty(
    shop: Shop, sandbox: Sandbox, a: str, b: str, legal: bool
) -> None:
    shop.build(f"select {a} as a, {b} as b, 'n' as name")
    sync = sink_sync(primary_key=["a", "b"], external_id="id", mapping={"name": "name"})
    report = shop.run(sync, sink(sandbox.url))
    assert (report.counts["created"], report.counts.get("failed_invalid", 0)) == ((1, 0) if legal else (0, 1))


@heavy
def test_a_record_whose_key_is_rejected_now_is_left_alone(shop: Shop, sandbox: Sandbox) -> None:
    """An earlier release sent a tab as a key."""
    shop.build("select 'tab' as id, 'n' as name union all select 'a', 'n'")
    sync = sink_sync(**MIRROR)
    shop.run(sync, sink(sandbox.url))
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("update state.synced set _retl_key = chr(9), _retl_k0 = chr(9) where _retl_key = 'tab'")
    shop.sql("update marts.people set id = chr(9) where id = 'tab'")
    report = shop.run(sync, sink(sandbox.url))
    assert (report.counts["removed"], report.counts["failed_invalid"]) == (0, 1)
    shop.sql("delete from marts.people where id = chr(9)")
    assert shop.run(sync, sink(sandbox.url)).change_set == 0, "nobody knows whose it was"


# Salesforce


def test_salesforce_takes_blanks_around_a_key_for_none_of_it(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select * from (values ('A1', 'Ann'), ('A1 ', 'Bob'), (' a1', 'Cid'), ('B2 ', 'Dan')) as t(email, name)")
    vendor = a_crm("salesforce", sandbox)
    sync = vendor.sync(mapping={}, **{"primary_key": "email"})
    sync = sync.model_copy(update={"mapping": {k: v for k, v in sync.mapping.items() if k == "LastName"}})
    sync = sync.model_copy(update={"mapping": {**sync.mapping, "Company": sync.mapping["LastName"]}})
    report = shop.run(sync, vendor.account)
    assert (report.counts["failed_invalid"], report.counts["created"]) == (3, 1)
    shop.sql("update marts.people set name = 'Dora' where email = 'B2 '")
    assert shop.run(sync, vendor.account).counts["updated"] == 1
    assert vendor.values("LastName") == {"B2": "Dora"}
    shop.sql("update marts.people set email = 'B2' where email = 'B2 '")
    assert shop.run(sync, vendor.account).change_set == 3, "the same record"


# States of an earlier release


def made_old(shop: Shop, sync: Sync, old: str, *, folded: bool = False) -> None:
    """The state as an earlier release left it: keys are the plain text of the column."""
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("delete from state.facts where name in ('key_texts', 'outbox_fold_blanks')")
        for table, column in (("synced", "_retl_key"), ("outcomes", "key"), ("pending", "key"), ("held", "key")):
            con.execute(f"update state.{table} set {column} = $old", {"old": old})
        if folded:
            con.execute("update state.synced set _retl_k0 = $old", {"old": old})


OLD = {"1e16::double": "1e+16", "timestamp '2026-01-01 12:00:00'": "2026-01-01 12:00:00"}


@heavy
@pytest.mark.parametrize("value", first(OLD))
def test_synced_rows_of_an_old_state_meet_theirs(shop: Shop, sandbox: Sandbox, value: str) -> None:
    shop.build(f"select {value} as id, 'first' as name")
    sync, to = sink_sync(**MIRROR), sink(sandbox.url)
    first = shop.run(sync, to)
    made_old(shop, sync, OLD[value])
    assert shop.run(sync, to).change_set == 0
    shop.sql("update marts.people set name = 'second'")
    report = shop.run(sync, to)
    assert (report.counts["updated"], report.change_set) == (1, 1)
    assert len(sandbox.rest.tables["people"].live()) == 1
    assert first.counts["created"] == 1


def test_a_record_is_addressed_by_the_key_it_was_made_by(shop: Shop, sandbox: Sandbox) -> None:
    """Its address has the key's text in it, so a new spelling would make a second record."""
    shop.build("select timestamp '2026-01-01 12:00:00' as id, 'first' as name")
    options = {"path": "/people/{{ key }}", "method": "PUT", "batch_size": 1, "results": {"match": "status"}}
    sync = sink_sync(
        mapping={"name": "name"}, options={**options, "operations": {"delete": {"method": "DELETE"}}}, **MIRROR
    )
    shop.run(sync, sink(sandbox.url))
    table = sandbox.rest.tables["people"]
    (entry,) = table.live()
    sandbox.rest.remove(table, entry.id)
    sandbox.rest._put(table, "2026-01-01 12:00:00", {"name": "first"})  # as it would stand there
    made_old(shop, sync, "2026-01-01 12:00:00")
    shop.sql("update marts.people set name = 'second'")
    assert shop.run(sync, sink(sandbox.url)).counts["updated"] == 1
    assert {entry.id: entry.values["name"] for entry in table.live()} == {"2026-01-01 12:00:00": "second"}


@heavy
def test_a_held_row_of_an_old_state_stays_held(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select timestamp '2026-01-01 12:00:00' as id, 'first' as name")
    sync, to = sink_sync(sync_mode="append"), sink(sandbox.url)
    sandbox.fault("drop_after")
    shop.run(sync, to)
    sandbox.faults.clear()
    assert shop.state(sync, "select count(*) from state.held") == [(1,)]
    made_old(shop, sync, "2026-01-01 12:00:00")
    report = shop.run(sync, to)
    assert report.counts["skipped_held"] == 1
    assert report.counts["created"] == 0


@heavy
@pytest.mark.parametrize("value", first(OLD))
def test_hubspot_records_of_an_old_state_are_found(shop: Shop, codes: Sandbox, value: str) -> None:
    """Their property holds the field's spelling: an update by the key's old one was refused."""
    shop.build(f"select {value} as id, 'first' as name")
    sync = hubspot_sync(object="contacts", mapping={"code": "id", "firstname": "name"}, **MIRROR)
    shop.run(sync, crm(codes.url))
    made_old(shop, sync, OLD[value], folded=True)
    assert shop.run(sync, crm(codes.url)).change_set == 0
    shop.sql("update marts.people set name = 'second'")
    report: Report = shop.run(sync, crm(codes.url))
    assert (report.counts["updated"], report.change_set) == (1, 1)
    assert len(codes.hubspot.tables["contacts"].live()) == 1
