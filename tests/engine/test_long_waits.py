"""Waits that a destination asks for, or that a wrong clock makes: none is longer than a run's patience, all can end."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from reverse_etl_assets.destinations.base import retry_after
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.journal import LONGEST_HOLD, Journal
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.journal.schema import pace
from reverse_etl_assets.records import Reason
from reverse_etl_assets.runs.run import run_sync
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.engine.launcher import salesforce
from tests.engine.shop import EAGER, SINK, Shop, sink, sink_sync
from tests.heavy import first, heavy
from tests.until import until

DAY = 86_400


@pytest.fixture
def sync(shop: Shop) -> Sync:
    shop.build("select 'k' || i as id, 'n' || i as name from range(30) r(i)")
    return sink_sync(options={**SINK, "batch_size": 10})


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """No test here waits for what was asked for."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("kind", first(["rate_limit", "server_error"]))
@pytest.mark.parametrize("seconds", first([DAY, 10**12]))
def test_a_wait_beyond_the_patience_ends_the_run_and_says_until_when(
    shop: Shop, sandbox: Sandbox, sync: Sync, kind: str, seconds: int
) -> None:
    sandbox.fault(kind, vendor="rest", retry_after=seconds)
    report = shop.run(sync, sink(sandbox.url))
    assert report.status is RunStatus.FAILED
    assert "asks to be left alone until " in str(report.detail)
    assert "longer than the 900 s that a run waits" in str(report.detail)
    reasons = {outcome.reason for outcome in shop.by_key(sync, report).values()}
    assert reasons <= {Reason.UNAVAILABLE, Reason.AMBIGUOUS, Reason.STOPPED}
    assert report.counts["failed"] >= 10
    if kind == "rate_limit":
        assert shop.journal.held_until("sink") <= shop.journal.clock() + LONGEST_HOLD, "and a later run tries"
    sandbox.faults.clear()
    shop.journal.lift_holds("sink", "ada", "the vendor says so")
    assert shop.run(sync, sink(sandbox.url)).status is RunStatus.DONE


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e999", "Infinity", "soon", ""])
def test_what_is_no_number_is_not_waited_for(value: str) -> None:
    assert retry_after(httpx.Response(429, headers={"Retry-After": value})) is None


@pytest.mark.parametrize("after", [float("inf"), float("nan"), -1.0])
def test_nor_is_what_a_destination_makes_of_it(after: float) -> None:
    assert RetryLater("busy", after).after is None


def test_a_date_is_of_the_servers_clock() -> None:
    def date(at: datetime) -> str:
        return at.strftime("%a, %d %b %Y %H:%M:%S GMT")

    there = datetime.now(UTC) - timedelta(days=3)
    headers = {"Retry-After": date(there + timedelta(seconds=40)), "Date": date(there)}
    assert retry_after(httpx.Response(503, headers=headers)) == 40
    without = retry_after(httpx.Response(503, headers={"Retry-After": date(datetime.now(UTC) + timedelta(seconds=40))}))
    assert without == pytest.approx(40, abs=2)


def in_the_journal(shop: Shop) -> None:
    shop.journal.stop("destination:sink", "ada", "wrong prices")


def by_file(shop: Shop) -> None:
    (shop.home / "STOP").write_text("wrong prices")


@pytest.mark.parametrize("stop", first([in_the_journal, by_file]))
def test_a_stop_ends_a_wait(shop: Shop, sandbox: Sandbox, sync: Sync, stop: Callable[[Shop], None]) -> None:
    shop.journal.hold("sink", shop.journal.clock() + 600)
    timer = threading.Timer(0.5, stop, [shop])
    timer.start()
    report = shop.run(sync, sink(sandbox.url))
    timer.join()
    assert report.status is RunStatus.STOPPED
    assert "wrong prices" in str(report.detail)
    assert [line for line in sandbox.log.lines() if line.method == "POST"] == []


@heavy
@pytest.mark.parametrize("poll", first([0.01, 10.0]))
def test_a_stop_leaves_a_long_job_to_the_next_run(shop: Shop, sandbox: Sandbox, sync: Sync, poll: float) -> None:
    sandbox.settings.change({"salesforce_bulk_polls": 120})
    there = {"object": "Contact", "external_id": "External_Id__c", "mapping": {"LastName": "name"}}
    job = sink_sync(**there, options={"bulk_threshold": 1}, verify={"sample": 0})
    patient = replace(shop.environment, retry_policy=replace(EAGER, job_poll=poll))

    def stop() -> None:
        until(lambda: any(line.method == "GET" and "jobs/ingest" in line.path for line in sandbox.log.lines()))
        shop.journal.stop("all", "ada", "wrong prices")

    timer = threading.Thread(target=stop)
    timer.start()
    report = run_sync(job, patient, salesforce(sandbox.url))
    timer.join()
    assert report.status is RunStatus.OPEN
    shop.journal.resume("all", "ada", "right again")
    report = shop.run(job, salesforce(sandbox.url))
    assert (report.status, report.change_set) == (RunStatus.DONE, 0)
    assert len(sandbox.salesforce.tables["Contact"].live()) == 30


def next_turn(shop: Shop) -> float:
    """When the next one to ask would get its turn."""
    with shop.journal.database.reading() as connection:
        return float(connection.scalar(select(pace.c.next_at).where(pace.c.account == "sink")) or 0)


@heavy
def test_a_hold_that_somebody_lifts_ends_at_once(shop: Shop, sandbox: Sandbox, sync: Sync) -> None:
    held = shop.journal.clock() + 600
    shop.journal.hold("sink", held)

    def lift() -> None:
        until(lambda: bool(shop.journal.open_runs(sync.sync)))
        until(lambda: next_turn(shop) > held)  # it has a turn after the hold, and waits for it
        shop.journal.lift_holds("sink", "ada", "mended")

    timer = threading.Thread(target=lift)
    timer.start()
    report = shop.run(sync, sink(sandbox.url, requests_per_second=1000))
    timer.join()
    assert report.counts["created"] == 30


@pytest.mark.parametrize("column", first(["next_at", "held_until"]))
@pytest.mark.parametrize("ahead", first([DAY, float("inf")]))
def test_a_clock_that_was_ahead_stops_nobody(
    shop: Shop, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture, column: str, ahead: float
) -> None:
    shop.journal.reserve("sink", 0.001, 1)
    with shop.journal.database.writing() as connection:
        connection.execute(update(pace).values({column: shop.journal.clock() + ahead}))
    with caplog.at_level(logging.WARNING):
        report = shop.run(sync, sink(sandbox.url, requests_per_second=1000))
    assert report.counts["created"] == 30
    assert any("a clock was wrong" in message for message in caplog.messages)


@heavy
def test_our_own_clock_that_was_ahead_stops_nobody(shop: Shop, sandbox: Sandbox, sync: Sync) -> None:
    """It reserved slots, and held the account, while it was."""
    ahead = Journal.open(shop.journal_url, clock=lambda: time.time() + DAY)
    ahead.hold("sink", time.time() + DAY + 60)
    ahead.reserve("sink", 0.001, 100)
    ahead.close()
    assert shop.run(sync, sink(sandbox.url, requests_per_second=1000)).counts["created"] == 30


@heavy
def test_a_clock_that_was_ahead_takes_no_outcomes_along(tmp_path: Path, sandbox: Sandbox) -> None:
    """Outcomes and before-images are kept for 90 days: an undo needs them."""
    ahead = 0.0
    shop = Shop(tmp_path, clock=lambda: time.time() + ahead * DAY)
    runs: list[str] = []
    for ahead in (0.0, 400.0, 0.0):
        shop.build(f"select 'a' as id, 'name {ahead} {len(runs)}' as name")
        runs.append(shop.run(sink_sync(), sink(sandbox.url)).run_id)
        assert all(shop.outcomes(sink_sync(), run) for run in runs)
    shop.close()
