"""After a job has its rows, only the job says what became of them: a question that fails is no answer."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.delivery.job_follower import JobUnreadable
from reverse_etl_assets.destinations.base import Account, JobState, Part
from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.errors import DestinationError, RetryLater
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Batch
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import test_google_ads_runs as google, test_zendesk_runs as zendesk
from tests.engine.audiences import meta, replacing_sync
from tests.engine.launcher import salesforce
from tests.engine.shop import EAGER, Shop, sink_sync
from tests.engine.test_kill import CONTACTS
from tests.heavy import first, first_rows, heavy
from tests.limited import limited

DAY = 86_400.0
PEOPLE = "select 'c' || i as id, 'n' as name from range({}) r(i)"


def contacts(**changes: Any) -> Sync:
    return sink_sync(**{**CONTACTS, "verify": {"sample": 0}, "guards": {"max_removed": {}}, **changes})


def uploads(sandbox: Sandbox) -> int:
    return sum(line.method == "PUT" for line in sandbox.log.lines("salesforce"))


def records(sandbox: Sandbox) -> int:
    return len(sandbox.salesforce.tables["Contact"].live())


# One question that fails


@heavy
@pytest.mark.parametrize(
    ("mode", "path", "status"),
    first_rows(
        [
            ("insert_only", "successfulResults", 400),
            ("insert_only", "failedResults", 404),
            ("insert_only", "jobs/ingest/[^/]+$", 422),
            ("incremental", "successfulResults", 404),
            ("incremental", "successfulResults", 302),
            ("incremental", "jobs/ingest/[^/]+$", 500),
        ]
    ),
)
def test_a_result_that_cannot_be_read_once_is_read_again(
    shop: Shop, sandbox: Sandbox, mode: str, path: str, status: int
) -> None:
    shop.build(PEOPLE.format(120))
    sandbox.fault("server_error", vendor="salesforce", method="GET", path=path, next=1, status=status)
    sync = contacts(sync_mode=mode)
    report = shop.run(sync, salesforce(sandbox.url))
    assert report.status is RunStatus.DONE
    assert report.counts["created"] == records(sandbox) == 120
    assert uploads(sandbox) == 1
    undone = undo_run(report.run_id, sync, shop.environment, salesforce(sandbox.url), who="ada", why="wrong")
    assert undone.counts["deleted"] == 120
    assert records(sandbox) == 0


@heavy
def test_garbled_results_are_read_again(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(120))
    sandbox.fault("garbled", vendor="salesforce", path="successfulResults", next=1)
    report = shop.run(contacts(), salesforce(sandbox.url))
    assert (report.counts["created"], uploads(sandbox)) == (120, 1)


@heavy
def test_zendesk_is_asked_again(shop: Shop, sandbox: Sandbox) -> None:
    sandbox.settings.change({"zendesk_requests": 1_000_000})
    shop.build(zendesk.PEOPLE.format(7))
    sandbox.fault("server_error", vendor="zendesk", path="job_statuses", next=1, skip=1, status=400)
    report = shop.run(zendesk.sync(), zendesk.account(sandbox))
    assert report.counts["created"] == 6
    assert zendesk.posts(sandbox) == 1


@heavy
def test_google_is_asked_again(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(google.PEOPLE.format(0, 30))
    sandbox.fault("server_error", vendor="google_ads", path="requestStatus", next=1, skip=1, status=400)
    sync = google.audience()
    report = shop.run(sync, google.google_ads(sandbox))
    assert report.counts["created"] == 30
    assert sandbox.counts()["google_ads"]["operations"]["upsert"] == 2  # the check, and one that wrote


class Stale(Salesforce):
    """Says of a job that was just handed over that it waits for its rows."""

    looks = 0

    async def poll(self, job_id: str) -> JobState:
        self.looks += 1
        return JobState.OPEN if self.looks == 1 else await super().poll(job_id)


class Unreachable(Salesforce):
    """Takes the rows, and then answers the rest of the upload with a refusal."""

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        await super().upload(job_id, batch, part)
        raise self.refusal

    refusal: DestinationError = RetryLater("lost on the way", perhaps_done=True)


@pytest.mark.parametrize("kind", [Stale, Unreachable])
def test_what_was_handed_over_is_not_handed_over_again(shop: Shop, sandbox: Sandbox, kind: type[Salesforce]) -> None:
    shop.build(PEOPLE.format(120))
    account = Account("salesforce", kind, salesforce(sandbox.url).connection)
    report = shop.run(contacts(sync_mode="insert_only"), account)
    assert (report.counts["created"], uploads(sandbox), records(sandbox)) == (120, 1, 120)


@heavy
def test_an_upload_that_was_refused_is_halved(shop: Shop, sandbox: Sandbox) -> None:
    """The job did not begin, so a refusal of its rows is what it says."""
    shop.build(PEOPLE.format(200))
    sandbox.fault("server_error", vendor="salesforce", method="PUT", next=1, status=400)
    report = shop.run(contacts(), salesforce(sandbox.url))
    assert (report.counts["created"], uploads(sandbox)) == (200, 3)


# Results that stay unreadable


class Days:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead * DAY


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture
def later(tmp_path: Path, days: Days) -> Iterator[Shop]:
    shop = Shop(tmp_path, retry_policy=EAGER, clock=days)
    yield shop
    shop.close()


UNREADABLE: dict[str, dict[str, Any]] = {
    "refused": {"path": "successfulResults", "status": 400},
    "no server": {"path": "successfulResults", "status": 503},
    "no state": {"path": "jobs/ingest/[^/]+$", "status": 400},
    "no permission": {"path": "jobs/ingest/[^/]+$", "status": 403},
}


@heavy
@pytest.mark.parametrize("fault", first(UNREADABLE.values()), ids=UNREADABLE)
def test_they_are_waited_for_and_then_in_doubt(
    later: Shop, sandbox: Sandbox, days: Days, fault: dict[str, Any]
) -> None:
    """Of upserts, which are sent again; until then nothing is, and the sync goes on after it."""
    later.build(PEOPLE.format(120))
    trouble = sandbox.fault("server_error", vendor="salesforce", method="GET", **fault)
    sync, there = contacts(), salesforce(sandbox.url)
    first = later.run(sync, there)
    assert first.status is RunStatus.OPEN
    for day in (0.0, 3.0, 6.9):
        days.ahead = day
        with pytest.raises(JobUnreadable):
            later.run(sync, there)
    assert uploads(sandbox) == 1
    days.ahead = 7.1
    trouble.next = 1 if trouble.status == 403 else 8  # what this run asks of the old job, and no more
    report = later.run(sync, there)
    run = later.journal.run(first.run_id)
    assert run is not None
    assert run.counts["failed_ambiguous"] == 120
    assert run.status is RunStatus.FAILED
    lost = r"the results of job \w+ could not be read in 4 runs: 120 rows are in doubt"
    assert re.fullmatch(lost, str(run.detail))
    assert report.given_up == f"run {run.run_id}: {run.detail}"
    assert report.counts["skipped_same"] == 120, "they were looked at, and hold it all"
    assert later.run(sync, there).change_set == 0


@heavy
def test_a_clock_that_was_ahead_leaves_no_job_open_for_ever(later: Shop, sandbox: Sandbox, days: Days) -> None:
    later.build(PEOPLE.format(120))
    trouble = sandbox.fault("server_error", vendor="salesforce", path="successfulResults", status=400)
    sync, there = contacts(jobs={"give_up_after": "1 day", "give_up_runs": 2}), salesforce(sandbox.url)
    later.run(sync, there)
    days.ahead = -300.0  # the journal noted the job by the wrong clock
    with pytest.raises(JobUnreadable):
        later.run(sync, there)
    trouble.next = 8
    assert "120 rows are in doubt" in later.run(sync, there).given_up


@heavy
def test_they_are_waited_for_by_several_runs(later: Shop, sandbox: Sandbox, days: Days) -> None:
    """A sync that did not run for weeks does not give up at its first look."""
    later.build(PEOPLE.format(120))
    sandbox.fault("server_error", vendor="salesforce", path="successfulResults", status=400)
    sync, there = contacts(jobs={"give_up_after": "1 day", "give_up_runs": 2}), salesforce(sandbox.url)
    first = later.run(sync, there)
    days.ahead = 30.0
    with pytest.raises(JobUnreadable):
        later.run(sync, there)
    sandbox.faults.clear()
    report = later.run(sync, there)
    assert report.given_up == ""
    run = later.journal.run(first.run_id)
    assert run is not None
    assert run.counts["created"] == 120
    assert (run.status, run.detail) == (
        RunStatus.DONE,
        "the results of its jobs were folded in by the next run",
    )
    assert uploads(sandbox) == 1


@heavy
def test_a_run_that_comes_home_after_months_has_its_counts(later: Shop, sandbox: Sandbox, days: Days) -> None:
    later.build(PEOPLE.format(120))
    sandbox.fault("server_error", vendor="salesforce", path="successfulResults", status=400)
    first = later.run(contacts(), salesforce(sandbox.url))
    assert first.status is RunStatus.OPEN
    sandbox.faults.clear()
    days.ahead = 100.0
    later.run(contacts(), salesforce(sandbox.url))
    run = later.journal.run(first.run_id)
    assert run is not None
    assert run.counts["created"] == 120


def test_a_job_that_never_ends_is_given_up_too(later: Shop, sandbox: Sandbox, days: Days) -> None:
    later.build(PEOPLE.format(120))
    sandbox.settings.change({"salesforce_bulk_polls": 1_000_000})
    sync, there = (
        contacts(),
        Account("salesforce", limited(Salesforce, jobs={"timeout": 0.0}), salesforce(sandbox.url).connection),
    )
    first = later.run(sync, there)
    assert first.pending
    for day in (0.0, 8.0):
        days.ahead = day
        report = later.run(sync, there)
        assert (report.status, report.pending) == (RunStatus.OPEN, True)
    report = later.run(sync, there)
    assert "120 rows are in doubt" in report.given_up
    run = later.journal.run(first.run_id)
    assert run is not None
    assert run.counts["failed_ambiguous"] == 120


@heavy
def test_a_job_that_spans_the_run_is_given_up_too(later: Shop, sandbox: Sandbox, days: Days) -> None:
    later.build("select 'p' || i || '@shop.example' as email, 'n' as name, 'CH' as country from range(10) r(i)")
    sandbox.fault("server_error", vendor="meta_ads", method="GET", path="sessions", status=400)
    sandbox.fault("timeout_after", vendor="meta_ads", path="usersreplace", skip=2, next=1, hold_seconds=0.0)
    sync = replacing_sync(max_failed={"percent": 100})
    first = later.run(sync, meta(sandbox.url))
    assert first.status is RunStatus.OPEN
    for day in (0.0, 8.0):
        days.ahead = day
        with pytest.raises(JobUnreadable):
            later.run(sync, meta(sandbox.url))
    days.ahead = 8.0
    report = later.run(sync, meta(sandbox.url))
    assert "10 rows are in doubt" in report.given_up


class Once(Salesforce):
    """The same, of operations that must not be repeated."""

    @classmethod
    def capabilities_for(cls, target: Any, options: Any) -> Any:
        return replace(super().capabilities_for(target, options), idempotent=frozenset())


@heavy
def test_what_must_not_go_twice_is_held(later: Shop, sandbox: Sandbox, days: Days) -> None:
    later.build(PEOPLE.format(120))
    sandbox.fault("server_error", vendor="salesforce", path="successfulResults", status=400)
    sync, there = contacts(sync_mode="insert_only"), Account("salesforce", Once, salesforce(sandbox.url).connection)
    later.run(sync, there)
    days.ahead = 8.0
    for _ in range(2):
        with pytest.raises(JobUnreadable):
            later.run(sync, there)
    report = later.run(sync, there)
    assert report.counts["held"] == 120
    assert uploads(sandbox) == 1
    assert records(sandbox) == 120


@pytest.mark.parametrize("status", first([400, 503]))
def test_a_job_that_is_not_opened_has_no_rows_in_doubt(shop: Shop, sandbox: Sandbox, status: int) -> None:
    shop.build(PEOPLE.format(200))
    sandbox.fault("server_error", vendor="salesforce", method="POST", path="jobs/ingest$", next=1, status=status)
    sync, there = contacts(sync_mode="insert_only"), Account("salesforce", Once, salesforce(sandbox.url).connection)
    report = shop.run(sync, there)
    assert (report.counts["created"], report.counts["failed"], records(sandbox)) == (200, 0, 200)


@heavy
def test_a_lost_token_where_a_job_is_opened_ends_the_run(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(120))
    sandbox.fault("server_error", vendor="salesforce", method="POST", path="jobs/ingest$", status=401)
    sync, there = contacts(sync_mode="insert_only"), Account("salesforce", Once, salesforce(sandbox.url).connection)
    report = shop.run(sync, there)
    assert (report.status, report.counts["skipped_stopped"]) == (RunStatus.FAILED, 120)
