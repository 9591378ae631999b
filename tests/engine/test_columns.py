"""Keys as text, hostile names, and values that arrive exactly as the warehouse has them."""

import itertools
import json
import uuid
from decimal import Decimal
from typing import Any

import duckdb
import httpx
import msgspec
import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.records import Batch
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import first, heavy

PARTS = ["".join(each) for length in range(3) for each in itertools.product("a|\\", repeat=length)]


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def test_no_two_keys_share_a_text(con: duckdb.DuckDBPyConnection) -> None:
    """Of all keys of three texts of up to two signs, among them those that part a key and that escape."""
    names = ["a", "b", "c"]
    sync = sink_sync(primary_key=names, mapping={"name": "name"})
    columns = Columns.of(sync, dict.fromkeys([*names, "name"], "VARCHAR"), fold_case=False)
    parts = "(select unnest($parts) as {0})"
    every = ", ".join(parts.format(name) for name in names)
    found = con.execute(f"select count(*), count(distinct {columns.key_text()}) from {every}", {"parts": PARTS})
    assert found.fetchone() == (len(PARTS) ** 3, len(PARTS) ** 3)


HOSTILE = ['a"b', "select", "it's", "; drop table x --", "{{ key }}", "a b", "größe", "%s", "$1", "_x", "a.b", "\\"]


@pytest.mark.parametrize("mode", first(["incremental", "mirror", "append", "full_refresh"]))
def test_hostile_names(shop: Shop, sandbox: Sandbox, mode: str) -> None:
    """Every column, key, field and modification time has a name that has to be quoted."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in HOSTILE]
    columns = ", ".join(f"'{number}' as {name}" for number, name in enumerate(quoted))
    shop.build(f"""select 'k' as "k""ey", {columns}, timestamp '2026-01-01' as "mod""ified" """)
    mapping = {f"to {name}": name for name in HOSTILE} | {"id": 'k"ey'}
    how = {"last_modified_at": 'mod"ified'}
    sync = sink_sync(primary_key=['k"ey'], mapping=mapping, sync_mode=mode, change_detection=how)
    for _ in range(2):
        shop.run(sync, sink(sandbox.url))
    (entry,) = sandbox.rest.tables["people"].live()
    assert entry.values == {f"to {name}": str(number) for number, name in enumerate(HOSTILE)} | {"id": "k"}


def test_names_whose_case_differs_from_the_models(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("""select 'k' as "Id", 'n' as "NAME" """)
    shop.run(sink_sync(), sink(sandbox.url))
    assert [entry.values for entry in sandbox.rest.tables["people"].live()] == [{"id": "k", "name": "n"}]


class Raw(Webhook):
    """Keeps the text of what goes out."""

    bodies: tuple[bytes, ...] = ()

    def build_request(self, batch: Batch) -> httpx.Request:
        request = super().build_request(batch)
        type(self).bodies = (*self.bodies, request.content)
        return request


VALUES = {
    "'Zoë 日本 😀 ' || chr(1) || chr(9) || chr(10) || '\"\\'": 'Zoë 日本 😀 \x01\t\n"\\',
    "''": "",
    "null::varchar": None,
    "12345678901234567890123456789012345678::hugeint": Decimal("12345678901234567890123456789012345678"),
    "18446744073709551615::ubigint": Decimal("18446744073709551615"),
    "(-9223372036854775808)::bigint": Decimal("-9223372036854775808"),
    "1234567890123456789012345678901234.5678::decimal(38,4)": Decimal("1234567890123456789012345678901234.5678"),
    "-0.00000001::decimal(38,8)": Decimal("-0.00000001"),
    "1.10::decimal(5,2)": Decimal("1.10"),
    "0.1::double": Decimal("0.1"),
    "0.1::float": Decimal("0.1"),
    "16777216::float": Decimal("16777216.0"),
    "[0.1::float, 3e38::float]": [Decimal("0.1"), Decimal("3e38")],
    "{'FLOAT': 0.1::float, 'b': map {'FLOAT, ': [0.2::float]}}": {
        "FLOAT": Decimal("0.1"),
        "b": {"FLOAT, ": [Decimal("0.2")]},
    },
    "1e300::double": Decimal("1e300"),
    "true": True,
    "date '2024-02-29'": "2024-02-29",
    "time '23:59:59.5'": "23:59:59.5",
    "timestamp '2024-02-29 23:59:59.999999'": "2024-02-29T23:59:59.999999Z",
    "timestamptz '2024-03-31 03:30:00+02'": "2024-03-31T01:30:00.000000Z",
    "timestamp_s '1969-07-20 20:17:40'": "1969-07-20T20:17:40.000000Z",
    "uuid '00000000-0000-0000-0000-000000000001'": str(uuid.UUID(int=1)),
    "'x'::enum('x', 'y')": "x",
    "[1, null, 3]": [Decimal(1), None, Decimal(3)],
    "{'a': 1.5::decimal(38,2), 'b': ['é']}": {"a": Decimal("1.5"), "b": ["é"]},
    "map {'k': 1}": {"k": Decimal(1)},
    '\'{"x": [1, {"y": null}]}\'::json': {"x": [Decimal(1), {"y": None}]},
}


@heavy
def test_values_arrive_exactly(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k' as id, " + ", ".join(f"{value} as c{n}" for n, value in enumerate(VALUES)))
    mapping = {"id": "id"} | {f"f{n}": f"c{n}" for n in range(len(VALUES))}
    shop.run(sink_sync(mapping=mapping), Account("sink", Raw, sink(sandbox.url).connection))
    (record,) = exactly(Raw.bodies[-1])["records"]
    assert record.pop("id") == "k"
    assert record == {f"f{n}": value for n, value in enumerate(VALUES.values())}
    assert shop.run(sink_sync(mapping=mapping), sink(sandbox.url)).change_set == 0


def test_a_decimal_has_the_digits_of_its_type(shop: Shop, sandbox: Sandbox) -> None:
    """In JSON, too: what takes text must not get 100.0 for a whole number."""
    values = {"100": "100::decimal(5,0)", "1.50": "1.5::decimal(9,2)", "-0.10": "-0.1::decimal(30,2)"}
    shop.build("select 'k' as id, " + ", ".join(f"{value} as c{n}" for n, value in enumerate(values.values())))
    mapping = {"id": "id"} | {f"f{n}": f"c{n}" for n in range(len(values))}
    shop.run(sink_sync(mapping=mapping), Account("sink", Raw, sink(sandbox.url).connection))
    for number, text in enumerate(values):
        assert f'"f{number}":{text}' in Raw.bodies[-1].decode()


def exactly(body: bytes) -> Any:
    """JSON whose numbers lose nothing; `json` hands their text over as it stands."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


NOT_FINITE = {
    "in a struct": "{'a': {'b': 'inf'::float}}",
    "a time": "timestamp '-infinity'",
    "nan": "'nan'::double",
    "infinity": "'-inf'::double",
    "in a list": "['nan'::double]",
    "in json": "'{\"a\": NaN}'::json",
    "a date": "date 'infinity'",
}


@heavy
@pytest.mark.parametrize("case", first(NOT_FINITE, 2))
def test_values_that_json_cannot_carry_are_rejected_by_name(shop: Shop, sandbox: Sandbox, case: str) -> None:
    shop.build(f"select * from (values ('{case}', {NOT_FINITE[case]}), ('good', null)) as t(id, name)")
    report = shop.run(sink_sync(), sink(sandbox.url))
    (row,) = [o for o in shop.outcomes(report.sync, report.run_id) if o.status == "failed"]
    assert (row.key, row.reason) == (case, "invalid")
    assert '"name" is not a finite' in str(row.message)
    assert report.counts["created"] == 1


def test_a_text_that_looks_like_nan_is_none(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("""select 'k' as id, {'NaN': 'say \\"NaN\\" or Infinity', 'b': [1.5::double]} as name""")
    assert shop.run(sink_sync(), sink(sandbox.url)).counts["created"] == 1


def test_a_constant_is_sent_as_it_is_written(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k' as id")
    constants = {"text": "it's", "whole": 2**53 + 1, "real": 0.1, "no": False, "nothing": None}
    mapping = {"id": "id", **{name: {"constant": value} for name, value in constants.items()}}
    shop.run(sink_sync(mapping=mapping), Account("sink", Raw, sink(sandbox.url).connection))
    assert msgspec.json.decode(Raw.bodies[-1])["records"] == [{"id": "k", **constants}]


@pytest.mark.parametrize("sql_type", ["TIMESTAMP[]", "STRUCT(a INTEGER, b TIMESTAMP WITH TIME ZONE)"])
def test_times_inside_other_values_are_refused_because_they_would_lose_their_zone(sql_type: str) -> None:
    with pytest.raises(StateError, match="cast them to text"):
        field_type(sql_type)
