"""Where patience ends: what is refused for a while loses nothing, and what is refused for good ends."""

import asyncio
import gc
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.salesforce.options import SalesforceConnection
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Batch
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import EAGER, SINK, Shop, sink, sink_sync
from tests.heavy import heavy


@pytest.fixture
def hasty(tmp_path: Path) -> Callable[..., Shop]:
    """A shop with a patience of its own."""
    return lambda **retry_policy: Shop(tmp_path, retry_policy=replace(EAGER, **retry_policy))


def test_ten_refusals_for_the_rate_in_a_row_lose_no_row(shop: Shop, sandbox: Sandbox) -> None:
    """They are no attempts: a batch has eight of those."""
    shop.build("select i::varchar id, 'n' as name from range(100) r(i)")
    limit = sandbox.fault("rate_limit", vendor="rest", next=10, retry_after=0)
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert (report.status, report.counts["created"]) == (RunStatus.DONE, 100)
    assert limit.hits == 10


def test_refusals_for_the_rate_that_never_end_end_the_batch(hasty: Callable[..., Shop], sandbox: Sandbox) -> None:
    shop = hasty(rate_limited=0.3)
    shop.build("select i::varchar id, 'n' as name from range(20) r(i)")
    sandbox.fault("rate_limit", vendor="rest", retry_after=0, next=500)  # more than anybody should wait for
    report = shop.run(sink_sync(options={**SINK, "batch_size": 20}), sink(sandbox.url))
    assert report.counts["failed_unavailable"] == 20
    assert sandbox.rest.tables.keys() == set()
    sandbox.faults.clear()
    assert shop.run(sink_sync(options={**SINK, "batch_size": 20}), sink(sandbox.url)).counts["created"] == 20
    shop.close()


@heavy
@pytest.mark.parametrize(("status", "reason"), [(425, "unavailable"), (500, "ambiguous"), (503, "ambiguous")])
def test_a_batch_has_so_many_tries_and_the_last_one_counts(
    hasty: Callable[..., Shop], sandbox: Sandbox, status: int, reason: str
) -> None:
    shop = hasty(attempts=3)
    shop.build("select i::varchar id, 'n' as name from range(20) r(i)")
    for failures, outcome in ((3, f"failed_{reason}"), (2, "created")):
        fault = sandbox.fault("server_error", vendor="rest", status=status, next=failures)
        assert shop.run(sink_sync(), sink(sandbox.url)).counts[outcome] == 20
        assert fault.hits == failures
    shop.close()


def a_crm(sandbox: Sandbox) -> tuple[Sync, Account]:
    connection = SalesforceConnection(
        base_url=f"{sandbox.url}/salesforce", client_id="sandbox", client_secret=SecretStr("sandbox-secret")
    )
    mapping = {"External_Id__c": "id", "LastName": "name"}
    sync = sink_sync(object="Contact", mapping=mapping, options={}, external_id="External_Id__c")
    return sync, Account("crm", Salesforce, connection)


@heavy
@pytest.mark.parametrize("percent", [100.0, 10.0])
def test_rows_that_stay_locked_fail_in_the_end_and_hold_nobody_up(
    hasty: Callable[..., Shop], sandbox: Sandbox, percent: float
) -> None:
    shop = hasty(attempts=4)
    shop.build("select 'c' || i as id, 'n' as name from range(60) r(i)")
    sync, account = a_crm(sandbox)
    locks = sandbox.fault("lock_rows", vendor="salesforce", percent=percent, for_good=True, next=100)
    report = shop.run(sync, account)
    locked = locks.hits // 4
    assert locks.hits == 4 * locked
    assert 0 < locked <= 60
    assert (report.counts["created"], report.counts["failed"]) == (60 - locked, locked)
    codes = {outcome.code for outcome in shop.outcomes(sync, report.run_id) if outcome.status == "failed"}
    assert codes == {"UNABLE_TO_LOCK_ROW"}
    sandbox.faults.clear()
    assert shop.run(sync, account).counts["created"] == locked
    shop.close()


@heavy
def test_rows_whose_lock_ends_before_the_last_try_are_written(hasty: Callable[..., Shop], sandbox: Sandbox) -> None:
    shop = hasty(attempts=4)
    shop.build("select 'c' || i as id, 'n' as name from range(60) r(i)")
    sandbox.fault("lock_rows", vendor="salesforce", percent=100, for_good=True, next=3)
    assert shop.run(*a_crm(sandbox)).counts["created"] == 60
    shop.close()


@heavy
def test_a_token_that_ends_once_is_fetched_anew(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'c' || i as id, 'n' as name from range(20) r(i)")
    sandbox.fault("expire_token", vendor="salesforce", path="composite", next=1)
    assert shop.run(*a_crm(sandbox)).counts["created"] == 20


@heavy
def test_a_token_that_never_holds_ends_the_run(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'c' || i as id, 'n' as name from range(20) r(i)")
    ends = sandbox.fault("expire_token", vendor="salesforce", path="composite", next=100)
    report = shop.run(*a_crm(sandbox))
    assert (report.status, report.counts["skipped_stopped"]) == (RunStatus.FAILED, 20)
    assert ends.hits == 2  # as it was, and with a new token


class Interrupted(Webhook):
    """Its run is told to end once its first requests are on their way."""

    told = False

    def build_request(self, batch: Batch) -> httpx.Request:
        if not self.told:
            asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
        self.told = True
        return super().build_request(batch)


@heavy
def test_a_run_that_is_told_to_end_waits_so_long_for_answers_and_no_longer(
    hasty: Callable[..., Shop], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    shop = hasty(last_answers=0.1)
    shop.build("select i::varchar id, 'n' as name from range(100) r(i)")
    sandbox.fault("slow", vendor="rest", delay_ms=4_000.0)
    sync = sink_sync(options={**SINK, "batch_size": 10})
    with pytest.raises(KeyboardInterrupt):
        shop.run(sync, Account("sink", Interrupted, sink(sandbox.url).connection))
    assert shop.journal.history(sync.sync)[0].counts["failed_ambiguous"] >= 10
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []
    shop.close()
