"""Rows in quarantine as Dagster shows them: a check of each sync, and one page for all of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.orchestration.metadata import counts
from reverse_etl_assets.orchestration.quarantine import build_quarantine_asset
from tests.heavy import heavy
from tests.orchestration.shop import Shop
from tests.orchestration.small_project import QUARANTINE, SmallProject

PEOPLE = "select case when i < {} then 'bad ' || i else 'u' || i || '@example.com' end as email, 'n' as name"
STRICT = {"quarantine": {"after": 1, "hint": "Ask sales ops."}, "max_failed": {"rows": 100}, "owners": ["team:sales"]}


def page(small: SmallProject) -> dict[str, Any]:
    """What a materialisation of the page says."""
    small.project.__dict__.pop("syncs", None)
    asset = build_quarantine_asset(small.loaded())
    assert asset is not None
    return dict(small.run(asset).metadata)


def test_the_check_of_a_sync(small: SmallProject) -> None:
    small.build(f"{PEOPLE.format(2)} from range(5) r(i)")
    asset = small.asset(**STRICT)
    refused = small.run(asset)
    check = refused.checks["held_and_quarantined"]
    assert (check.passed, check.severity, check.description) == (
        False,
        dg.AssetCheckSeverity.WARN,
        "2 rows in quarantine (`reverse-etl quarantine`)",
    )
    assert check.metadata["quarantined"].value == 2
    again = small.run(asset)
    assert again.success
    assert again.checks["delivery"].passed
    assert not again.checks["held_and_quarantined"].passed
    assert (again.metadata["quarantined"], again.metadata["skipped"], again.metadata["failed"]) == (2, 2, 0)
    small.build(f"{PEOPLE.format(0)} from range(5) r(i)")
    good = small.run(asset).checks["held_and_quarantined"]
    assert (good.passed, good.description) == (True, "no row is held or in quarantine")


@heavy
def test_the_page_lists_all_syncs(small: SmallProject) -> None:
    small.build(f"{PEOPLE.format(3)} from range(5) r(i)")
    asset = small.asset(name="contacts", **STRICT)
    small.write_sync("quiet", object="companies", primary_key="name", external_id="domain", mapping={"city": "email"})
    small.run(asset)
    said = page(small)
    assert (said["in quarantine"], said["crm/contacts"], said["crm/quiet"]) == (3, 3, 0)
    rows = [row.data for row in said["rows"].records]
    assert [row["key"] for row in rows] == ["bad 0", "bad 1", "bad 2"]
    first = rows[0]
    assert (first["sync"], first["refused"], first["code"]) == ("contacts", 1, "INVALID_EMAIL")
    assert (first["message"], first["owner"]) == ("Email address bad 0 is invalid", "team:sales")
    assert first["hint"] == "Ask sales ops."


@heavy
def test_the_page_is_capped(small: SmallProject) -> None:
    small.build(f"{PEOPLE.format(150)} from range(150) r(i)")
    small.run(small.asset(**{**STRICT, "max_failed": {"rows": 1000}}))
    said = page(small)
    assert said["in quarantine"] == 150
    assert len(said["rows"].records) == 100


def test_a_page_before_anything_ran(small: SmallProject) -> None:
    small.write_sync("contacts")
    assert page(small)["in quarantine"] == 0


def test_it_is_downstream_of_every_sync(shop: Shop) -> None:
    assert QUARANTINE not in shop.definitions().resolve_asset_graph().materializable_asset_keys, "nothing to look at"
    shop.write_sync("contacts")
    shop.write_sync("firms", object="companies", primary_key="name", external_id="domain", mapping={"city": "email"})
    shop.project.__dict__.pop("syncs", None)
    definitions = shop.definitions()
    graph = definitions.resolve_asset_graph()
    assert graph.get(QUARANTINE).parent_keys == {dg.AssetKey(["crm", "contacts"]), dg.AssetKey(["crm", "firms"])}
    sensor = definitions.get_repository_def().get_sensor_def("shop_quarantine")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


@pytest.fixture
def fresh() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_it_is_brought_up_to_date_once_after_a_run(small: SmallProject, fresh: dg.DagsterInstance) -> None:
    sync = small.asset(name="contacts")
    page_asset = build_quarantine_asset(small.loaded())
    assert page_asset is not None
    definitions = dg.Definitions([sync, page_asset])
    cursor, now, asked = None, datetime(2026, 6, 30, 12, tzinfo=UTC), []
    for updated in (False, True, False, True):
        if updated:
            fresh.report_runless_asset_event(dg.AssetMaterialization(sync.key))
        now += timedelta(seconds=30)
        result = dg.evaluate_automation_conditions(
            definitions, fresh, asset_selection=dg.AssetSelection.assets(QUARANTINE), cursor=cursor, evaluation_time=now
        )
        cursor = result.cursor
        asked.append(result.get_num_requested(QUARANTINE))
        if asked[-1]:
            fresh.report_runless_asset_event(dg.AssetMaterialization(QUARANTINE))
    assert asked == [0, 1, 0, 1]


def test_possible_duplicates_are_a_figure() -> None:
    assert counts({"possible_duplicates": 3})["possible duplicates"] == 3
