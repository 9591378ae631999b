"""Plans that wait for a person: approved by name, used once, out of date as soon as something else is planned."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import ControlEntry, PlanStatus, Tripped, WaitingPlan

REMOVED = Tripped("max_removed", "30 removed; the limit is 25 %", 30.5, 25)
EMPTIED = Tripped("emptied_fields", "Email loses its value", 40, 20, "Email")


def plan(plan_id: str, sync: str = "contacts", *findings: Tripped, **more: Any) -> WaitingPlan:
    basis = {"rows": "r\0\u00e9", "mapping": "m"}
    values = {"run_id": f"run-{plan_id}", "made_at": 1.0, "counts": {"removed": 30}, "basis": basis, **more}
    return WaitingPlan(plan_id, sync, findings=findings or (REMOVED,), **values)


def test_a_plan_waits_as_it_is(journal: Journal) -> None:
    journal.keep_plan(plan("p1", "contacts", REMOVED, EMPTIED))
    assert journal.plan("p1") == plan("p1", "contacts", REMOVED, EMPTIED)
    assert journal.approval_of("contacts") is None


def test_the_newest_plans_of_all_syncs_are_listed_first(journal: Journal) -> None:
    journal.keep_plan(plan("p1", made_at=1))
    journal.keep_plan(plan("q1", "deals", made_at=2))
    journal.keep_plan(plan("p2", made_at=3))
    assert [(p.plan_id, p.status) for p in journal.waiting_plans()] == [
        ("p2", PlanStatus.WAITING),
        ("q1", PlanStatus.WAITING),
    ]
    assert [p.plan_id for p in journal.waiting_plans("deals")] == ["q1"]
    assert journal.plan("p1").status is PlanStatus.SUPERSEDED


def test_an_approval_is_used_once(journal: Journal, clock: Any) -> None:
    journal.keep_plan(plan("p1"))
    approved = journal.approve("p1", "ada", "seen with sales\0")
    assert (approved.status, approved.who, approved.why) == (PlanStatus.APPROVED, "ada", "seen with sales")
    assert approved.decided_at == clock.now
    assert journal.approval_of("contacts") == approved
    assert journal.control_log() == [ControlEntry("approve", "plan:p1", "ada", "seen with sales", clock.now)]
    journal.start_run("r1", "contacts", "crm", plan_id="p1")
    journal.apply_plan("p1", "r1")
    assert journal.approval_of("contacts") is None
    assert journal.waiting_plans() == []
    assert (journal.plan("p1").status, journal.plan("p1").applied_run) == (PlanStatus.APPLIED, "r1")
    journal.keep_plan(plan("p1"))
    assert journal.plan("p1") == plan("p1"), "the same change set at a later time needs an approval of its own"


def test_planned_again_it_keeps_its_approval(journal: Journal) -> None:
    journal.keep_plan(plan("p1", "contacts", REMOVED, EMPTIED))
    approved = journal.approve("p1", "ada", "fine")
    journal.keep_plan(plan("p1", "contacts", REMOVED, run_id="later"))
    assert journal.approval_of("contacts") == approved


@pytest.mark.parametrize("unseen", [Tripped("max_added", "more"), Tripped("emptied_fields", "Phone", field="Phone")])
def test_a_guard_that_nobody_was_shown_needs_another_approval(journal: Journal, unseen: Tripped) -> None:
    journal.keep_plan(plan("p1", "contacts", REMOVED, EMPTIED))
    journal.approve("p1", "ada", "fine")
    journal.keep_plan(plan("p1", "contacts", unseen, run_id="later"))
    waiting = journal.plan("p1")
    assert (waiting.status, waiting.who, waiting.run_id) == (PlanStatus.WAITING, None, "later")
    assert waiting.findings == (REMOVED, EMPTIED, unseen), "all that one approval has to hold for"
    journal.approve("p1", "ada", "that too")
    journal.keep_plan(plan("p1", "contacts", unseen))
    assert journal.approval_of("contacts") is not None


def test_another_plan_takes_the_place_of_an_approved_one(journal: Journal) -> None:
    journal.keep_plan(plan("p1"))
    journal.approve("p1", "ada", "fine")
    journal.keep_plan(plan("p2"))
    assert journal.approval_of("contacts") is None
    assert [p.plan_id for p in journal.waiting_plans()] == ["p2"]


def test_a_run_that_needed_no_approval_puts_waiting_plans_out_of_date(journal: Journal) -> None:
    journal.keep_plan(plan("p1"))
    journal.keep_plan(plan("q1", "deals"))
    journal.start_run("r1", "contacts", "crm", plan_id="p2")
    journal.apply_plan("p2", "r1")
    assert [p.plan_id for p in journal.waiting_plans()] == ["q1"]
    with pytest.raises(StateError, match="no-such-run is not in the journal"):
        journal.apply_plan("p2", "no-such-run")


class TestRefusals:
    def test_unknown(self, journal: Journal) -> None:
        with pytest.raises(StateError, match="there is no plan p0; no plan waits"):
            journal.approve("p0", "ada", "fine")
        journal.keep_plan(plan("p1", made_at=1))
        journal.keep_plan(plan("q1", "deals", made_at=2))
        attempts: list[Callable[[], object]] = [
            lambda: journal.approve("p0", "ada", "fine"),
            lambda: journal.plan("p0"),
        ]
        for attempt in attempts:
            with pytest.raises(StateError, match=r"there is no plan p0; waiting now: q1 \(deals\), p1 \(contacts\)"):
                attempt()
        assert journal.control_log() == []

    def test_superseded(self, journal: Journal) -> None:
        journal.keep_plan(plan("p1"))
        journal.keep_plan(plan("p2"))
        journal.keep_plan(plan("q1", "deals"))
        said = r"plan p1 of contacts is out of date, .*; waiting now: p2 \(contacts\)$"
        with pytest.raises(StateError, match=said):
            journal.approve("p1", "ada", "fine")
        journal.approve("p2", "ada", "fine")
        with pytest.raises(StateError, match=r"out of date, .*; none of this sync waits now"):
            journal.approve("p1", "ada", "fine")

    def test_approved_already(self, journal: Journal) -> None:
        journal.keep_plan(plan("p1"))
        journal.approve("p1", "ada", "fine")
        with pytest.raises(StateError, match="is approved already, by ada at 2025-06-15T15:06:40"):
            journal.approve("p1", "bob", "fine")

    def test_applied(self, journal: Journal) -> None:
        journal.keep_plan(plan("p1"))
        journal.approve("p1", "ada", "fine")
        journal.start_run("r1", "contacts", "crm")
        journal.apply_plan("p1", "r1")
        with pytest.raises(StateError, match="was sent already, by run r1 at 2025-06-15T15:06:40"):
            journal.approve("p1", "bob", "fine")

    def test_of_two_who_approve_at_once_one_does(self, open_journal: Callable[[], Journal]) -> None:
        journals = [open_journal() for _ in range(4)]
        journals[0].keep_plan(plan("p1"))

        def approve(who: int) -> bool:
            try:
                journals[who].approve("p1", str(who), "fine")
            except StateError:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(approve, range(4))) == [False, False, False, True]
        assert len(journals[0].control_log()) == 1
