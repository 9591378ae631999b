"""The look after a run that does not come to its end: the run has ended well all the same, and the report says why."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.destinations.base import NOTHING_KNOWN, Account
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Current
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm
from tests.engine.shop import Shop, crm
from tests.heavy import heavy


def to_look_at(at: Crm) -> Sync:
    """A sync all of whose rows are looked at; before the run, nothing is read."""
    return at.sync(verify={"sample": "all"}, before_images="synced")


def looked_at(shop: Shop, at: Crm, rows: int = 3) -> Report:
    shop.build(PEOPLE.format(rows))
    return shop.run(to_look_at(at), at.account)


@heavy
def test_a_busy_destination_spoils_no_run(shop: Shop, force: Crm) -> None:
    force.sandbox.fault("server_error", vendor="salesforce", path="/query")
    report = looked_at(shop, force)
    assert (report.status, report.counts["created"]) == (RunStatus.DONE, 3)
    assert report.verified is not None
    assert report.verified.looked_at == 0
    assert report.verified.not_judged
    assert "verified" not in report.counts


@heavy
def test_a_spent_budget_spoils_no_run(shop: Shop, sandbox: Sandbox, hub: Crm) -> None:
    shop.build(PEOPLE.format(3))
    report = shop.run(to_look_at(hub), crm(sandbox.url, budget=Budget(calls=2)))
    assert (report.status, report.counts["created"], report.calls) == (RunStatus.DONE, 3, 2)
    assert report.verified is not None
    assert "the day's budget of 2 requests to crm is used up" in report.verified.not_judged


@heavy
def test_what_is_stopped_is_not_asked(shop: Shop, hub: Crm) -> None:
    sync = to_look_at(hub)
    shop.build(PEOPLE.format(3))

    def meanwhile(plan: Any, statuses: Mapping[str, int]) -> None:
        shop.journal.stop("all", "ada", "wrong prices")

    report = shop.run(sync, hub.account, on_progress=meanwhile)
    assert (report.status, report.counts["created"]) == (RunStatus.DONE, 3)
    assert report.verified is not None
    assert "wrong prices" in report.verified.not_judged
    assert not hub.requests("batch/read")


@heavy
def test_a_run_that_ended_early_is_not_looked_at(shop: Shop, sandbox: Sandbox, hub: Crm) -> None:
    sandbox.fault("expire_token", vendor="hubspot", path="batch/upsert", skip=1)
    report = looked_at(shop, hub, 250)
    assert (report.status, report.counts["created"]) == (RunStatus.FAILED, 100)
    assert report.verified is not None
    assert report.verified.not_judged == "the run ended early"
    assert not hub.requests("batch/read")


class Broken(HubSpot):
    """Takes records, and cannot give them back."""

    error: type[BaseException] = KeyError

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        raise self.error("x")


class Interrupted(Broken):
    error = KeyboardInterrupt


@heavy
def test_a_destination_that_breaks_when_it_is_read_spoils_no_run(shop: Shop, hub: Crm) -> None:
    shop.build(PEOPLE.format(3))
    broken = Account("crm", Broken, hub.account.connection)
    report = shop.run(to_look_at(hub), broken)
    assert report.status is RunStatus.DONE
    assert report.verified is not None
    assert report.verified.not_judged == "3 of them were refused: Broken cannot make a request of it: KeyError"


def test_a_run_that_is_terminated_while_it_looks_has_ended_well(shop: Shop, hub: Crm) -> None:
    shop.build(PEOPLE.format(3))
    sync = to_look_at(hub)
    with pytest.raises(KeyboardInterrupt):
        shop.run(sync, Account("crm", Interrupted, hub.account.connection))
    (run,) = shop.journal.history(sync.sync, 5)
    assert (run.status, run.counts["created"], run.counts.get("verified")) == (RunStatus.DONE, 3, None)
    assert shop.run(sync, hub.account).recovered == ()
