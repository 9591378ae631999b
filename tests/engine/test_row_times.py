"""Times that rows carry: none of them hides another row's change, stops a run, or lies beyond the clock."""

from typing import Any

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.previews.markdown import markdown
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, a_crm
from tests.engine.shop import Shop, sink, sink_sync
from tests.engine.test_prefilter import Clock, lately
from tests.heavy import first, heavy

ODD = [
    "'9999-12-31'",
    "'12345-01-01'",
    "'0044-03-15 (BC)'",
    "'infinity'",
    "'-infinity'",
    "'0001-01-01'",
    "'2026-01-04'",
    "null",
]
TYPES = ["timestamp", "timestamptz", "date", "timestamp_s", "timestamp_ms", "timestamp_ns"]
BEYOND_NANOSECONDS = {"'9999-12-31'", "'12345-01-01'", "'0044-03-15 (BC)'", "'0001-01-01'"}


class Rows:
    """Rows with a time, run once when only the ones with good times were there."""

    def __init__(self, shop: Shop, sandbox: Sandbox, clock: Clock, kind: str = "timestamp") -> None:
        self.shop, self.sandbox, self.clock = shop, sandbox, clock
        shop.build(f"select 'k' || i as id, 'first' as name, '2025-12-30'::{kind} as at from range(4) r(i)")

    def run(self, sync: Sync) -> Report:
        self.clock.now += 60
        return self.shop.run(sync, sink(self.sandbox.url))

    def told(self) -> dict[str, str]:
        return {entry.id: entry.values["name"] for entry in self.sandbox.rest.tables["people"].live()}


@pytest.fixture
def rows(tmp_path: Any, sandbox: Sandbox) -> Rows:
    clock = Clock()
    return Rows(Shop(tmp_path, clock=clock), sandbox, clock)


@pytest.mark.parametrize("at", first(ODD))
def test_a_time_beyond_the_clock_hides_nothing(rows: Rows, at: str) -> None:
    """The row itself is compared in every run as well, whatever its time."""
    shop = rows.shop
    rows.run(lately())
    shop.sql(f"insert into marts.people values ('odd', 'first', {at}::timestamp)")
    rows.run(lately())
    shop.sql("""update marts.people set name = 'second', "at" = '2026-01-02 00:00:30' where id in ('k1', 'odd')""")
    shop.sql(f"""update marts.people set "at" = {at}::timestamp where id = 'odd' """)
    report = rows.run(lately())
    assert rows.told()["k1"] == "second"
    if at != "'0001-01-01'":  # an old time like any other: the full compare finds it
        assert rows.told()["odd"] == "second"
    assert report.counts["model_rows"] == 5


@heavy
@pytest.mark.parametrize("kind", first(TYPES))
def test_every_type_of_time(tmp_path: Any, sandbox: Sandbox, kind: str) -> None:
    shop, clock = Shop(tmp_path, clock=Clock()), Clock()
    rows = Rows(shop, sandbox, clock, kind)
    for number, at in enumerate(ODD):
        if kind != "timestamp_ns" or at not in BEYOND_NANOSECONDS:
            shop.sql(f"insert into marts.people values ('odd{number}', 'first', try_cast({at} as {kind}))")
    if kind == "date":
        shop.sql("insert into marts.people values ('far', 'first', date '300000-01-01')")
    rows.run(lately())
    shop.sql("""update marts.people set name = 'second', "at" = '2026-01-01 23:30:00' where id = 'k1' """)
    rows.run(lately())
    assert rows.told()["k1"] == "second"


def test_a_time_that_cannot_be_used_is_named(rows: Rows) -> None:
    shop = rows.shop
    shop.sql(
        "insert into marts.people values ('a', 'x', '9999-12-31'), ('b', 'x', '0044-03-15 (BC)'), ('c', 'x', null)"
    )
    report = rows.run(lately())
    assert report.unusable_times == {"`at` (change_detection.last_modified_at)": 2}
    assert report.counts["unusable_times"] == 2
    assert report.counts["created"] == 7
    found = preview(lately(), shop.environment, sink(rows.sandbox.url))
    assert "`at` (change_detection.last_modified_at) in 2 rows" in markdown(found).replace("\\", "")


@heavy
def test_a_watermark_of_an_earlier_release_that_lies_ahead_is_not_gone_by(rows: Rows) -> None:
    shop = rows.shop
    rows.run(lately())
    with shop.warehouse.open("people_to_sink", write=True) as con:
        con.execute("update state.facts set value = '9999-12-31T00:00:00' where name = 'newest'")
    shop.sql("""update marts.people set name = 'second', "at" = '2026-01-02' where id = 'k1' """)
    rows.run(lately())
    assert rows.told()["k1"] == "second"


@heavy
def test_a_full_compare_that_a_wrong_clock_dated_ahead_is_due(rows: Rows) -> None:
    shop = rows.shop
    rows.clock.now += 400 * 86_400
    rows.run(lately())
    rows.clock.now -= 400 * 86_400
    shop.sql("update marts.people set name = 'second' where id = 'k1'")
    rows.run(lately())
    assert rows.told()["k1"] == "second"


@pytest.mark.parametrize("kind", first(["varchar", "bigint", "time", "boolean", "double", "json"]))
@pytest.mark.parametrize("setting", ["last_modified_at", "updated_at"])
def test_a_column_of_another_type_is_refused_at_the_first_run(
    shop: Shop, sandbox: Sandbox, kind: str, setting: str
) -> None:
    shop.build(f"select 'k' as id, 'n' as name, null::{kind} as at")
    how: dict[str, Any] = {"updated_at": "at"} if setting == "updated_at" else {"change_detection": {setting: "at"}}
    with pytest.raises(StateError, match=rf"column at: `.*{setting}` needs a TIMESTAMP or DATE") as caught:
        shop.run(sink_sync(**how), sink(sandbox.url))
    assert "cast it in the dbt model" in str(caught.value)


LATEST = {"mapping": {"phone": {"column": "phone", "wins": "latest"}}, "updated_at": "changed_at"}


@heavy
@pytest.mark.parametrize("at", first(["'9999-12-31'", "'12345-01-01'", "'0044-03-15 (BC)'", "'infinity'"]))
def test_a_row_whose_time_cannot_be_used_does_not_win(shop: Shop, sandbox: Sandbox, at: str) -> None:
    crm = a_crm("hubspot", sandbox)
    shop.build(PEOPLE.format(3))
    shop.sql("alter table marts.people alter changed_at type timestamp")
    sync = crm.sync(**LATEST)
    shop.run(sync, crm.account)
    crm.edit("p0@shop.example", phone="+41 44 1")
    shop.sql(f"update marts.people set phone = '+1 555 2000', changed_at = {at}::timestamp where email like 'p0@%'")
    shop.sql("update marts.people set phone = '+1 555 3000' where email like 'p1@%'")
    report = shop.run(sync, crm.account)
    assert crm.values("phone")["p0@shop.example"] == "+41 44 1"
    assert crm.values("phone")["p1@shop.example"] == "+1 555 3000", "one bad row stops no other"
    assert report.unusable_times == {"`changed_at` (updated_at)": 1}


@heavy
@pytest.mark.parametrize("kind", first(["timestamp", "timestamptz", "date"]))
def test_a_time_that_no_destination_reads_is_rejected_alone(shop: Shop, sandbox: Sandbox, kind: str) -> None:
    shop.build(
        f"select * from (values ('a', '2026-01-01'::{kind}), ('b', '12345-01-01'::{kind}),"
        f" ('c', '0044-03-15 (BC)'::{kind}), ('d', '9999-12-31'::{kind}), ('e', null)) t(id, born)"
    )
    sync = sink_sync(mapping={"id": "id", "born": "born"})
    report = shop.run(sync, sink(sandbox.url))
    found = shop.by_key(sync, report)
    assert {key: outcome.reason for key, outcome in found.items()} == {
        "a": None,
        "b": "invalid",
        "c": "invalid",
        "d": None,
        "e": None,
    }
    assert "born" in str(found["b"].message)
    assert "years are 1 to 9999" in str(found["b"].message)
