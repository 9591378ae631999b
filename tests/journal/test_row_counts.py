"""The history that a row count is judged by: recent runs, and the last of each day, found in many others."""

from typing import Any

from reverse_etl_assets.journal import Journal, RunStatus
from reverse_etl_assets.journal.records import RunKind

DAY = 86_400.0


def test_recent_runs_and_the_last_of_each_day(journal: Journal, clock: Any) -> None:
    midnight = clock.now = 20_000 * DAY
    expected = []
    for day in range(5):
        for hour in (0, 1, 23.99):
            clock.now = midnight + day * DAY + hour * 3_600
            done(journal, f"{day} {hour}", rows=100 * day + int(hour))
        if day in (2, 3):  # the first two days are too long ago, of the last one there are recent runs
            expected.append((clock.now, 100 * day + 23))
    assert journal.row_counts("contacts", recent=0, since=midnight + 5 * DAY) == []
    found = journal.row_counts("contacts", recent=2, since=midnight + 2 * DAY)
    last = midnight + 4 * DAY
    assert found == [(last + 23.99 * 3_600, 423), (last + 3_600, 401), *reversed(expected)]


def test_only_runs_of_the_sync_that_ended_well(journal: Journal, clock: Any) -> None:
    """However many runs a guard has stopped since: the guard must not forget what is usual by stopping them."""
    done(journal, "good", rows=1)
    done(journal, "another sync's", sync="deals", rows=2)
    done(journal, "an undo", kind=RunKind.UNDO, rows=3)
    done(journal, "without a plan", rows=None)
    journal.start_run("open", "contacts", "crm", model_rows=4)
    for number in range(100):
        done(journal, f"guarded {number}", status=RunStatus.GUARDED, rows=5)
    assert journal.row_counts("contacts", recent=10, since=0) == [(clock.now, 1)]


def test_a_clock_that_went_backwards(journal: Journal, clock: Any) -> None:
    """Runs of the future are told apart by their time; those before them are still found."""
    now = clock.now
    for number in range(20):
        clock.now = now - 3_600 * (20 - number)
        done(journal, f"past {number}", rows=number)
    for number in range(20):
        clock.now = now + 3_600 * (1 + number)
        done(journal, f"future {number}", rows=999)
    clock.now = now
    found = journal.row_counts("contacts", recent=3, since=now)
    assert [rows for at, rows in found if at <= now] == [19, 18, 17]
    assert {rows for at, rows in found if at > now} == {999}


def done(
    journal: Journal,
    run_id: str,
    *,
    rows: int | None,
    sync: str = "contacts",
    status: RunStatus = RunStatus.DONE,
    kind: RunKind = RunKind.SYNC,
) -> None:
    journal.start_run(run_id, sync, "crm", model_rows=rows, kind=kind)
    journal.end_run(run_id, status, counts={})
