"""What the dispatcher does with refusals, broken destinations, stops and cancellations."""

import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.salesforce import Salesforce, SalesforceConnection
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, ConfigurationError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import Batch, Outcome, Status
from reverse_etl_assets.runs.report import Report
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import first, heavy

TEN = {**SINK, "batch_size": 10}


def ids(sandbox: Sandbox, collection: str = "people") -> set[str]:
    table = sandbox.rest.tables.get(collection)
    return {entry.id for entry in table.live()} if table else set()


def reasons(shop: Shop, sync: Any, report: Report) -> Counter[tuple[str, str | None]]:
    return Counter((outcome.status, outcome.reason) for outcome in shop.by_key(sync, report).values())


def after(rows: int, act: Callable[[], object]) -> Callable[[Plan, Mapping[str, int]], None]:
    """Acts once, when so many rows have their outcomes."""
    acts = iter([act])

    def on_progress(plan: Plan, statuses: Mapping[str, int]) -> None:
        if sum(statuses.values()) >= rows:
            next(acts, lambda: None)()

    return on_progress


class Strict(Webhook):
    """An API that refuses a whole request because of one row."""

    def build_request(self, batch: Batch) -> httpx.Request:
        request = super().build_request(batch)
        if b'"bad' in request.content:
            request.url = request.url.copy_with(path="/rest/people/no/such/path", query=None)
            request.method = "GET"
        return request


def test_a_batch_refused_for_one_row_is_halved_until_it_stands_alone(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(
        "select case when i in (3, 71) then 'bad' || i else 'good' || i end id, 'n' as name from range(100) r(i)"
    )
    account = Account("sink", Strict, sink(sandbox.url).connection)
    report = shop.run(sink_sync(), account)
    found = shop.by_key(sink_sync(), report)
    bad = {"bad3", "bad71"}
    assert {key for key, outcome in found.items() if outcome.reason == "rejected"} == bad
    assert ids(sandbox) == found.keys() - bad
    assert report.counts["created"] == 98
    assert all("404" in str(found[key].message) for key in bad)
    assert len(sandbox.log.lines()) < 30  # two searches of seven halvings each, not a request a row


@heavy
def test_a_request_that_is_too_large_is_split(shop: Shop, sandbox: Sandbox) -> None:
    sandbox.settings.change({"rest_max_rows": 7})
    shop.build("select i::varchar id, 'n' as name from range(100) r(i)")
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert report.counts["created"] == len(ids(sandbox)) == 100
    assert {line.status for line in sandbox.log.lines()} == {413, 200}


def test_no_request_is_larger_than_the_destination_takes(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar id, repeat('ü', 200) as name from range(60) r(i)")
    shop.run(sink_sync(options={**SINK, "max_bytes": 5_000}), sink(sandbox.url))
    assert len(ids(sandbox)) == 60
    assert max(line.bytes_in for line in sandbox.log.lines()) <= 5_000


@pytest.mark.parametrize("scope", first(["all", "destination:sink", "sync:people_to_sink"]))
def test_after_a_stop_only_batches_in_flight_go_out(shop: Shop, sandbox: Sandbox, scope: str) -> None:
    shop.build("select i::varchar id, 'n' as name from range(1000) r(i)")
    sent: list[int] = []

    def stop() -> None:
        shop.journal.stop(scope, "ann", "wrong prices")
        sent.append(len(ids(sandbox)))

    report = shop.run(sink_sync(options=TEN), sink(sandbox.url), on_progress=after(200, stop))
    assert report.status is RunStatus.STOPPED
    assert sent[0] <= len(ids(sandbox)) <= sent[0] + 4 * 10
    held = ids(sandbox)
    found = shop.by_key(sink_sync(), report)
    assert len(found) == 1000
    for key, outcome in found.items():
        assert (outcome.status, outcome.reason) == (("created", None) if key in held else ("skipped", "stopped"))
        assert key in held or "wrong prices" in str(outcome.message)
    calls = len(sandbox.log.lines())
    assert shop.run(sink_sync(options=TEN), sink(sandbox.url)).status is RunStatus.GUARDED
    assert len(sandbox.log.lines()) == calls
    shop.journal.resume(scope, "ann", "mended")
    assert shop.run(sink_sync(options=TEN), sink(sandbox.url)).counts["created"] == 1000 - len(held)


@heavy
def test_refused_credentials_stop_the_run(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar id, 'n' as name from range(500) r(i)")
    act = after(100, lambda: sandbox.settings.change({"rest_token": "another"}))
    report = shop.run(sink_sync(options=TEN), sink(sandbox.url), on_progress=act)
    assert report.status is RunStatus.FAILED
    assert "401" in str(report.detail)
    held = ids(sandbox)
    assert 100 <= len(held) < 500
    assert reasons(shop, sink_sync(), report) == {("created", None): len(held), ("skipped", "stopped"): 500 - len(held)}
    assert sum(line.status == 401 for line in sandbox.log.lines()) <= 4


@heavy
def test_a_used_up_quota_stops_the_run(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i || '@shop.example' as id, id as email, 'n' as name from range(1500) r(i)")
    sandbox.fault("rate_limit", vendor="hubspot", path="batch/upsert", skip=3, daily=True)
    report = shop.run(crm_sync(), crm(sandbox.url))
    assert report.status is RunStatus.FAILED
    assert reasons(shop, crm_sync(), report) == {("created", None): 300, ("skipped", "stopped"): 1200}
    assert sandbox.counts()["hubspot"]["status"]["429"] <= 6


def test_credentials_refused_from_the_start(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i || '@shop.example' as id, id as email, 'n' as name from range(5) r(i)")
    with pytest.raises(AuthenticationFailed):
        shop.run(crm_sync(), crm(sandbox.url, token="wrong"))
    run = shop.journal.history("people_to_crm")[0]
    assert run.status is RunStatus.FAILED
    assert run.counts["skipped_stopped"] == 5


def test_an_unfit_target_sends_nothing(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i || '@shop.example' as id, id as email, 'n' as name from range(5) r(i)")
    sync = crm_sync(mapping={"email": "email", "no_such_property": "name"})
    with pytest.raises(CheckFailed, match="no_such_property"):
        shop.run(sync, crm(sandbox.url))
    assert not sandbox.hubspot.tables["contacts"].live()
    assert shop.journal.history(sync.sync)[0].counts["skipped_stopped"] == 5


@heavy
def test_the_check_waits_for_a_busy_destination(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i || '@shop.example' as id, id as email, 'n' as name from range(5) r(i)")
    sandbox.fault("rate_limit", vendor="hubspot", path="properties", next=2, retry_after=0)
    sandbox.fault("server_error", vendor="hubspot", path="properties", next=1)
    sandbox.fault("drop_before", vendor="hubspot", path="properties", next=1)
    assert shop.run(crm_sync(), crm(sandbox.url)).counts["created"] == 5


@heavy
def test_what_may_have_been_written_is_not_called_unavailable(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar id, 'n' as name from range(10) r(i)")
    sandbox.fault("drop_after", vendor="rest", next=1)
    sandbox.fault("server_error", vendor="rest", status=503)
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert len(ids(sandbox)) == 10
    assert reasons(shop, sink_sync(), report) == {("failed", "ambiguous"): 10}


class Unchecked(Webhook):
    async def check(self) -> None:
        """A destination that looks at nothing beforehand."""


@heavy
@pytest.mark.parametrize("destination", [Webhook, Unchecked])
def test_a_wrong_setting_is_named_and_sends_nothing(shop: Shop, sandbox: Sandbox, destination: type[Webhook]) -> None:
    shop.build("select i::varchar id, 'n' as name from range(10) r(i)")
    connection = sink(sandbox.url).connection.model_copy(update={"allow_private": False})
    account, sync = Account("sink", destination, connection), sink_sync(sync_mode="append")
    with contextlib.suppress(ConfigurationError):  # raised if it is the check that meets it
        shop.run(sync, account)
    run = shop.journal.history(sync.sync)[0]
    assert run.status is RunStatus.FAILED
    assert "allow_private" in str(run.detail)
    assert run.counts["skipped_stopped"] == 10
    assert shop.run(sync, sink(sandbox.url)).counts["created"] == 10


class NamesAStranger(Webhook):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        yield from super().read_response(batch, response)
        yield Outcome("a key of nobody", Status.CREATED)


class SaysItTwice(Webhook):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        for outcome in super().read_response(batch, response):
            yield from (outcome, outcome)


class Falls(Webhook):
    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        raise KeyError("results")


@heavy
@pytest.mark.parametrize("destination", [NamesAStranger, SaysItTwice, Falls])
@pytest.mark.parametrize("mode", first(["incremental", "append"]))
def test_a_destination_that_breaks_its_contract_fails_the_run(
    shop: Shop, sandbox: Sandbox, destination: type[Webhook], mode: str
) -> None:
    """In every batch: then it is not a row or an answer that is at fault, and the run must not go on for ever."""
    shop.build("select i::varchar id, 'n' as name from range(600) r(i)")
    sync = sink_sync(sync_mode=mode, options=TEN, guards={"in_flight": {"max_failed": 100}})
    report = shop.run(sync, Account("sink", destination, sink(sandbox.url).connection))
    assert report.status is RunStatus.FAILED
    assert destination.__name__ in str(report.detail)
    found = shop.by_key(sync, report)
    assert {key for key, outcome in found.items() if outcome.reason == "ambiguous"} == ids(sandbox)
    assert len(sandbox.log.lines()) <= 25 + 4
    assert {outcome.status for outcome in found.values()} == {"failed", "skipped"}


@heavy
def test_rows_that_were_locked_are_sent_again_alone(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'c' || i as id, 'n' as name from range(400) r(i)")
    connection = SalesforceConnection(
        base_url=f"{sandbox.url}/salesforce", client_id="sandbox", client_secret=SecretStr("sandbox-secret")
    )
    locks = sandbox.fault("lock_rows", vendor="salesforce", percent=10.0)
    mapping = {"External_Id__c": "id", "LastName": "name"}
    sync = sink_sync(object="Contact", mapping=mapping, options={}, external_id="External_Id__c")
    report = shop.run(sync, Account("crm", Salesforce, connection))
    assert report.counts["created"] == 400
    rows = sandbox.counts()["salesforce"]["rows"]["upsert"]
    assert locks.hits > 20
    assert rows == 400 + locks.hits


@heavy
def test_the_rate_of_an_account_is_waited_for(shop: Shop, sandbox: Sandbox) -> None:
    """The whole account holds for as long as the destination asks, and not a request goes out meanwhile."""
    shop.build("select i::varchar id, 'n' as name from range(200) r(i)")
    sandbox.fault("rate_limit", vendor="rest", next=1, skip=4, retry_after=1)
    report = shop.run(sink_sync(options=TEN), sink(sandbox.url))
    assert report.counts["created"] == 200
    lines = sandbox.log.lines()
    refused = next(line for line in lines if line.status == 429)
    late = [line.at for line in lines if line.at > refused.at + 0.15]  # others were in flight already
    assert min(late) >= refused.at + 0.95


@pytest.mark.parametrize("mode", first(["incremental", "append"]))
def test_cancelling_waits_for_the_answers_in_flight(shop: Shop, sandbox: Sandbox, mode: str) -> None:
    shop.build("select i::varchar id, 'n' as name from range(400) r(i)")
    sync = sink_sync(sync_mode=mode, options=TEN)
    sandbox.fault("slow", vendor="rest", delay_ms=60.0)
    with pytest.raises(KeyboardInterrupt):
        shop.run(sync, sink(sandbox.url), on_progress=after(80, lambda: signal.raise_signal(signal.SIGINT)))
    run = shop.journal.history(sync.sync)[0]
    assert run.status is RunStatus.FAILED
    held = ids(sandbox)
    assert 80 <= len(held) <= 80 + 3 * 4 * 10
    assert run.counts["created"] == len(held)
    assert run.counts["skipped_stopped"] == 400 - len(held)
    sandbox.faults.clear()
    report = shop.run(sync, sink(sandbox.url))
    assert not report.recovered
    assert report.counts["created"] == 400 - len(held)
    assert sandbox.rest.tables["people"].counters.updated == 0


class Echo(Webhook):
    """Keeps what it was sent."""

    batches: Sequence[Batch] = ()

    def build_request(self, batch: Batch) -> httpx.Request:
        type(self).batches = (*self.batches, batch)
        return super().build_request(batch)


@heavy
def test_the_same_rows_carry_the_same_idempotency_key(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select i::varchar id, 'n' as name from range(5) r(i)")
    sync = sink_sync(sync_mode="full_refresh")
    sandbox.fault("server_error", vendor="rest", next=1)
    account = Account("sink", Echo, sink(sandbox.url).connection)
    shop.run(sync, account)
    shop.run(sync, account)
    shop.sql("update marts.people set name = 'other' where id = '3'")
    shop.run(sync, account)
    keys = [batch.idempotency_key for batch in Echo.batches]
    assert len(set(keys[:3])) == 1
    assert keys[3] not in keys[:3]
