"""The stage of a run in which rows go out: sign in, check the target if that is due, and hand the outbox to the
dispatcher."""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from reverse_etl_assets.delivery.deletions import Deletions
from reverse_etl_assets.delivery.field_rules import FieldRules
from reverse_etl_assets.delivery.job_follower import JobUnreadable
from reverse_etl_assets.delivery.outcome_writer import Dispatched
from reverse_etl_assets.delivery.session import Session
from reverse_etl_assets.journal.records import RunKind, Stopped
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.runs.context import RunContext
from reverse_etl_assets.runs.recovery import collect
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.facts import Learned, read_facts
from reverse_etl_assets.state.last_check import forget_check, remember_check
from reverse_etl_assets.state.outbox import outbox_rows
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

Progress = Callable[[Plan, Mapping[str, int]], None]
"""Told of rows settled so far, by status."""


async def send(
    run: RunContext, columns: Columns, plan: Plan, learned: Learned | None, on_progress: Progress
) -> Dispatched:
    """Send the rows of the outbox. `learned` is what the destination's last check found out; None if a check is due."""
    async with (
        run.session(columns) as session,
        session.writer(run.run_id, obeys_sync_stop=run.obeys_sync_stop) as writer,
    ):
        if learned is None:
            try:
                await session.check()
            except Stopped as stopped:
                return Dispatched(stopped=str(stopped))
            _remember_check(run, columns, session.destination.learned())
        else:
            session.destination.recall(learned)
        with run.warehouse.open(run.sync.sync) as con, _deletions(run, con, columns) as deletions:
            ledger.refuse_taken_over(read_facts(con), run.run_id)
            rules = _rules(run, con, columns, session)
            dispatcher = session.dispatcher(
                writer,
                to_send=plan.to_send,
                rules=rules,
                in_flight=run.sync.guards.in_flight,
                mask=run.mask,
                deletions=deletions,
                on_progress=lambda statuses: on_progress(plan, statuses),
            )
            rows = outbox_rows(con, columns, with_base=rules is not None)
            try:
                dispatched = await dispatcher.run(rows)
            finally:
                await _let_go(rows)
        if dispatched.failed:
            _forget_check(run)
        if dispatcher.spans_run and not dispatched.stopped:
            with contextlib.suppress(JobUnreadable):  # the next run asks again
                await collect(run, dispatcher, run.run_id, columns)
        return dispatched


def _deletions(run: RunContext, con: Connection, columns: Columns) -> AbstractContextManager[Deletions | None]:
    """What keeps records that other rows stand for; a person who is to be forgotten goes with all rows."""
    return contextlib.nullcontext() if run.kind is RunKind.FORGET else Deletions(con, columns)


def _rules(run: RunContext, con: Connection, columns: Columns, session: Session) -> FieldRules | None:
    undo = run.kind is RunKind.UNDO and run.route.reads_back
    if run.kind is RunKind.FORGET or not (undo or run.route.reads_first):
        return None
    reader: Any = session.destination
    partial = session.destination.capabilities.partial
    kept = ledger.kept_bases(con)
    mapping = columns.sync.mapping  # for an undo that of the last run
    return FieldRules(mapping, reader, partial=partial, kept=kept, mask=run.mask, puts_back=undo)


def _remember_check(run: RunContext, columns: Columns, learned: Mapping[str, list[str]]) -> None:
    with run.warehouse.open(run.sync.sync, write=True) as con:
        remember_check(con, columns, run.sync.options, learned, run.environment.clock())


def _forget_check(run: RunContext) -> None:
    """What the run failed for may be that the target changed since the last check: the next run looks."""
    with run.warehouse.open(run.sync.sync, write=True) as con:
        forget_check(con)


async def _let_go(rows: Generator[Any, None, None]) -> None:
    """Rows that are half read would keep the state's file open, and the fold out of it."""
    while inspect.getgeneratorstate(rows) == inspect.GEN_RUNNING:  # noqa: ASYNC110 - it tells nobody when it is done
        await asyncio.sleep(0.01)
    rows.close()
