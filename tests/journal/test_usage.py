"""What is taken of an account: rows and bytes of a day, and calls, which nobody takes twice or beyond a limit."""

import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from reverse_etl_assets.journal import Journal, Usage
from reverse_etl_assets.journal.records import Refusal
from reverse_etl_assets.journal.usage import Allowance
from reverse_etl_assets.records import Quota
from tests.heavy import heavy

HOUR, DAY = 3_600, 86_400
ANY = Allowance()


def take(journal: Journal, wanted: int, calls: int | None = None, leave: float = 0, **more: Any) -> int:
    return journal.take_calls("crm", more.pop("sync", "contacts"), wanted, Allowance(calls, leave), **more).calls


def take_all(journal: Journal, calls: int | None = None, leave: float = 0) -> int:
    """How many calls there are until none is given."""
    taken = 0
    while some := take(journal, 20, calls, leave):
        taken += some
    return taken


class TestUsage:
    def test_adds_up_by_destination_sync_and_day(self, journal: Journal, clock: Any) -> None:
        journal.add_usage("crm", "contacts", rows=100, bytes=5_000_000_000)
        journal.add_usage("crm", "contacts", rows=50, bytes=1)
        journal.take_calls("crm", "contacts", 3, ANY)
        journal.add_usage("chat", "alerts", rows=7, bytes=7)
        clock.now += DAY
        journal.take_calls("crm", "contacts", 2, ANY)
        journal.add_usage("crm", "contacts", rows=3, bytes=3)
        today = Usage("2025-06-16", "crm", "contacts", 2, 3, 3)
        yesterday = Usage("2025-06-15", "crm", "contacts", 3, 150, 5_000_000_001)
        assert journal.usage("crm") == [today, yesterday]
        assert journal.usage() == [today, Usage("2025-06-15", "chat", "alerts", 0, 7, 7), yesterday]
        assert journal.usage("crm", days=1) == [today]

    def test_nothing_is_lost_between_threads(self, open_journal: Callable[[], Journal]) -> None:
        journals = [open_journal(), open_journal()]

        def add(journal: Journal) -> None:
            for _ in range(8):
                taken = journal.take_calls("crm", "contacts", 3, ANY)
                journal.return_calls("crm", "contacts", taken, 2)
                journal.add_usage("crm", "contacts", rows=2, bytes=3)

        threads = [threading.Thread(target=add, args=(journal,)) for journal in journals * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (usage,) = journals[0].usage()
        assert (usage.calls, usage.rows, usage.bytes) == (32, 64, 96)


class TestBudget:
    def test_all_syncs_share_it_to_the_last_call(self, journal: Journal) -> None:
        assert take(journal, 20, 100) == 10, "fewer near the limit"
        assert take(journal, 20, 100, sync="deals") == 9
        assert take_all(journal, 100) == 81
        for sync in ("contacts", "deals"):
            refused = journal.take_calls("crm", sync, 1, Allowance(100))
            assert (refused.calls, refused.room.refused, refused.room.calls) == (0, Refusal.BUDGET, 100)
        assert journal.take_calls("chat", "alerts", 20, Allowance(1000)).calls == 20, "every account has its own"

    @heavy
    def test_what_is_given_back_can_be_taken(self, journal: Journal) -> None:
        first = journal.take_calls("crm", "contacts", 20, Allowance(200))
        assert take_all(journal, 200) == 180
        journal.return_calls("crm", "contacts", first, 15)
        assert take_all(journal, 200) == 15

    def test_a_smaller_budget_holds_at_once_and_a_greater_one_goes_on(self, journal: Journal) -> None:
        assert take_all(journal, 50) == 50
        assert take_all(journal, 20) == 0
        assert take_all(journal, 60) == 10

    @heavy
    def test_the_next_day_goes_on(self, journal: Journal, clock: Any) -> None:
        assert take_all(journal, 30) == 30
        clock.now += DAY
        assert take_all(journal, 30) == 30

    def test_calls_that_come_back_late_are_those_of_their_day(self, journal: Journal, clock: Any) -> None:
        late = journal.take_calls("crm", "contacts", 3, Allowance(30))
        clock.now += DAY
        assert take_all(journal, 30) == 30
        journal.return_calls("crm", "contacts", late, 3)
        assert take_all(journal, 30) == 0

    @pytest.mark.parametrize("back", [1, 60, 2 * HOUR, DAY])
    def test_a_clock_that_is_set_back_reopens_nothing(self, journal: Journal, clock: Any, back: int) -> None:
        """Not even in the middle of the night, where an hour less is another day."""
        clock.now = 1_750_032_000.0 + HOUR  # an hour past midnight
        assert take_all(journal, 30) == 30
        clock.now -= back
        assert take_all(journal, 30) == 0
        journal.add_usage("crm", "contacts", rows=1, bytes=1)
        assert [used.day for used in journal.usage()] == ["2025-06-16"]

    def test_a_clock_that_was_far_ahead_does_not_stop_syncs_for_good(self, journal: Journal, clock: Any) -> None:
        clock.now += 400 * DAY
        assert take_all(journal, 30) == 30
        clock.now -= 400 * DAY
        assert take_all(journal, 30) == 30

    @heavy
    def test_processes_together_take_no_more_than_there_is(
        self, journal_url: str, journal: Journal, start: Callable[..., Any], go: Callable[[Sequence[Any]], None]
    ) -> None:
        processes = [start("spend", journal_url, f"sync{i}", "120") for i in range(2)]
        go(processes)
        spent = [int(process.stdout.read()) for process in processes]
        assert [process.wait(30) for process in processes] == [0, 0]
        assert sum(spent) == 120
        counted = {used.sync: used.calls for used in journal.usage() if used.calls}
        assert counted == {f"sync{i}": calls for i, calls in enumerate(spent) if calls}

    @heavy
    def test_the_calls_of_a_killed_process_stay_counted(
        self, journal_url: str, journal: Journal, start: Callable[..., Any], go: Callable[[Sequence[Any]], None]
    ) -> None:
        process = start("spend_until_killed", journal_url, "contacts", "1000000")
        go([process])
        for _ in range(100):
            process.stdout.readline()
        process.kill()
        assert process.wait(30) == -signal.SIGKILL
        made = 100 + len(process.stdout.read().splitlines())
        (used,) = journal.usage()
        assert made <= used.calls <= 4 * made + 20, "and not many more: a lease at most"


class TestVendorsCounter:
    def test_leaves_the_share_of_other_tools(self, journal: Journal) -> None:
        assert journal.room("crm", ANY).vendor is None
        assert take(journal, 20, leave=20) == 20, "nothing is known yet"
        assert take(journal, 5, leave=20, heard=Quota(760, 1000)) == 4
        assert take_all(journal, leave=20) == 36
        refused = journal.take_calls("crm", "contacts", 1, Allowance(leave=20))
        assert (refused.calls, refused.room.refused) == (0, Refusal.VENDOR)
        vendor = journal.room("crm", ANY).vendor
        assert vendor is not None
        assert (vendor.used, vendor.limit, vendor.since) == (760, 1000, 40)
        assert journal.room("crm", Allowance(leave=10)).left == 100, "less is left for others"

    def test_what_other_tools_took_counts(self, journal: Journal) -> None:
        take(journal, 1, heard=Quota(10, 1000))
        assert take(journal, 1, heard=Quota(999, 1000)) == 1
        assert take_all(journal) == 0

    def test_calls_given_back_are_not_counted_against_it(self, journal: Journal) -> None:
        taken = journal.take_calls("crm", "contacts", 20, ANY, Quota(0, 100))
        journal.return_calls("crm", "contacts", taken, 10)
        assert take_all(journal) == 100

    def test_the_budget_holds_as_well(self, journal: Journal) -> None:
        take(journal, 1, 30, heard=Quota(0, 1000))
        assert take_all(journal, 30) == 29

    def test_a_vendor_without_room_is_asked_once_an_hour(self, journal: Journal, clock: Any) -> None:
        """It counts in days of its own, or the last 24 hours; only an answer tells when there is room again."""
        assert take(journal, 20, heard=Quota(1000, 1000)) == 0
        clock.now += HOUR
        assert journal.room("crm", ANY).refused is None
        assert take(journal, 20) == 5
        assert take_all(journal) == 0, "one process asks for all"
        clock.now += HOUR
        assert take(journal, 20, 3) == 0, "not beyond the day's budget"
        assert take(journal, 20) == 5
        assert take(journal, 20, heard=Quota(0, 1000)) == 20
        assert journal.room("crm", ANY).left == 980

    @pytest.mark.parametrize("later", [DAY, 400 * DAY, -DAY])
    def test_after_a_day_it_is_not_believed(self, journal: Journal, clock: Any, later: int) -> None:
        take(journal, 1, heard=Quota(1000, 1000))
        clock.now += later
        assert journal.room("crm", ANY).vendor is None
        assert take(journal, 20) == 20

    def test_since_goes_on_past_midnight(self, journal: Journal, clock: Any) -> None:
        clock.now = 1_750_032_000.0 - 60
        take(journal, 10, heard=Quota(0, 1000))
        clock.now += 120
        take(journal, 10)
        vendor = journal.room("crm", ANY).vendor
        assert vendor is not None
        assert vendor.since == 20
