"""Whole runs into Zendesk: every row one outcome, as jobs and one by one; and a job that outlives its run."""

from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import CheckFailed
from reverse_etl_assets.records import Status
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.outbox import outbox_columns, rows_by_number
from reverse_etl_sandbox.server import Sandbox
from tests.engine.launcher import zendesk
from tests.engine.shop import Shop, sink_sync
from tests.heavy import first, first_rows, heavy

PEOPLE = (
    "select 'C' || i as id, case when i = 7 then 'no address' else 'p' || i || '@shop.example' end as email,"
    " 'Name ' || i as name, case when i = 8 then 'wood' when i % 2 = 0 then 'growth' else 'free' end as tier"
    " from range(1, {}) r(i)"
)
TIER = "user_fields.customer_tier"


@pytest.fixture(autouse=True)
def roomy(sandbox: Sandbox) -> None:
    sandbox.settings.change({"zendesk_requests": 1_000_000})


def account(sandbox: Sandbox) -> Account:
    return zendesk(sandbox.url)


def sync(**options: Any) -> Sync:
    return sink_sync(
        sync="people_to_zendesk",
        destination="zendesk",
        object="users",
        external_id="external_id",
        mapping={"name": "name", "email": "email", TIER: "tier"},
        sync_mode="mirror",
        options=options,
        verify={"sample": 50},
        guards={"max_removed": {}, "row_count": {"percent": None, "deviations": None}},
    )


def counts(report: Any) -> dict[str, int]:
    return {
        name: report.counts[name] for name in ("created", "updated", "deleted", "failed") if report.counts.get(name)
    }


def posts(sandbox: Sandbox) -> int:
    return sum(line.operation == "bulk upsert" for line in sandbox.log.lines("zendesk"))


@pytest.mark.parametrize(("options", "jobs"), first_rows([({}, 2), ({"bulk": False}, 0)]))
def test_created_updated_deleted_and_failed(sandbox: Sandbox, shop: Shop, options: dict[str, Any], jobs: int) -> None:
    people = sync(**options)
    shop.build(PEOPLE.format(121))
    first = shop.run(people, account(sandbox))
    assert counts(first) == {"created": 118, "failed": 2}
    assert posts(sandbox) == jobs
    found = shop.by_key(people, first)
    assert (found["c7"].reason, found["c8"].reason) == ("rejected", "invalid")
    assert "properly formatted" in str(found["c7"].message)
    assert first.counts["verified_differing"] == 0

    shop.build(f"select * replace (upper(name) as name) from ({PEOPLE.format(21)}) where id <> 'C20'")
    second = shop.run(people, account(sandbox))
    assert counts(second) == {"updated": 17, "deleted": 101, "failed": 2}
    held = sandbox.counts()["zendesk"]["objects"]["users"]
    assert (held["records"], held["created"], held["updated"], held["deleted"]) == (17, 118, 17, 101)
    values = {each.values["external_id"]: each.values for each in sandbox.zendesk.tables["users"].live()}
    assert (values["C2"]["name"], values["C2"]["email"], values["C2"][TIER]) == ("NAME 2", "p2@shop.example", "growth")


def test_a_job_whose_results_could_not_be_read_is_collected_by_the_next_run(sandbox: Sandbox, shop: Shop) -> None:
    people = sync()
    shop.build(PEOPLE.format(51))
    sandbox.fault("server_error", vendor="zendesk", path="job_statuses")
    broken = shop.run(people, account(sandbox))
    assert counts(broken) == {}
    assert posts(sandbox) == 1
    sandbox.faults.clear()
    again = shop.run(people, account(sandbox))
    assert posts(sandbox) == 1  # what was handed over is not sent again
    assert counts(again) == {"failed": 2}
    assert sandbox.counts()["zendesk"]["objects"]["users"]["created"] == 48
    statuses = "select status, count(*) from state.outcomes where status <> 'failed' group by all"
    assert shop.state(people, statuses) == [("created", 48)]
    failed = "select distinct key, reason from state.outcomes where status = 'failed' order by key"
    assert shop.state(people, failed) == [("c7", "rejected"), ("c8", "invalid")]  # of both runs


def test_an_account_without_bulk_import_says_what_to_set(sandbox: Sandbox, shop: Shop) -> None:
    sandbox.settings.change({"zendesk_bulk_import": False})
    shop.build(PEOPLE.format(51))
    report = shop.run(sync(), account(sandbox))
    assert "`bulk: false`" in str(report.detail)
    assert counts(report) == {}


def test_rows_of_a_job_come_back_in_the_order_they_were_sent(sandbox: Sandbox, shop: Shop) -> None:
    """Rows that were sent again may be in any order in their batch, and a job's results are matched by it."""
    people = sync()
    shop.build(PEOPLE.format(21))
    shop.run(people, account(sandbox))
    with shop.warehouse.open(people.sync) as con:
        columns = outbox_columns(con)
        assert columns is not None
        rows = rows_by_number(con, columns, [11, 2, 19, 3])
    assert [row.number for row in rows] == [11, 2, 19, 3]


# A field that is gone since the last check


@heavy
@pytest.mark.parametrize("options", first([{}, {"bulk": False}]))
def test_a_field_that_is_gone_since_the_check_is_not_taken_for_written(
    shop: Shop, sandbox: Sandbox, options: dict[str, Any]
) -> None:
    """Zendesk drops its values without a word, and says that all is well."""
    people = sync(**options)
    shop.build(PEOPLE.format(12))
    shop.run(people, account(sandbox))
    own = sandbox.zendesk.kinds["users"].custom
    tier = own.pop("customer_tier")
    shop.sql("update marts.people set tier = case tier when 'growth' then 'free' else 'growth' end")
    report = shop.run(people, account(sandbox))
    outcomes = shop.outcomes(people, report.run_id)
    assert not [each for each in outcomes if each.status == Status.UPDATED]
    said = report.detail if not options else next(each.message for each in outcomes if each.field == TIER)
    assert "no field `user_fields.customer_tier`" in str(said)
    if not options:
        with pytest.raises(CheckFailed, match="no field"):
            shop.run(people, account(sandbox))
    own["customer_tier"] = tier
    assert shop.run(people, account(sandbox)).counts["updated"] >= 9
