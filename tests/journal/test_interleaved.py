"""What two processes do at once in PostgreSQL, one step after the other: the second begins while the transaction of the
first is still open. Nothing here is left to chance, as where processes race."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, insert, select, text, update

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Journal, ModelResult, Stopped, schema as tables
from reverse_etl_assets.journal.records import PlanStatus
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.records import Quota
from tests.journal.test_plans import plan
from tests.journal_entries import begin_next, record_model_results

T = TypeVar("T")
Step = Callable[[Connection], object]
DAY = "2025-06-15"  # the day of the clock

pytestmark = pytest.mark.parametrize("journal_url", ["postgresql"], indirect=True)
_BLOCKS = text(
    "select exists(select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid)))"
)


def meanwhile(journal: Journal, first: Step, second: Callable[[], T], then: Step = lambda connection: None) -> T:
    """Does `second` while the transaction of `first` is open; that one does `then` and ends once `second` waits for it,
    or is done."""
    with ThreadPoolExecutor(1) as pool:
        with journal.database.writing() as connection:
            first(connection)
            other = pool.submit(second)
            while not other.done() and not connection.scalar(_BLOCKS):
                wait([other], timeout=0.01)
            then(connection)
        return other.result(20)


@pytest.fixture
def two(open_journal: Callable[[], Journal]) -> tuple[Journal, Journal]:
    return open_journal(), open_journal()


def taking(calls: int, sync: str) -> Step:
    row = {"day": DAY, "destination": "crm", "sync": sync, "calls": calls, "rows": 0, "bytes": 0}
    return lambda connection: connection.execute(insert(tables.usage).values(row))


@pytest.mark.parametrize("sync", ["deals", "contacts"])
def test_calls_that_another_process_is_taking_are_taken(two: tuple[Journal, Journal], sync: str) -> None:
    """Of 100 calls 97 go to one process; the other one sees what is left, and not what there was."""
    here, there = two
    taken = meanwhile(here, taking(97, sync), lambda: there.take_calls("crm", "contacts", 20, Allowance(100)))
    assert (taken.room.calls, taken.calls) == (97, 1)
    assert sum(used.calls for used in here.usage()) == 98


def test_calls_that_are_being_taken_count_once_against_the_vendors_counter(two: tuple[Journal, Journal]) -> None:
    """What the vendor says holds them already."""
    here, there = two
    mine = there.take_calls("crm", "contacts", 20, Allowance())
    meanwhile(here, taking(40, "deals"), lambda: there.return_calls("crm", "contacts", mine, 10, Quota(50, 100)))
    vendor = here.room("crm", Allowance()).vendor
    assert vendor is not None
    assert (vendor.used, vendor.since) == (50, 0)


def looks(connection: Connection) -> None:
    connection.execute(select(tables.pace).with_for_update())


def paces(**values: float) -> Step:
    return lambda connection: connection.execute(update(tables.pace).values(values))


def test_a_slot_that_is_being_given_is_given_to_nobody_else(two: tuple[Journal, Journal], clock: Any) -> None:
    here, there = two
    here.reserve("crm", 1, 1)
    later = clock.now + 10
    assert meanwhile(here, looks, lambda: there.reserve("crm", 1, 1), paces(next_at=later)) == later


def test_a_hold_that_is_being_made_gets_no_shorter(two: tuple[Journal, Journal], clock: Any) -> None:
    here, there = two
    here.reserve("crm", 1, 1)
    until = clock.now + 10
    meanwhile(here, looks, lambda: there.hold("crm", clock.now + 5), paces(held_until=until))
    assert here.held_until("crm") == until


def test_a_stop_that_is_being_given_holds_for_who_begins(two: tuple[Journal, Journal]) -> None:
    here, there = two
    here.start_run("r1", "contacts", "crm")

    def stop(connection: Connection) -> None:
        here.database.lock(connection, tables.stops, "EXCLUSIVE")
        connection.execute(insert(tables.stops).values(scope="all", who="ada", why="now", at=0.0))

    with pytest.raises(Stopped, match="by ada"):
        meanwhile(here, stop, lambda: begin_next(there, "r1", [1]))
    assert list(here.batches("r1")) == []


def approving(connection: Connection) -> None:
    connection.execute(update(tables.plans).values(status=PlanStatus.APPROVED, who="ada", why="fine"))


def test_a_plan_that_somebody_is_approving_is_approved(two: tuple[Journal, Journal]) -> None:
    here, there = two
    here.keep_plan(plan("p1"))
    with pytest.raises(StateError, match="approved already, by ada"):
        meanwhile(here, approving, lambda: there.approve("p1", "bob", "fine"))
    assert here.control_log() == []


def test_a_plan_that_is_planned_again_keeps_the_approval_that_comes_meanwhile(two: tuple[Journal, Journal]) -> None:
    here, there = two
    here.keep_plan(plan("p1"))
    meanwhile(here, approving, lambda: there.keep_plan(plan("p1", run_id="later")))
    approved = here.approval_of("contacts")
    assert approved is not None
    assert approved.who == "ada"


def test_an_older_result_does_not_take_the_place_of_one_that_is_being_kept(
    two: tuple[Journal, Journal], clock: Any
) -> None:
    here, there = two
    record_model_results(here, "people", {"unique_id": "pass"})
    clock.now += 10

    def fails(connection: Connection) -> None:
        connection.execute(update(tables.model_results).values(status="fail", at=clock.now))

    older = ModelResult("unique_id", "pass", clock.now - 5)
    meanwhile(here, fails, lambda: there.hear_model_results({"people": [older]}))
    assert [result.status for result in here.model_results("people")] == ["fail"]


def test_who_only_reads_waits_for_nobody(two: tuple[Journal, Journal]) -> None:
    here, there = two
    assert meanwhile(here, taking(97, "deals"), lambda: there.room("crm", Allowance(100)).calls) == 0
    assert here.room("crm", Allowance(100)).calls == 97
