"""The rate of an account, shared by all who talk to it."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from reverse_etl_assets.journal import Journal
from tests.heavy import heavy


class TestSlots:
    def test_slots_are_evenly_spaced_and_never_in_the_past(self, journal: Journal, clock: Any) -> None:
        start = clock.now
        assert journal.reserve("crm", 0.5, 3) == start
        assert journal.reserve("crm", 0.5, 1) == start + 1.5
        assert journal.reserve("chat", 0.5, 1) == start, "every account has its own rate"
        clock.now += 100
        assert journal.reserve("crm", 0.5, 1) == start + 100, "time nobody used is not made up for"

    def test_a_hold_moves_slots_and_never_gets_shorter(self, journal: Journal, clock: Any) -> None:
        start = clock.now
        assert journal.held_until("crm") == 0
        journal.hold("crm", start + 10)
        journal.hold("crm", start + 5)
        assert journal.held_until("crm") == start + 10
        assert journal.reserve("crm", 1, 2) == start + 10
        assert journal.reserve("crm", 1, 1) == start + 12
        assert journal.held_until("chat") == 0

    @heavy
    def test_processes_never_get_the_same_slot(
        self, journal_url: str, journal: Journal, start: Callable[..., Any], go: Callable[[Sequence[Any]], None]
    ) -> None:
        interval = 0.01
        processes = [start("reserve", journal_url, str(interval), "40") for _ in range(3)]
        go(processes)
        slots: list[float] = []
        for process in processes:
            for line in process.stdout.read().splitlines():
                count, first = line.split()
                slots += [float(first) + i * interval for i in range(int(count))]
        assert [p.wait(30) for p in processes] == [0, 0, 0]
        slots.sort()
        assert len(slots) == 3 * (13 * 6 + 1)
        gaps = [b - a for a, b in itertools.pairwise(slots)]
        assert min(gaps) == pytest.approx(interval, abs=1e-6)

    @heavy
    def test_pacers_of_several_processes_keep_the_rate_together(
        self, journal_url: str, journal: Journal, start: Callable[..., Any], go: Callable[[Sequence[Any]], None]
    ) -> None:
        rate, turns = 100.0, 100
        processes = [start("pace", journal_url, str(rate), str(turns)) for _ in range(2)]
        go(processes)
        per_process = [[float(line) for line in p.stdout.read().splitlines()] for p in processes]
        times = sorted(t for times in per_process for t in times)
        late = 0.8  # seconds by which a busy machine may wake a process late; unshared, all would be done in one
        for i, first in enumerate(times):
            for n, last in enumerate(times[i:], 1):
                assert n <= rate * (last - first + late) + 1
        assert [len(times) for times in per_process] == [turns, turns], "both get a share"
