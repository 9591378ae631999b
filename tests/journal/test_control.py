import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.journal import ControlEntry, Intent, Journal, ModelResult, Stop, Stopped
from reverse_etl_assets.journal.batches import stop_in_force, write_intents
from reverse_etl_assets.journal.records import scopes_of
from reverse_etl_assets.records import Operation
from tests.journal_entries import begin_next, record_model_results


class TestKillSwitch:
    @pytest.mark.parametrize(
        ("scope", "stopped"),
        [
            ("all", {"contacts", "deals", "alerts"}),
            ("destination:crm", {"contacts", "deals"}),
            ("sync:deals", {"deals"}),
            ("destination:CRM", set()),
        ],
    )
    def test_scope(self, journal: Journal, clock: Any, scope: str, stopped: set[str]) -> None:
        syncs = {"contacts": "crm", "deals": "crm", "alerts": "chat"}
        journal.stop(scope, "ada", "bad data")
        stop = Stop(scope, "ada", "bad data", clock.now)
        assert {s for s, d in syncs.items() if journal.stopped(d, s) == stop} == stopped
        journal.resume(scope, "bob", "mended")
        assert all(journal.stopped(d, s) is None for s, d in syncs.items())

    def test_a_stop_holds_until_its_own_scope_resumes(self, journal: Journal) -> None:
        journal.stop("sync:contacts", "ada", "mapping")
        journal.stop("all", "ada", "incident")
        assert [s.scope for s in journal.stops()] == ["sync:contacts", "all"]
        journal.resume("all", "bob", "over")
        stop = journal.stopped("crm", "contacts")
        assert stop is not None
        assert stop.why == "mapping"

    def test_history_keeps_who_when_and_why(self, journal: Journal, clock: Any) -> None:
        start = clock.now
        journal.stop("all", "ada", "incident")
        clock.now += 1
        journal.stop("all", "bob", "still")
        clock.now += 1
        journal.resume("all", "ada", "over")
        log = [
            ControlEntry("resume", "all", "ada", "over", start + 2),
            ControlEntry("stop", "all", "bob", "still", start + 1),
            ControlEntry("stop", "all", "ada", "incident", start),
        ]
        assert journal.control_log() == log
        assert journal.control_log(limit=1) == log[:1]

    @pytest.mark.parametrize("scope", ["", "crm", "destination:", "model:contacts", "ALL"])
    def test_scope_is_checked(self, journal: Journal, scope: str) -> None:
        with pytest.raises(ConfigurationError, match="must be all, destination:<name> or sync:<name>"):
            journal.stop(scope, "ada", "typo")
        assert journal.control_log() == []

    def test_a_stop_waits_for_a_begin_that_found_no_stop(self, open_journal: Callable[[], Journal]) -> None:
        """Or else the begin would be committed, and its batch sent, after the stop returned."""
        journal, switch = open_journal(), open_journal()
        journal.start_run("r1", "contacts", "crm")
        stop = threading.Thread(target=switch.stop, args=("destination:crm", "ada", "now"))
        with journal.database.writing() as connection:
            scopes = scopes_of("crm", "contacts")
            assert stop_in_force(journal.database, connection, journal.signals, scopes) is None
            stop.start()
            stop.join(0.2)
            assert stop.is_alive()
            write_intents(connection, "r1", [Intent(1, Operation.UPSERT, [1])], 0)
        stop.join(20)
        assert not stop.is_alive()
        with pytest.raises(Stopped, match=r"stopped \(destination:crm\) by ada at .*: now"):
            begin_next(journal, "r1", [2])
        assert [b.number for b in journal.batches("r1")] == [1]

    def test_nothing_begins_after_stop_returned(self, open_journal: Callable[[], Journal]) -> None:
        switch, journals = open_journal(), [open_journal(), open_journal()]
        runs = ["r0", "r1"]
        for run_id in runs:
            switch.start_run(run_id, "contacts", "crm")
        with ThreadPoolExecutor(2) as pool:
            begun = [pool.submit(_begin_until_stopped, j, r) for j, r in zip(journals, runs, strict=True)]
            while not all(any(switch.batches(r)) for r in runs):
                pass
            switch.stop("all", "ada", "now")
            numbers = [max(b.number for b in switch.batches(r)) for r in runs]
        assert [b.result(20) for b in begun] == numbers


def _begin_until_stopped(journal: Journal, run_id: str) -> int:
    """The number of the last batch that began."""
    for number in itertools.count(1):
        try:
            begin_next(journal, run_id, [number])
        except Stopped:
            return number - 1
    raise AssertionError


class TestModelResults:
    def test_named_tests_are_replaced_and_stamped(self, journal: Journal, clock: Any) -> None:
        first = clock.now
        record_model_results(journal, "contacts", {"unique_id": "pass", "not_null_email": "fail"})
        record_model_results(journal, "deals", {"unique_id": "warn"})
        clock.now += 10
        record_model_results(journal, "contacts", {"not_null_email": "pass"})
        record_model_results(journal, "contacts", {})
        assert journal.model_results("contacts") == [
            ModelResult("not_null_email", "pass", first + 10),
            ModelResult("unique_id", "pass", first),
        ]
        assert journal.model_results("nothing") == []
