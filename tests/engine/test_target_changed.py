"""What the sync writes to is not there as it was at the last check: the run stops, and the next one checks anew."""

from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import CheckFailed
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.report import RunStatus
from reverse_etl_assets.sandbox.salesforce.schema import OBJECTS
from reverse_etl_assets.sandbox.server import Sandbox
from reverse_etl_assets.spec import Sync
from tests.engine.launcher import salesforce
from tests.engine.shop import Shop, sink_sync

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


def test_a_field_that_was_renamed_stops_the_run_at_once(shop: Shop, sandbox: Sandbox, account: Account) -> None:
    shop.build(PEOPLE.format(36))
    assert shop.run(contacts(), account).status is RunStatus.DONE
    OBJECTS["Contact"].rename("Title", "Job_Title__c")
    shop.build(PEOPLE.format(37))
    asked = requests(sandbox)
    report = shop.run(contacts(), account)
    assert report.status is RunStatus.FAILED
    assert "No such column 'Title'" in (report.detail or "")
    assert "`reverse-etl check`" in (report.detail or "")
    assert requests(sandbox) == asked + 1  # not halved
    held = shop.outcomes(contacts(), report.run_id)
    assert {(each.status, each.reason) for each in held} == {(Status.SKIPPED, Reason.STOPPED)}
    with pytest.raises(CheckFailed, match="no field `Title`"):
        shop.run(contacts(), account)


def test_a_version_that_was_retired_stops_the_run_at_once(shop: Shop, sandbox: Sandbox, account: Account) -> None:
    shop.build(PEOPLE.format(36))
    assert shop.run(contacts(), account).status is RunStatus.DONE
    sandbox.settings.change({"salesforce_oldest_version": 68})
    shop.build(PEOPLE.format(37))
    asked = requests(sandbox)
    report = shop.run(contacts(), account)
    assert report.status is RunStatus.FAILED
    assert "UNSUPPORTED_API_VERSION" in (report.detail or "")
    assert "set `api_version`" in (report.detail or "")
    assert requests(sandbox) == asked + 1
    with pytest.raises(CheckFailed, match=r"does not have version 67\.0 .*from 68\.0 to 68\.0"):
        shop.run(contacts(), account)


@pytest.mark.parametrize("options", [{}, {"bulk_threshold": 1}])
def test_a_version_that_is_not_there_stops_the_run_at_once(
    shop: Shop, sandbox: Sandbox, account: Account, options: dict[str, Any]
) -> None:
    sync = contacts(options=options)
    shop.build(PEOPLE.format(36))
    assert shop.run(sync, account).status is RunStatus.DONE
    sandbox.settings.change({"salesforce_newest_version": 60})
    shop.build(PEOPLE.format(37))
    asked = requests(sandbox)
    report = shop.run(sync, account)
    assert report.status is RunStatus.FAILED
    assert "NOT_FOUND" in (report.detail or "")
    assert requests(sandbox) == asked + 1
    with pytest.raises(CheckFailed, match=r"from 31\.0 to 60\.0"):
        shop.run(sync, account)


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
