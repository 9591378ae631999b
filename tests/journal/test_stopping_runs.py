"""A run in flight ends within one batch once it is stopped, however that is said, or the day's calls are spent."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.delivery.job_follower import JobUnreadable
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.guards.finding import tripped
from reverse_etl_assets.journal import Journal, RunStatus
from reverse_etl_assets.journal.schema import usage
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.runs.report import Report
from reverse_etl_sandbox.server import Sandbox
from tests.engine.launcher import salesforce
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import first_rows, heavy

ROWS, BATCH, IN_FLIGHT = 240, 10, 2
FILES = {"all": "STOP", "destination:sink": "STOP.destination.sink", "sync:people_to_sink": "STOP.sync.people_to_sink"}
SYNC = sink_sync(options={**SINK, "batch_size": BATCH})
EVERYWHERE = [("journal", scope, database) for scope in FILES for database in ("sqlite", "postgresql")]
BY_FILE = [("file", scope, "sqlite") for scope in FILES]


class Calendar:
    """Noon of this day, or of one some days ahead."""

    days = 0

    def __call__(self) -> float:
        return (time.time() // 86_400 + 0.5 + self.days) * 86_400


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def shop(tmp_path: Path, journal_url: str, calendar: Calendar, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.delenv("REVERSE_ETL_STOP", raising=False)
    shop = Shop(tmp_path, journal_url=journal_url, clock=calendar)
    shop.journal.clock = calendar
    shop.build(f"select i as id, 'n' || i as name from range({ROWS}) r(i)")
    yield shop
    shop.close()


def run(shop: Shop, sandbox: Sandbox, after_batches: int, act: Callable[[], None], **account: Any) -> Report:
    """Run the sync, and do something once so many batches have been answered."""
    left = iter(range(after_batches - 1))

    def on_progress(plan: Plan, statuses: Mapping[str, int]) -> None:
        if next(left, None) is None:
            act()

    return shop.run(SYNC, sink(sandbox.url, concurrency=IN_FLIGHT, **account), on_progress=on_progress)


def told(shop: Shop, report: Report) -> Counter[str]:
    """Outcomes by reason; those that arrived are `written`."""
    return Counter(row.reason or "written" for row in shop.outcomes(SYNC, report.run_id))


@pytest.mark.parametrize(
    ("way", "scope", "journal_url"),
    first_rows(sorted([*EVERYWHERE, *BY_FILE, ("environment", "all", "sqlite")], key=lambda row: row[1] != "all"), 3),
    indirect=["journal_url"],
)
def test_a_run_in_flight_stops_within_one_batch(
    shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, journal_url: str, way: str, scope: str
) -> None:
    other = Journal.open(journal_url)
    begun: list[int] = []

    def stop() -> None:
        if begun:
            return
        match way:
            case "journal":
                other.stop(scope, "ada", "wrong prices")
            case "file":
                (shop.home / FILES[scope]).write_text("wrong prices")
            case "environment":
                monkeypatch.setenv("REVERSE_ETL_STOP", "wrong prices")
        begun.append(len(list(other.batches(other.history(SYNC.sync)[0].run_id))))

    report = run(shop, sandbox, 3, stop)
    assert report.status is RunStatus.STOPPED
    assert report.detail is not None
    assert f"stopped ({scope})" in report.detail
    assert report.detail.endswith(": wrong prices")
    sent = [call for call in sandbox.log.lines("rest") if call.rows]
    # what has begun was sent; a begin may have looked just before the file was there
    assert begun[0] <= len(sent) <= begun[0] + (0 if way == "journal" else IN_FLIGHT)
    assert told(shop, report) == {"written": len(sent) * BATCH, "stopped": ROWS - len(sent) * BATCH}
    assert shop.run(SYNC, sink(sandbox.url)).status is RunStatus.GUARDED
    other.close()


@heavy
@pytest.mark.parametrize("journal_url", ["sqlite", "postgresql"], indirect=True)
def test_a_spent_budget_ends_the_run_and_the_next_day_goes_on(shop: Shop, sandbox: Sandbox, calendar: Calendar) -> None:
    account = sink(sandbox.url, concurrency=IN_FLIGHT, budget=Budget(calls=15))
    report = shop.run(SYNC, account)
    assert report.status is RunStatus.STOPPED
    assert report.detail is not None
    assert report.detail.startswith("the day's budget of 15 requests to sink is used up")
    calls = len(sandbox.log.lines("rest"))
    assert calls == report.calls == shop.journal.usage()[0].calls == 15
    written = 15 * BATCH  # the sink's check asks nothing
    assert told(shop, report) == {"written": written, "budget": ROWS - written}

    refused = shop.run(SYNC, account)
    assert (refused.status, refused.calls, refused.plan_id) == (RunStatus.GUARDED, 0, None)
    assert [finding.guard for finding in tripped(refused.findings)] == ["budget"]
    calendar.days = 1
    again = shop.run(SYNC, sink(sandbox.url, budget=Budget(calls=1_000)))
    assert next(f for f in again.findings if f.guard == "budget").message == "0 requests today of 1,000"
    assert (again.status, again.written) == (RunStatus.DONE, ROWS - written)
    assert sum(used.rows for used in shop.journal.usage()) == ROWS
    assert [used.calls for used in shop.journal.usage()] == [again.calls, 15]


@heavy
@pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
def test_a_job_that_may_not_be_asked_about_any_more_is_collected_on_the_next_day(
    shop: Shop, sandbox: Sandbox, calendar: Calendar
) -> None:
    """Its rows are at work at the destination: whoever took them for unsent would send them twice."""
    sync = sink_sync(
        object="Contact",
        external_id="External_Id__c",
        mapping={"External_Id__c": "id", "LastName": "name"},
        options={"bulk_threshold": 100},
    )
    shop.build("select 'c' || i as id, 'n' || i as name from range(500) r(i)")
    sandbox.settings.change({"salesforce_bulk_polls": 20})
    account = salesforce(sandbox.url)
    account = replace(account, connection=account.connection.model_copy(update={"budget": Budget(calls=8)}))
    report = shop.run(sync, account)
    assert report.status is RunStatus.OPEN
    assert report.calls == 8
    with pytest.raises(JobUnreadable, match="the day's budget of 8 requests to salesforce is used up"):
        shop.run(sync, account)

    calendar.days = 1
    again = shop.run(sync, salesforce(sandbox.url))
    assert (again.recovered, again.change_set) == ((report.run_id,), 0)
    recovered = shop.journal.run(report.run_id)
    assert recovered is not None
    assert recovered.counts["created"] == 500
    assert len([line for line in sandbox.log.lines("salesforce") if line.method == "PUT"]) == 1


@pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
def test_a_journal_that_cannot_count_is_not_blamed_on_the_destination(shop: Shop, sandbox: Sandbox) -> None:
    def break_it() -> None:
        with shop.journal.database.writing() as connection:
            usage.drop(connection, checkfirst=True)

    with pytest.raises(StateError, match="cannot be written"):
        run(shop, sandbox, 1, break_it)
    with shop.journal.database.writing() as connection:
        usage.create(connection)
    assert len(sandbox.log.lines("rest")) < ROWS / BATCH
    shop.run(SYNC, sink(sandbox.url))
    assert sandbox.counts()["rest"]["objects"]["people"]["records"] == ROWS
