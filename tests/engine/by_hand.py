"""A state beside a model, whose runs are planned and folded by hand: the test writes down what became of each row."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from reverse_etl_assets.journal.records import Answer, Conflict, Note, SentBatch
from reverse_etl_assets.plan.change_set import Plan, make_plan
from reverse_etl_assets.records import Capabilities, Operation, Reason, RowError, Status
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.outbox import outbox_rows, seal_outbox
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse
from tests.engine.shop import sink_sync

WRITTEN = {Operation.DELETE: Status.DELETED, Operation.INSERT: Status.CREATED}
ABLE = Capabilities(frozenset(Operation), frozenset(Operation), max_rows=1, max_bytes=1)
People = Mapping[str, tuple[str | None, str | None]]
"""Names and cities by id."""


@dataclass(frozen=True)
class Told:
    """What a destination said of a row; without a status that it was written, without an answer nothing."""

    status: Status | None = None
    reason: Reason | None = None
    id: str | None = None
    error: RowError | None = None
    inferred: bool = False
    answer: bool = True
    note: Mapping[str, Any] | None = None
    """What was read before: see `Note`."""
    anew: bool | None = False
    """It went out without the id of its record. None: an earlier release sent it, and did not note that."""
    once: bool = False
    """A second send could do harm."""


DONE = Told()
AMBIGUOUS = Told(Status.FAILED, Reason.AMBIGUOUS, error=RowError("lost"))
UNANSWERED = Told(Status.FAILED, Reason.UNANSWERED, error=RowError("not named"))
REFUSED = Told(Status.FAILED, Reason.REJECTED, error=RowError("no", "E1", "name"))
IN_FLIGHT = Told(answer=False)


class ByHand:
    """A sync of people with a name and a city; it mirrors them unless the test changes that."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        *,
        partial: bool = False,
        fold_case: bool = False,
        id_separator: str = "",
        id_type: str = "VARCHAR",
        **changes: Any,
    ) -> None:
        mapping = {"name": "name", "city": "city"}
        spec: dict[str, Any] = {"mapping": mapping, "sync_mode": "mirror", "quarantine": {"after": None}, **changes}
        self.con, self.sync, self.now = con, sink_sync(**spec), 1_000_000.0
        types = {"id": id_type, "name": "VARCHAR", "city": "VARCHAR"}
        self.columns = Columns.of(self.sync, types, fold_case=fold_case, partial=partial, id_separator=id_separator)
        self.more: list[tuple[str | None, str | None, str | None]] = []
        """Rows of the model beside those of a run: id, name and city."""
        con.execute(f"create table model (id {id_type}, name varchar, city varchar)")

    def run(
        self, run_id: str, people: People, told: Mapping[str, Told] | None = None, *, rest: Told | None = DONE
    ) -> None:
        """Plan and fold a run. Rows that `told` does not name were met by `rest`; None: they were not sent."""
        self.plan(run_id, people)
        self.fold(run_id, told or {}, rest=rest)

    def plan(self, run_id: str, people: People) -> Plan:
        self.con.execute("delete from model")
        for row in [*((key, *values) for key, values in people.items()), *self.more]:
            self.con.execute("insert into model values ($1, $2, $3)", list(row))
        ledger.prepare(self.con, self.columns)
        plan = make_plan(self.con, "model", self.columns)
        seal_outbox(self.con, self.columns, run_id, newest=plan.newest, full_at=None, of_model=True)
        return plan

    def fold(
        self, run_id: str, told: Mapping[str, Told], *, rest: Told | None = DONE, heirs: Set[str] = frozenset()
    ) -> None:
        batches: list[SentBatch] = []
        for row in [row for chunk in outbox_rows(self.con, self.columns) for row in chunk]:
            said = told.get(row.record.key, rest)
            if said:
                batches.append(_batch(len(batches) + 1, row.number, row.operation, said, self.now))
        self.now += 60
        ledger.fold(
            self.con, self.columns, run_id, batches, now=self.now, stopped="it was late", capabilities=ABLE, heirs=heirs
        )

    def all(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return self.con.execute(query, values or None).fetchall()

    def outcomes(self, run_id: str, *names: str) -> dict[str, Any]:
        """Columns of a run's outcomes by key; of one column its value alone."""
        query = f"select key, {', '.join(names)} from state.outcomes where run_id = $run_id"
        return {key: row[0] if len(row) == 1 else tuple(row) for key, *row in self.all(query, run_id=run_id)}

    def synced(self, *names: str) -> dict[str, Any]:
        """The same of the synced rows."""
        rows = self.all(f"select _retl_key, {', '.join(names)} from state.synced")
        return {key: row[0] if len(row) == 1 else tuple(row) for key, *row in rows}


def _batch(number: int, row: int, operation: Operation, said: Told, now: float) -> SentBatch:
    status = said.status or WRITTEN.get(operation, Status.UPDATED)
    answers = [Answer(row, status, said.reason, said.id, said.error, said.inferred)] if said.answer else []
    notes = [Note(row, **said.note)] if said.note is not None else []
    at = now + 1 if said.answer else None
    once, anew = [row] if said.once else [], None if said.anew is None else [row] if said.anew else []
    return SentBatch(number, operation, [row], None, now, at, answers, notes, once, anew)


def disagreed(field: str, winner: str, base: str = '"Old"', ours: str = '"New"', theirs: str = '"Mine"') -> Conflict:
    return Conflict(field, "unless_edited", base, ours, theirs, winner, "somebody changed it")


@contextmanager
def by_hand(folder: Path, **changes: Any) -> Iterator[ByHand]:
    with DuckDBWarehouse(folder / "none", folder, threads=1).open("s", write=True) as con:
        yield ByHand(con, **changes)
