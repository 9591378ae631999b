"""The planner and the fold against a model of them in plain Python, on random tables, run after run."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings, strategies as st

from reverse_etl_assets.journal.records import Answer, SentBatch
from reverse_etl_assets.plan.change_set import Plan, make_plan
from reverse_etl_assets.records import Capabilities, Operation, Reason, RowError, Status
from reverse_etl_assets.spec.modes import SyncMode
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import ledger
from reverse_etl_assets.state.outbox import OutboxRow, outbox_rows, seal_outbox
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse, quote
from tests.engine.oracle import Expected, Key, Oracle, same
from tests.engine.strategies import Table, tables
from tests.heavy import heavy

DONE = {"upsert": Status.UPDATED, "update": Status.UPDATED, "insert": Status.CREATED, "delete": Status.DELETED}
FATES = ("done", "done", "done", "refused", "unanswered", "ambiguous", "in flight", "unsent", "there already", "twice")
HELD_OPERATIONS = frozenset({Operation.INSERT})


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


@dataclass
class Bench:
    """One state file beside one model, and the oracle that watches them."""

    con: duckdb.DuckDBPyConnection
    columns: Columns
    oracle: Oracle

    def run(self, number: int, rows: list[dict[str, Any]], fates: Iterator[str]) -> None:
        expected = self.oracle.plan(rows)
        run_id = f"run {number}"
        ledger.prepare(self.con, self.columns)
        plan = make_plan(self.con, "model", self.columns)
        seal_outbox(self.con, self.columns, run_id, newest=plan.newest, full_at=None, of_model=True)
        self.check_plan(plan, expected, len(rows))
        sent = [row for chunk in outbox_rows(self.con, self.columns) for row in chunk]
        keys = self.check_sent(sent, expected)
        batches, fate_of = answered(sent, keys, fates)
        self.fold(run_id, batches)
        once = self.everything()
        self.fold(run_id, batches)
        assert self.everything() == once
        settled = {key for key, fate in fate_of.items() if fate in ("done", "there already", "twice")}
        self.oracle.fold(expected, settled, {key for key, fate in fate_of.items() if fate == "refused"})
        if expected.operations:
            doubtful = {key for key, fate in fate_of.items() if fate in ("ambiguous", "in flight")}
            self.oracle.held |= {k for k in doubtful if expected.operations[k] in HELD_OPERATIONS}
        self.check_synced()
        self.check_refusals()
        self.check_outcomes(run_id, expected, fate_of)

    def fold(self, run_id: str, batches: list[SentBatch]) -> None:
        able = Capabilities(frozenset(Operation), frozenset(Operation) - HELD_OPERATIONS, max_rows=1, max_bytes=1)
        ledger.fold(self.con, self.columns, run_id, batches, now=time.time(), stopped="it was late", capabilities=able)

    def check_plan(self, plan: Plan, expected: Expected, rows: int) -> None:
        assert plan.model_rows == rows
        assert plan.synced_rows == len(self.oracle.synced)
        assert plan.added == expected.count("added")
        assert plan.changed == expected.count("changed")
        assert plan.removed == expected.count("removed")
        assert plan.rejected == expected.rejected_rows
        assert plan.unchanged == expected.count("unchanged")
        assert plan.held == expected.held_in_all
        assert plan.quarantined == len(expected.quarantined)
        assert plan.superseded == expected.superseded.total()
        assert dict(plan.to_send) == Counter(Operation(name) for name in expected.operations.values())

    def check_sent(self, sent: list[OutboxRow], expected: Expected) -> dict[int, Key]:
        """Exactly the expected rows, each once, writes before deletes. Returns the oracle's keys by row number."""
        texts = {self.text_of(key): key for key in expected.operations}
        assert len(texts) == len(expected.operations)
        keys = {row.number: texts[row.record.key] for row in sent}
        assert Counter(keys.values()) == Counter(expected.operations.keys())
        for row in sent:
            assert row.operation == expected.operations[keys[row.number]]
        deletes = [row.operation is Operation.DELETE for row in sent]
        assert deletes == sorted(deletes)
        return keys

    def text_of(self, key: Key) -> str:
        parts = [str(part) for part in key]
        if len(parts) == 1:
            return parts[0]
        return "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)

    def check_synced(self) -> None:
        fields = ", ".join(f'"{name}"' for name in self.oracle.fields)
        rows = self.con.execute(f"select _retl_key, {fields} from state.synced").fetchall()
        held = {row[0]: dict(zip(self.oracle.fields, row[1:], strict=True)) for row in rows}
        assert len(held) == len(rows)
        assert held.keys() == {self.text_of(key) for key in self.oracle.synced}
        for key, values in self.oracle.synced.items():
            assert same(held[self.text_of(key)], values)

    def check_refusals(self) -> None:
        counted = dict(self.con.execute("select key, times from state.refusals").fetchall())
        assert counted == {self.text_of(key): times for key, (_, times) in self.oracle.refusals.items()}

    def check_outcomes(self, run_id: str, expected: Expected, fate_of: dict[Key, str]) -> None:
        """One outcome for each row of the change set, and none for others."""
        rows = self.con.execute(
            "select status, reason, count(*) from state.outcomes where run_id = $run_id group by all",
            {"run_id": run_id},
        ).fetchall()
        wanted = Counter[tuple[str, str | None]]()
        for key, fate in fate_of.items():
            wanted[outcome_of(expected.operations[key], fate)] += 1
        wanted["failed", "invalid"] += expected.rejected_rows
        wanted["skipped", "held"] += len(expected.held) + expected.held_beside
        wanted["skipped", "quarantined"] += len(expected.quarantined)
        wanted["skipped", "superseded"] += expected.superseded_outcomes
        assert {(status, reason): n for status, reason, n in rows} == {k: n for k, n in wanted.items() if n}

    def everything(self) -> list[Any]:
        tables = ("synced", "outcomes", "pending", "held", "refusals", "facts")
        return [sorted(map(repr, self.con.execute(f"select * from state.{name}").fetchall())) for name in tables]


def outcome_of(operation: str, fate: str) -> tuple[str, str | None]:
    match fate:
        case "done" | "twice":
            return DONE[operation], None
        case "refused":
            return "failed", "rejected"
        case "unanswered":
            return "failed", "unanswered"
        case "unsent":
            return "skipped", "stopped"
        case "there already":
            return "skipped", "already_gone" if operation == "delete" else "already_exists"
    return "failed", "ambiguous"


def answered(
    sent: list[OutboxRow], keys: dict[int, Key], fates: Iterator[str]
) -> tuple[list[SentBatch], dict[Key, str]]:
    """What the journal holds after the rows met their fates, and the fates by key."""
    batches: list[SentBatch] = []
    fate_of = {}
    for row in sent:
        fate = fate_of[keys[row.number]] = next(fates)
        if fate in ("unanswered", "ambiguous", "refused"):
            answer = Answer(row.number, Status.FAILED, Reason(str(outcome_of("", fate)[1])), None, RowError("no"))
        elif fate == "there already":
            answer = Answer(row.number, Status.SKIPPED, Reason(str(outcome_of(row.operation, fate)[1])))
        else:
            answer = Answer(row.number, DONE[row.operation], None, f"id of {row.record.key}")
        if fate == "unsent":
            continue
        heard: dict[str, list[list[Answer] | None]] = {"in flight": [None], "twice": [None, [], [answer]]}
        for answers in heard.get(fate, [[answer]]):
            at = None if answers is None else time.time()
            number = len(batches) + 1
            batches.append(SentBatch(number, row.operation, [row.number], None, time.time(), at, answers or []))
    return batches, fate_of


RUNS = given(
    table=tables(),
    mode=st.sampled_from(sorted(SyncMode)),
    fold_case=st.booleans(),
    fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=12),
    latest=st.booleans(),
    refusals_allowed=st.sampled_from([None, 1, 2]),
)


@settings(max_examples=5)
@RUNS
def test_plan_and_fold_agree_with_the_oracle(folder: Path, **drawn: Any) -> None:
    agree(folder, **drawn)


@heavy
@RUNS
def test_they_agree_again_and_again(folder: Path, **drawn: Any) -> None:
    agree(folder, **drawn)


def agree(
    folder: Path,
    table: Table,
    mode: SyncMode,
    fold_case: bool,
    fates: list[str],
    latest: bool,
    refusals_allowed: int | None,
) -> None:
    keys = [f"key {n}" for n in range(len(table.keys))]
    fields = [f"field {n}" for n in range(len(table.fields))]
    types = dict(zip([*keys, *fields], [*table.keys, *table.fields], strict=True))
    ordered = [name for name in fields if latest and types[name].isalpha()]
    latest_by = ordered[0] if ordered else None
    sync = Sync.model_validate(
        {
            "sync": "s",
            "model": "model",
            "destination": "d",
            "object": "o",
            "primary_key": keys,
            "mapping": {name: name for name in fields},
            "sync_mode": mode,
            "on_duplicate_key": {"latest_by": latest_by},
            "quarantine": {"after": refusals_allowed, "apart": "0 seconds"},
        }
    )
    columns = Columns.of(sync, types, fold_case=fold_case)
    state = folder / "s.duckdb"
    state.unlink(missing_ok=True)
    with DuckDBWarehouse(folder / "none", folder, threads=1).open("s", write=True) as con:
        bench = Bench(con, columns, Oracle(mode, keys, fields, fold_case, latest_by, refusals_allowed))
        con.execute(f"create table model ({', '.join(f'{quote(n)} {t}' for n, t in types.items())})")
        fate = (fates[n % len(fates)] for n in iter(range(10_000)))
        for number, rows in enumerate(table.versions):
            con.execute("delete from model")
            for row in rows:
                con.execute(f"insert into model values ({', '.join('?' for _ in row)})", list(row))
            bench.run(number, [dict(zip(types, row, strict=True)) for row in rows], fate)
