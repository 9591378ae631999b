"""Everybody replaced over a session of batches, by the engine, against the sandbox; also by processes that die."""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import JobState, Part
from reverse_etl_assets.destinations.meta_ads.answers import Received
from reverse_etl_assets.destinations.meta_ads.sessions import HandedOver, state_of
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.meta_ads import REPLACED
from reverse_etl_sandbox.server import Sandbox
from tests.engine.audiences import meta, replacing_sync
from tests.engine.launcher import Launcher
from tests.engine.shop import Shop
from tests.heavy import first_rows, heavy

SYNC = replacing_sync()
MINUTES = 60.0


class Watch:
    """The real time, and what a test adds to it."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def server(watch: Watch) -> Iterator[Sandbox]:
    with Sandbox(watch) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox, watch: Watch) -> Sandbox:
    watch.ahead = 0.0
    server.reset()
    return server


def build(shop: Shop, first: int, last: int, bad: str = "") -> None:
    """People with these numbers; those whose numbers are listed have no usable address."""
    shop.build(
        f"select case when i in ({bad or -1}) then 'nobody' || i else 'p' || i || '@x.org' end as email,"
        f" 'Ann' as name, 'CH' as country from range({first}, {last}) r(i) order by i"
    )


def members(sandbox: Sandbox) -> set[str]:
    return {each.values["EMAIL"] for each in sandbox.meta_ads.tables[REPLACED].live()}


def people(first: int, last: int) -> set[str]:
    return {hashlib.sha256(f"p{number}@x.org".encode()).hexdigest() for number in range(first, last)}


def batches(sandbox: Sandbox) -> list[tuple[int, int]]:
    """Entries and status of each batch."""
    return [(line.rows, line.status) for line in sandbox.log.lines() if line.path.endswith("/usersreplace")]


def run(shop: Shop, sandbox: Sandbox, sync: Sync = SYNC) -> Report:
    return shop.run(sync, meta(sandbox.url))


def test_a_run_replaces_everybody(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, 0, 10)
    report = run(shop, sandbox)
    assert (report.status, report.counts["updated"], report.counts["failed"]) == (RunStatus.DONE, 10, 0)
    assert batches(sandbox) == [(4, 200), (4, 200), (2, 200)]
    assert members(sandbox) == people(0, 10)
    assert all(outcome.inferred for outcome in shop.outcomes(SYNC, report.run_id))
    build(shop, 7, 12)
    assert run(shop, sandbox).counts["updated"] == 5
    assert members(sandbox) == people(7, 12)


def test_rows_that_cannot_be_sent_do_not_keep_the_session_open(shop: Shop, sandbox: Sandbox) -> None:
    """All of the last part are such rows, so that an entry of the part before closes the session."""
    build(shop, 0, 9, bad="2, 8")
    report = run(shop, sandbox)
    assert (report.counts["updated"], report.counts["failed_invalid"]) == (7, 2)
    assert len(members(sandbox)) == 7
    assert {line.status for line in sandbox.log.lines()} == {200}
    [session] = sandbox.meta_ads.audiences[REPLACED].sessions.values()
    assert session.ended is not None


@heavy
def test_a_run_without_anybody_leaves_the_audience_as_it_is(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, 0, 5)
    run(shop, sandbox)
    build(shop, 0, 3, bad="0, 1, 2")
    report = run(shop, sandbox)
    assert report.status is RunStatus.FAILED
    assert "the audience stays as it is" in (report.detail or "")
    assert members(sandbox) == people(0, 5)


@heavy
def test_entries_that_meta_names_are_rejected(shop: Shop, sandbox: Sandbox) -> None:
    build(shop, 0, 10)
    sandbox.fault("refuse_rows", vendor="meta_ads", percent=30)
    report = run(shop, sandbox)
    assert 0 < report.counts["failed_rejected"] == 10 - len(members(sandbox))
    assert report.counts["updated"] == len(members(sandbox))


@heavy
@pytest.mark.parametrize(
    ("kind", "part"),
    first_rows(
        [
            ("drop_after", 1),
            ("server_error", 2),
            ("malformed", 3),
            ("drop_before", 1),
            ("drop_after", 2),
            ("drop_after", 3),
        ],
        3,
    ),
)
def test_a_batch_without_an_answer(shop: Shop, sandbox: Sandbox, kind: str, part: int) -> None:
    """Whatever part it is and whether it arrived: the audience is complete, and every row once."""
    build(shop, 0, 10)
    sandbox.fault(kind, vendor="meta_ads", path="usersreplace", skip=part - 1, next=1)
    report = run(shop, sandbox)
    assert (report.status, report.counts["updated"]) == (RunStatus.DONE, 10), report.detail
    assert members(sandbox) == people(0, 10)


@heavy
def test_another_replacement_is_under_way(shop: Shop, sandbox: Sandbox, watch: Watch) -> None:
    """Nothing is taken for delivered, and the next run does it all."""
    build(shop, 0, 10)
    sandbox.settings.change({"meta_ads_replace_seconds": 20 * MINUTES})
    assert run(shop, sandbox).counts["updated"] == 10
    report = run(shop, sandbox)
    assert report.status is RunStatus.FAILED
    assert "being replaced" in (report.detail or "")
    assert report.counts["skipped_stopped"] == 10
    watch.ahead = 21 * MINUTES
    assert run(shop, sandbox).counts["updated"] == 10
    assert members(sandbox) == people(0, 10)


def start(shop: Shop, launcher: Launcher, sandbox: Sandbox, **moment: Any) -> None:
    launcher.start(shop, SYNC, "meta", sandbox.url, **moment)
    assert launcher.result() is None  # it died


@heavy
@pytest.mark.parametrize(("part", "too_late"), [(1, True), (3, False)])
def test_killed_in_the_middle(
    shop: Shop, launcher: Launcher, sandbox: Sandbox, watch: Watch, part: int, too_late: bool
) -> None:
    """Meta keeps such a session open for 90 minutes. Nothing of it counts as delivered, also not what Meta then
    replaces the audience with."""
    build(shop, 0, 10)
    start(shop, launcher, sandbox, dies_with=part, too_late=too_late)
    before = len(batches(sandbox))
    waits = run(shop, sandbox)
    assert waits.pending
    assert "still running" in (waits.detail or "")
    assert len(batches(sandbox)) == before
    assert shop.state(SYNC, "select count(*) from state.synced") == [(0,)]
    watch.ahead = 91 * MINUTES
    report = run(shop, sandbox)
    assert (report.status, report.counts["updated"]) == (RunStatus.DONE, 10)
    assert members(sandbox) == people(0, 10)
    [killed] = report.recovered
    recovered = shop.journal.run(killed)
    assert recovered is not None
    assert recovered.counts["updated"] == 0


@heavy
def test_killed_before_meta_heard_of_the_session(shop: Shop, launcher: Launcher, sandbox: Sandbox) -> None:
    build(shop, 0, 10)
    start(shop, launcher, sandbox, dies_with=1)
    assert batches(sandbox) == []
    assert run(shop, sandbox).counts["updated"] == 10


@heavy
def test_killed_after_the_last_batch(shop: Shop, launcher: Launcher, sandbox: Sandbox) -> None:
    """What the killed run handed over in full is collected."""
    build(shop, 0, 10)
    start(shop, launcher, sandbox, dies_with=3, too_late=True)
    assert members(sandbox) == people(0, 10)
    report = run(shop, sandbox)
    [killed] = report.recovered
    recovered = shop.journal.run(killed)
    assert recovered is not None
    assert recovered.counts["updated"] == 10


@heavy
def test_an_undo_replaces_nobody(shop: Shop, sandbox: Sandbox) -> None:
    """It sends a few rows, which must not take the place of all others."""
    build(shop, 0, 10)
    first = run(shop, sandbox)
    shop.build("select email, case when email = 'p3@x.org' then 'Bob' else name end as name, country from marts.people")
    second = run(shop, sandbox)
    sent = len(batches(sandbox))
    report = undo_run(second.run_id, SYNC, shop.environment, meta(sandbox.url), who="ada", why="wrong name")
    assert report.status is RunStatus.DONE, report.detail
    assert len(batches(sandbox)) == sent
    assert members(sandbox) == people(0, 10)
    assert first.counts["updated"] == 10


def test_a_batch_that_came_twice_hides_no_later_one() -> None:
    """Meta's count of the session grew by it; a lost batch must not look as if it were there."""
    session = HandedOver()
    session.offer([["a"], ["b"]], Part(1, False))
    session.take(Received(4, 0))
    assert session.offer([["c"]], Part(2, True)) == {"batch_seq": 2, "last_batch_flag": True}
    assert session.offered == 5


@pytest.mark.parametrize(
    ("session", "state"),
    [
        ({}, JobState.OPEN),
        ({"start_time": "1000", "end_time": "0"}, JobState.RUNNING),
        ({"start_time": "1000", "end_time": "1300"}, JobState.DONE),
        ({"start_time": "1000", "end_time": "6339"}, JobState.DONE),  # 89 minutes, and a second less
        ({"start_time": "1000", "end_time": "6340"}, JobState.OPEN),
        ({"start_time": "1000", "end_time": "6400"}, JobState.OPEN),
        ({"start_time": "-3999", "end_time": "0"}, JobState.RUNNING),  # 100 minutes ago, and a second less
        ({"start_time": "-4000", "end_time": "0"}, JobState.OPEN),
        ({"start_time": "-9000", "end_time": "0"}, JobState.OPEN),
        ({"start_time": None, "end_time": "soon"}, JobState.RUNNING),
    ],
)
def test_a_session_that_another_process_left(session: dict[str, Any], state: JobState) -> None:
    assert state_of(session, 2_000.0) is state
