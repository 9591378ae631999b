from collections.abc import Callable
from typing import Any

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Answer, Intent, Journal, Run, RunStatus, SentBatch
from reverse_etl_assets.journal.batches import withdraw_intents
from reverse_etl_assets.journal.records import RunKind
from reverse_etl_assets.records import Operation, Reason, RowError, Status
from tests.heavy import heavy
from tests.journal_entries import answer, begin, begin_next, keep_job


class TestRuns:
    def test_run_is_open_until_ended(self, journal: Journal, clock: Any) -> None:
        started = clock.now
        journal.start_run("r1", "contacts", "crm", model_rows=5_000_000_000, counts={"added": 2})
        opened = Run("r1", "contacts", "crm", RunStatus.OPEN, started, None, 5_000_000_000, {"added": 2}, None)
        assert journal.run("r1") == opened
        assert journal.open_runs("contacts") == [opened]
        clock.now += 60
        journal.end_run("r1", RunStatus.DONE, counts={"created": 2}, detail="fine\0 \ud83d")
        assert journal.open_runs("contacts") == []
        ended = journal.run("r1")
        assert ended is not None
        assert (ended.status, ended.started_at, ended.ended_at) == (RunStatus.DONE, started, started + 60)
        assert (ended.counts, ended.detail) == ({"created": 2}, "fine \\ud83d")

    def test_histories(self, journal: Journal) -> None:
        for i in range(4):
            journal.start_run(f"contacts-{i}", "contacts", "crm")
            journal.start_run(f"deals-{i}", "deals", "crm")
        journal.end_run("contacts-1", RunStatus.GUARDED, counts={})
        assert [r.run_id for r in journal.open_runs("contacts")] == ["contacts-0", "contacts-2", "contacts-3"]
        assert [r.run_id for r in journal.history("contacts", 3)] == ["contacts-3", "contacts-2", "contacts-1"]
        assert [r.run_id for r in journal.latest_runs()] == ["contacts-3", "deals-3"]
        assert journal.history("nothing") == []
        assert journal.run("nothing") is None

    def test_a_run_starts_once_and_is_known_when_it_ends(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")
        with pytest.raises(StateError, match="r1 is in the journal already"):
            journal.start_run("r1", "contacts", "crm")
        with pytest.raises(StateError, match="r2 is not in the journal"):
            journal.end_run("r2", RunStatus.DONE, counts={})

    @heavy
    @pytest.mark.parametrize("status", [*Status, *(f"failed_{reason}" for reason in Reason)])
    def test_the_last_writer_is_who_wrote_or_may_have(self, journal: Journal, status: str) -> None:
        journal.start_run("r1", "contacts", "crm")
        journal.end_run("r1", RunStatus.DONE, counts={"created": 0, status: 1})
        journal.start_run("r2", "contacts", "crm")
        journal.end_run("r2", RunStatus.DONE, counts={"created": 0, "skipped": 3})
        journal.start_run("r3", "contacts", "crm")
        journal.end_run("r3", RunStatus.GUARDED, counts={"created": 1})
        found = journal.last_writer("contacts")
        wrote = status in ("created", "updated", "deleted", "failed_ambiguous", "failed_unanswered")
        assert (found.run_id if found else None) == ("r1" if wrote else None)

    def test_a_run_that_goes_on_wrote_once_it_sent(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")
        assert journal.last_writer("contacts") is None
        begin(journal, "r1", [Intent(1, Operation.UPSERT, [1])])
        found = journal.last_writer("contacts")
        assert found is not None
        assert found.run_id == "r1"
        assert journal.last_writer("contacts", known=lambda run: run.run_id == "r1") is None


class TestBatches:
    @pytest.fixture(autouse=True)
    def run(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")

    def test_intent_then_job_then_answers(self, journal: Journal, clock: Any) -> None:
        sent_at = clock.now
        begin(journal, "r1", [Intent(2, Operation.DELETE, [9]), Intent(1, Operation.UPSERT, [1, 2, 3, 8])])
        clock.now += 5
        keep_job(journal, "r1", 2, "750xx")
        answers = [
            Answer(1, Status.CREATED, destination_id="003xx"),
            Answer(2, Status.UPDATED, inferred=True),
            Answer(3, Status.FAILED, Reason.REJECTED, error=RowError("bad e-mail", "INVALID", "email")),
            Answer(8, Status.SKIPPED, Reason.NOT_FOUND),
        ]
        answer(journal, "r1", {1: answers})
        assert list(journal.batches("r1")) == [
            SentBatch(1, Operation.UPSERT, [1, 2, 3, 8], None, sent_at, sent_at + 5, answers, once=[], anew=[]),
            SentBatch(2, Operation.DELETE, [9], "750xx", sent_at, None, [], once=[], anew=[]),
        ]

    def test_an_intent_is_taken_back_only_without_an_answer(self, journal: Journal) -> None:
        journal.start_run("r2", "deals", "crm")
        for run_id in ("r1", "r2"):
            begin(journal, run_id, [Intent(number, Operation.UPSERT, [number]) for number in (1, 2, 3)])
        answer(journal, "r1", {1: [Answer(1, Status.CREATED)]})
        for numbers in ([], [1, 2]):
            with journal.database.writing() as connection:
                withdraw_intents(connection, "r1", numbers)
        assert [batch.number for batch in journal.batches("r1")] == [1, 3]
        assert [batch.number for batch in journal.batches("r2")] == [1, 2, 3]

    def test_all_pages_come_in_order(self, journal: Journal) -> None:
        for first in (1, 2):
            begin(journal, "r1", [Intent(n, Operation.INSERT, [n]) for n in range(first, 802, 2)])
        assert [b.number for b in journal.batches("r1")] == list(range(1, 802))

    def test_a_batch_that_was_not_begun_has_no_answers(self, journal: Journal) -> None:
        begin(journal, "r1", [Intent(1, Operation.INSERT, [1])])
        for change in (
            lambda: answer(journal, "r1", {1: [Answer(1, Status.CREATED)], 2: []}),
            lambda: keep_job(journal, "r1", 2, "job"),
            lambda: begin(journal, "r1", [Intent(2, Operation.INSERT, []), Intent(1, Operation.INSERT, [])]),
            lambda: begin_next(journal, "r2", [1]),
        ):
            with pytest.raises(StateError):
                change()
        (batch,) = journal.batches("r1")
        assert batch.answered_at is None, "a change that fails leaves nothing behind"

    def test_forget_keeps_runs_and_what_is_not_folded(self, journal: Journal, clock: Any) -> None:
        for run_id in ("r2", "r3"):
            journal.start_run(run_id, "contacts", "crm")
        for run_id in ("r1", "r2", "r3"):
            begin(journal, run_id, [Intent(n, Operation.INSERT, [n]) for n in (1, 2)])
        journal.end_run("r2", RunStatus.DONE, counts={})
        clock.now += 100
        journal.end_run("r3", RunStatus.DONE, counts={})
        assert journal.forget_batches(clock.now) == 2
        assert [len(list(journal.batches(r))) for r in ("r1", "r2", "r3")] == [2, 0, 2]
        assert len(journal.history("contacts")) == 3


def test_two_handles_see_the_same_journal(open_journal: Callable[[], Journal]) -> None:
    one, other = open_journal(), open_journal()
    one.start_run("r1", "contacts", "crm")
    assert other.run("r1") == one.run("r1")


class TestKinds:
    def test_what_a_run_is_for(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm", plan_id="0123456789abcdef", version=2)
        journal.start_run("u1", "contacts", "crm", kind=RunKind.UNDO, undoes="r1")
        journal.start_run("f1", "contacts", "crm", kind=RunKind.FORGET)
        forget, undo, sync = journal.history("contacts")
        assert (sync.kind, sync.plan_id, sync.version, sync.undoes) == (RunKind.SYNC, "0123456789abcdef", 2, None)
        assert (undo.kind, undo.plan_id, undo.version, undo.undoes) == (RunKind.UNDO, None, 1, "r1")
        assert journal.history("contacts", kind=RunKind.SYNC) == [sync]
        assert journal.history("contacts", kind=RunKind.FORGET) == [forget]
        assert journal.latest_runs() == [forget]

    def test_by_whom_a_run_was_undone(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")
        assert journal.undone_by("r1") is None
        journal.start_run("u1", "contacts", "crm", kind=RunKind.UNDO, undoes="r1")
        journal.end_run("u1", RunStatus.GUARDED, counts={})
        assert journal.undone_by("r1") is None, "it wrote nothing"
        for status in (RunStatus.FAILED, RunStatus.DONE, RunStatus.OPEN):
            journal.start_run(f"u-{status}", "contacts", "crm", kind=RunKind.UNDO, undoes="r1")
            if status is not RunStatus.OPEN:
                journal.end_run(f"u-{status}", status, counts={})
            undo = journal.undone_by("r1")
            assert undo is not None
            assert undo.run_id == f"u-{status}"
