"""Plans that wait for a person's decision, in the journal."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete as delete_from, insert, select, update

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import schema as journal_schema
from reverse_etl_assets.journal.base import to_json, to_text
from reverse_etl_assets.journal.control import Control
from reverse_etl_assets.journal.records import PlanStatus, Tripped, WaitingPlan

_plans, _runs = journal_schema.plans, journal_schema.runs
_UNUSED = (PlanStatus.WAITING, PlanStatus.APPROVED)


class Plans(Control):
    """A sync has one plan at most that waits or is approved: what a later run plans takes the place of the earlier."""

    def keep_plan(self, plan: WaitingPlan) -> None:
        """Lets a plan wait for a decision.

        The same plan again keeps its approval, unless a guard tripped that whoever approved it was not shown: then it
        waits anew, with all that tripped.
        """
        with self.database.writing() as connection:
            known = self._one(connection, _this(plan.plan_id, plan.sync))
            self._supersede(connection, plan.sync, but=plan.plan_id)
            if known and known.status is PlanStatus.APPROVED:
                if _shown(plan).keys() <= _shown(known).keys():
                    return
                plan = replace(plan, findings=tuple({**_shown(known), **_shown(plan)}.values()))
            connection.execute(delete_from(_plans).where(_plans.c.plan_id == plan.plan_id, _plans.c.sync == plan.sync))
            connection.execute(insert(_plans).values(_row(plan)))

    def waiting_plans(self, sync: str | None = None) -> list[WaitingPlan]:
        """Those that wait, or are approved and not used yet; newest first."""
        query = select(_plans).where(_plans.c.status.in_(_UNUSED)).order_by(_plans.c.made_at.desc())
        return [_plan(row) for row in self._read(query if sync is None else query.where(_plans.c.sync == sync))]

    def plan(self, plan_id: str) -> WaitingPlan:
        """Raises StateError, which names the plans that wait, if there is none of this id."""
        with self.database.reading() as connection:
            return self._known(connection, plan_id)

    def approval_of(self, sync: str) -> WaitingPlan | None:
        """The plan of this sync that is approved and not used yet."""
        return next((plan for plan in self.waiting_plans(sync) if plan.status is PlanStatus.APPROVED), None)

    def approve(self, plan_id: str, who: str, why: str) -> WaitingPlan:
        """Lets the next run of the sync send this plan, if it plans the same.

        Raises StateError, which says what holds instead, if no plan of this id waits.
        """
        with self.database.writing() as connection:
            plan = self._known(connection, plan_id, lock=True)
            if plan.status is not PlanStatus.WAITING:
                raise StateError(f"plan {plan_id} of {plan.sync} {self._why_not(connection, plan)}")
            decided = {"status": PlanStatus.APPROVED, "who": to_text(who), "why": to_text(why)}
            where = (_plans.c.plan_id == plan_id) & (_plans.c.sync == plan.sync)
            connection.execute(update(_plans).where(where).values(decided_at=self.clock(), **decided))
            self._log(connection, "approve", f"plan:{plan_id}", who, why, self.clock())
            return self._known(connection, plan_id)

    def apply_plan(self, plan_id: str, run_id: str) -> None:
        """The run is about to send this plan: its approval, if it needed one, is used, and every other plan of the sync
        is out of date. Raises StateError if there is no such run."""
        with self.database.writing() as connection:
            sync = connection.scalar(select(_runs.c.sync).where(_runs.c.run_id == run_id))
            if sync is None:
                raise StateError(f"run {run_id} is not in the journal")
            self._supersede(connection, sync, but=plan_id)
            this = (_plans.c.plan_id == plan_id) & (_plans.c.sync == sync) & _plans.c.status.in_(_UNUSED)
            connection.execute(update(_plans).where(this).values(status=PlanStatus.APPLIED, applied_run=run_id))

    def _supersede(self, connection: Connection, sync: str, *, but: str) -> None:
        others = (_plans.c.sync == sync) & (_plans.c.plan_id != but) & _plans.c.status.in_(_UNUSED)
        connection.execute(update(_plans).where(others).values(status=PlanStatus.SUPERSEDED))

    def _known(self, connection: Connection, plan_id: str, *, lock: bool = False) -> WaitingPlan:
        newest = select(_plans).where(_plans.c.plan_id == plan_id).order_by(_plans.c.made_at.desc()).limit(1)
        plan = self._one(connection, newest.with_for_update() if lock else newest)
        if plan is None:
            raise StateError(f"there is no plan {plan_id}; {self._waiting(connection)}")
        return plan

    def _why_not(self, connection: Connection, plan: WaitingPlan) -> str:
        if plan.status is PlanStatus.APPROVED:
            message = f"is approved already, by {plan.who} at {_at(plan.decided_at)}"
            return f"{message}; the next run that plans the same sends it"
        if plan.status is PlanStatus.APPLIED:
            at = connection.scalar(select(_runs.c.started_at).where(_runs.c.run_id == plan.applied_run))
            return f"was sent already, by run {plan.applied_run} at {_at(at)}"
        return f"is out of date, a later run planned something else; {self._waiting(connection, plan.sync)}"

    def _waiting(self, connection: Connection, sync: str | None = None) -> str:
        query = select(_plans).where(_plans.c.status == PlanStatus.WAITING).order_by(_plans.c.made_at.desc())
        found = connection.execute(query if sync is None else query.where(_plans.c.sync == sync)).all()
        if not found:
            return "no plan waits" if sync is None else "none of this sync waits now"
        return "waiting now: " + ", ".join(f"{row.plan_id} ({row.sync})" for row in found)

    def _one(self, connection: Connection, query: Select[Any]) -> WaitingPlan | None:
        row = connection.execute(query).one_or_none()
        return None if row is None else _plan(row)


def _this(plan_id: str, sync: str) -> Select[Any]:
    return select(_plans).where(_plans.c.plan_id == plan_id, _plans.c.sync == sync).with_for_update()


def _shown(plan: WaitingPlan) -> dict[tuple[str, str | None], Tripped]:
    return {(finding.guard, finding.field): finding for finding in plan.findings}


def _row(plan: WaitingPlan) -> dict[str, Any]:
    texts = ("counts", "findings", "basis")
    return {**vars(plan), **{name: to_json(getattr(plan, name)) for name in texts}}


def _plan(row: Row[Any]) -> WaitingPlan:
    values = dict(row._mapping)
    values["status"] = PlanStatus(row.status)
    values["counts"], values["basis"] = msgspec.json.decode(row.counts), msgspec.json.decode(row.basis)
    values["findings"] = msgspec.json.decode(row.findings, type=tuple[Tripped, ...])
    return WaitingPlan(**values)


def _at(at: float | None) -> str:
    return "an unknown time" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
