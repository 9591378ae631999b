"""What the sync writes to is not there as it was at the last check: the run stops, and the next one checks anew."""

from collections.abc import Callable
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import CheckFailed
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.salesforce.schema import OBJECTS
from reverse_etl_sandbox.server import Sandbox
from tests.engine.launcher import salesforce
from tests.engine.shop import Shop, sink_sync
from tests.heavy import first_rows, heavy

PEOPLE = "select 'k' || i as id, 'Name' as name, {} as age from range(60) r(i)"


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return salesforce(sandbox.url)


def contacts(**changes: Any) -> Sync:
    mapping = {"External_Id__c": "id", "LastName": "name", "Title": "age"}
    spec: dict[str, Any] = {"destination": "salesforce", "object": "Contact", "mapping": mapping, "options": {}}
    return sink_sync(**{**spec, **changes})


def requests(sandbox: Sandbox) -> int:
    return sum(line.operation != "token" for line in sandbox.log.lines("salesforce"))


def field_renamed(sandbox: Sandbox) -> None:
    OBJECTS["Contact"].rename("Title", "Job_Title__c")


def version_retired(sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_oldest_version": 68})


def version_not_there(sandbox: Sandbox) -> None:
    sandbox.settings.change({"salesforce_newest_version": 60})


@pytest.mark.parametrize(
    ("change", "options", "said", "advice", "check"),
    first_rows(
        [
            (field_renamed, {}, "No such column 'Title'", "`reverse-etl check`", "no field `Title`"),
            (
                version_retired,
                {},
                "UNSUPPORTED_API_VERSION",
                "set `api_version`",
                r"version 67\.0 .*from 68\.0 to 68\.0",
            ),
            (version_not_there, {}, "NOT_FOUND", "`reverse-etl check`", r"from 31\.0 to 60\.0"),
            (version_not_there, {"bulk_threshold": 1}, "NOT_FOUND", "`reverse-etl check`", r"from 31\.0 to 60\.0"),
        ],
    ),
)
def test_what_is_not_there_any_more_stops_the_run_at_once(
    shop: Shop,
    sandbox: Sandbox,
    account: Account,
    change: Callable[[Sandbox], None],
    options: dict[str, Any],
    said: str,
    advice: str,
    check: str,
) -> None:
    sync = contacts(options=options)
    shop.build(PEOPLE.format(36))
    assert shop.run(sync, account).status is RunStatus.DONE
    change(sandbox)
    shop.build(PEOPLE.format(37))
    asked = requests(sandbox)
    report = shop.run(sync, account)
    assert report.status is RunStatus.FAILED
    assert said in (report.detail or "")
    assert advice in (report.detail or "")
    assert requests(sandbox) == asked + 1  # not halved
    held = shop.outcomes(sync, report.run_id)
    assert {(each.status, each.reason) for each in held} == {(Status.SKIPPED, Reason.STOPPED)}
    with pytest.raises(CheckFailed, match=check):
        shop.run(sync, account)


@heavy
def test_a_run_that_failed_is_checked_anew(shop: Shop, sandbox: Sandbox, account: Account) -> None:
    """Whatever it failed for; and one that went through is not."""
    shop.build(PEOPLE.format(36))
    shop.run(contacts(), account)
    sandbox.fault("server_error", vendor="salesforce", path="composite/sobjects", status=403)
    shop.build(PEOPLE.format(37))
    assert shop.run(contacts(), account).status is RunStatus.FAILED
    sandbox.faults.clear()
    asked = sum("describe" in line.path for line in sandbox.log.lines("salesforce"))
    for age in (38, 39):
        shop.build(PEOPLE.format(age))
        assert shop.run(contacts(), account).status is RunStatus.DONE
    assert sum("describe" in line.path for line in sandbox.log.lines("salesforce")) == asked + 1


@heavy
def test_a_field_that_a_job_does_not_find_stops_the_run(shop: Shop, sandbox: Sandbox, account: Account) -> None:
    """The job itself is refused, as nothing was read before it; none of its rows is at fault."""
    sync = contacts(sync_mode="append", options={"bulk_threshold": 1})
    shop.build(PEOPLE.format(36) + " where i < 30")
    assert shop.run(sync, account).status is RunStatus.DONE
    field_renamed(sandbox)
    shop.build(PEOPLE.format(36))
    report = shop.run(sync, account)
    assert report.status is RunStatus.FAILED
    assert "Field name not found : Title. It was there at the last check" in (report.detail or "")
    assert {(each.status, each.reason) for each in shop.outcomes(sync, report.run_id)} == {
        (Status.SKIPPED, Reason.STOPPED)
    }
    with pytest.raises(CheckFailed, match="no field `Title`"):
        shop.run(sync, account)
