"""A journal of the first version, with runs and stops in it, becomes one of the second in its place."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Intent, Journal, RunStatus, Stop
from reverse_etl_assets.journal.records import Note, RunKind
from reverse_etl_assets.records import Operation
from tests.journal_entries import begin

VERSION_1 = """
CREATE TABLE reverse_etl_schema (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE reverse_etl_runs (
    number {serial} NOT NULL, run_id VARCHAR NOT NULL, sync VARCHAR NOT NULL, destination VARCHAR NOT NULL,
    status VARCHAR NOT NULL, started_at {float} NOT NULL, ended_at {float}, model_rows BIGINT, counts TEXT NOT NULL,
    detail TEXT, PRIMARY KEY (number), UNIQUE (run_id));
CREATE INDEX reverse_etl_runs_by_sync ON reverse_etl_runs (sync, number);
CREATE TABLE reverse_etl_batches (
    run_id VARCHAR NOT NULL, number INTEGER NOT NULL, operation VARCHAR NOT NULL, rows {bytes} NOT NULL, job VARCHAR,
    sent_at {float} NOT NULL, answered_at {float}, answers {bytes}, PRIMARY KEY (run_id, number));
CREATE TABLE reverse_etl_stops (
    scope VARCHAR NOT NULL, who VARCHAR NOT NULL, why TEXT NOT NULL, at {float} NOT NULL, PRIMARY KEY (scope));
CREATE TABLE reverse_etl_control (
    number {serial} NOT NULL, action VARCHAR NOT NULL, scope VARCHAR NOT NULL, who VARCHAR NOT NULL, why TEXT NOT NULL,
    at {float} NOT NULL, PRIMARY KEY (number));
CREATE TABLE reverse_etl_usage (
    day VARCHAR NOT NULL, destination VARCHAR NOT NULL, sync VARCHAR NOT NULL, calls BIGINT NOT NULL,
    rows BIGINT NOT NULL, bytes BIGINT NOT NULL, PRIMARY KEY (day, destination, sync));
CREATE TABLE reverse_etl_model_results (
    model VARCHAR NOT NULL, test VARCHAR NOT NULL, status VARCHAR NOT NULL, at {float} NOT NULL,
    PRIMARY KEY (model, test));
CREATE TABLE reverse_etl_pace (
    account VARCHAR NOT NULL, next_at {float} NOT NULL, held_until {float} NOT NULL, PRIMARY KEY (account));
INSERT INTO reverse_etl_schema VALUES (1);
INSERT INTO reverse_etl_runs (run_id, sync, destination, status, started_at, ended_at, model_rows, counts, detail)
    VALUES ('r1', 'contacts', 'crm', 'done', 5, 6, 7, '{{"created": 7}}', NULL),
           ('r2', 'contacts', 'crm', 'open', 8, NULL, 9, '{{}}', NULL);
INSERT INTO reverse_etl_batches VALUES ('r2', 1, 'insert', {packed}, 'job1', 8, NULL, NULL);
INSERT INTO reverse_etl_stops VALUES ('sync:contacts', 'ada', 'mapping', 9);
INSERT INTO reverse_etl_control (action, scope, who, why, at) VALUES ('stop', 'sync:contacts', 'ada', 'mapping', 9);
INSERT INTO reverse_etl_usage VALUES ('2025-06-15', 'crm', 'contacts', 40, 7, 1000);
INSERT INTO reverse_etl_model_results VALUES ('people', 'unique_id', 'pass', 4);
INSERT INTO reverse_etl_pace VALUES ('crm', 3, 99);
"""
_DIALECTS = {
    "sqlite": {"serial": "INTEGER", "float": "FLOAT", "bytes": "BLOB", "packed": "x'920103'"},
    "postgresql": {"serial": "BIGSERIAL", "float": "FLOAT(53)", "bytes": "BYTEA", "packed": r"'\x920103'"},
}


def execute(url: str, script: str) -> None:
    script = script.format(**_DIALECTS["sqlite" if url.startswith("sqlite") else "postgresql"])
    with closing(_connect(url)) as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.commit()


def ask(url: str, query: str) -> list[Any]:
    with closing(_connect(url)) as connection:
        return list(connection.execute(query).fetchall())


def _connect(url: str) -> Any:
    return sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)


@pytest.fixture
def old_url(journal_url: str, tmp_path: Any) -> str:
    (tmp_path / "state").mkdir()
    execute(journal_url, VERSION_1)
    return journal_url


def test_everything_is_kept(old_url: str, open_journal: Callable[[], Journal]) -> None:
    journal = open_journal()
    newest, first = journal.history("contacts", kind=RunKind.SYNC)
    assert (first.run_id, first.status, first.counts, first.model_rows) == ("r1", RunStatus.DONE, {"created": 7}, 7)
    assert (first.kind, first.version, first.plan_id, first.undoes) == (RunKind.SYNC, 1, None, None)
    assert journal.open_runs("contacts") == [newest]
    (batch,) = journal.batches("r2")
    assert (batch.rows, batch.job, batch.answered_at, batch.notes) == ([1, 2, 3], "job1", None, ())
    assert (batch.once, batch.anew) == (None, None)  # not noted then
    assert journal.stops() == [Stop("sync:contacts", "ada", "mapping", 9)]
    assert [entry.why for entry in journal.control_log()] == ["mapping"]
    assert [used.calls for used in journal.usage("crm")] == [40]
    assert [result.status for result in journal.model_results("people")] == ["pass"]
    assert journal.held_until("crm") == 99


def test_it_can_do_what_a_new_one_can(old_url: str, open_journal: Callable[[], Journal]) -> None:
    open_journal().close()
    journal = open_journal()
    assert ask(old_url, "SELECT version FROM reverse_etl_schema") == [(4,)]
    journal.resume("sync:contacts", "ada", "mended")
    begin(journal, "r2", [Intent(2, Operation.INSERT, [4], [Note(4, read=True)])])
    assert next(b for b in journal.batches("r2") if b.number == 2).notes == [Note(4, read=True)]
    assert [journal.count_look("r2") for _ in range(2)] == [1, 2], "a job of the run before can be given up"
    journal.start_run("r0", "contacts", "crm", trial=10)
    assert (journal.history("contacts", 1)[0].trial, journal.run("r1").trial) == (10, None)  # type: ignore[union-attr]
    journal.start_run("r3", "contacts", "crm", kind=RunKind.UNDO, undoes="r1", plan_id="p", version=3)
    undo = journal.undone_by("r1")
    assert undo is not None
    assert (undo.run_id, undo.kind, undo.plan_id, undo.version) == ("r3", RunKind.UNDO, "p", 3)
    journal.apply_plan("p", "r3")
    assert journal.waiting_plans() == []


def test_several_may_bring_it_up_to_date_at_once(old_url: str) -> None:
    barrier = threading.Barrier(6)

    def open_and_read(_: int) -> int:
        barrier.wait(20)
        with closing(Journal.open(old_url)) as journal:
            return len(journal.history("contacts"))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(open_and_read, range(6))) == [2] * 6


def test_a_process_of_the_earlier_release_can_go_on(old_url: str, open_journal: Callable[[], Journal]) -> None:
    journal = open_journal()
    execute(
        old_url,
        "INSERT INTO reverse_etl_runs (run_id, sync, destination, status, started_at, counts)"
        " VALUES ('r3', 'contacts', 'crm', 'open', 10, '{{}}');\n"
        "INSERT INTO reverse_etl_batches (run_id, number, operation, rows, sent_at)"
        " VALUES ('r3', 1, 'insert', {packed}, 11)",
    )
    run = journal.run("r3")
    assert run is not None
    assert run.kind is RunKind.SYNC
    assert [batch.rows for batch in journal.batches("r3")] == [[1, 2, 3]]


def test_it_succeeds_as_a_whole_or_not_at_all(old_url: str) -> None:
    execute(old_url, "CREATE TABLE reverse_etl_quota (other INTEGER);\nINSERT INTO reverse_etl_quota VALUES (1)")
    with pytest.raises(StateError, match="unreachable"):
        Journal.open(old_url)
    assert ask(old_url, "SELECT version FROM reverse_etl_schema") == [(1,)]
    columns = {name for name in ("kind", "plan_id") if _has_column(old_url, name)}
    assert columns == set()


def _has_column(url: str, name: str) -> bool:
    try:
        ask(url, f"SELECT {name} FROM reverse_etl_runs")
    except (sqlite3.OperationalError, psycopg.errors.UndefinedColumn):
        return False
    return True
