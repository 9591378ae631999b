"""What a run noted of records goes with its end; what is deleted is gone from the file, too."""

import sqlite3
from pathlib import Path

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Answer, Intent, Journal, RunStatus
from reverse_etl_assets.journal.records import Note
from reverse_etl_assets.records import Operation, RowError, Status
from tests.journal_entries import answer, begin

SECRET = "b2f0a9d4c7e1365f"


def a_run(journal: Journal, run_id: str, *, batches: int = 1, detail: str | None = None, end: bool = True) -> None:
    """Of `contacts`; its notes and the vendor's messages hold the secret."""
    journal.start_run(run_id, "contacts", "crm")
    notes = [Note(1, read=True, before=f'{{"name": "{SECRET}"}}')]
    intents = [Intent(number, Operation.UPDATE, [1], notes) for number in range(1, batches + 1)]
    begin(journal, run_id, intents)
    refused = Answer(1, Status.FAILED, error=RowError(f"{SECRET} is refused"))
    answer(journal, run_id, {intent.number: [refused] for intent in intents})
    if end:
        journal.end_run(run_id, RunStatus.DONE, counts={}, detail=detail)


def files_with_the_secret(folder: Path) -> list[str]:
    return [file.name for file in sorted(folder.rglob("*")) if file.is_file() and SECRET.encode() in file.read_bytes()]


def test_the_end_of_a_run_deletes_its_notes_and_those_of_no_other(journal: Journal) -> None:
    a_run(journal, "killed", end=False)
    a_run(journal, "r1", batches=450)
    notes = [batch.notes for batch in journal.batches("r1")]
    assert len(notes) == 450
    assert not any(notes)
    assert [len(batch.answers) for batch in journal.batches("r1")] == [1] * 450
    assert [len(batch.notes) for batch in journal.batches("killed")] == [1]


def test_notes_are_gone_from_the_files(tmp_path: Path) -> None:
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.db")
    journal.start_run("r1", "contacts", "crm")
    begin(journal, "r1", [Intent(1, Operation.UPDATE, [1], [Note(1, read=True, before=SECRET * 1_000)])])
    assert files_with_the_secret(tmp_path) == ["journal.db-wal"]
    journal.end_run("r1", RunStatus.DONE, counts={})
    assert files_with_the_secret(tmp_path) == []
    journal.close()


def test_a_reader_does_not_keep_a_run_from_ending(tmp_path: Path) -> None:
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.db")
    a_run(journal, "r1", end=False)
    with journal.database.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM reverse_etl_runs").all()
        journal.end_run("r1", RunStatus.DONE, counts={})
        assert files_with_the_secret(tmp_path) == ["journal.db-wal"]
    assert journal.database.empty_log()
    assert files_with_the_secret(tmp_path) == ["journal.db"], "the vendor's message"
    journal.close()


class TestForgottenRuns:
    def test_their_batches_go_and_other_runs_keep_theirs(self, journal: Journal) -> None:
        a_run(journal, "r1", detail=f"refused: {SECRET}")
        a_run(journal, "r2")
        a_run(journal, "open", end=False)
        assert sorted(journal.ended_with_batches("contacts")) == ["r1", "r2"]
        journal.forget_runs("contacts", ["r1"], lambda said: said.replace(SECRET, "***"))
        assert journal.ended_with_batches("contacts") == ["r2"]
        assert list(journal.batches("r1")) == []
        assert [len(list(journal.batches(run_id))) for run_id in ("r2", "open")] == [1, 1]
        assert [run.detail for run in journal.history("contacts")] == [None, None, "refused: ***"]

    def test_other_syncs_are_left_alone(self, journal: Journal) -> None:
        journal.start_run("o1", "orders", "crm")
        journal.end_run("o1", RunStatus.FAILED, counts={}, detail=SECRET)
        journal.forget_runs("contacts", [], lambda said: "***")
        assert [run.detail for run in journal.history("orders")] == [SECRET]

    def test_they_are_gone_from_the_files(self, tmp_path: Path) -> None:
        journal = Journal.open(f"sqlite:///{tmp_path}/journal.db")
        a_run(journal, "r1", batches=50)
        assert files_with_the_secret(tmp_path) != []
        journal.forget_runs("contacts", ["r1"], lambda said: said)
        journal.database.compact()
        assert files_with_the_secret(tmp_path) == []
        journal.close()

    def test_also_what_an_earlier_release_deleted(self, tmp_path: Path) -> None:
        journal = Journal.open(f"sqlite:///{tmp_path}/journal.db")
        a_run(journal, "r1", batches=50)
        earlier = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        earlier.execute("PRAGMA secure_delete=OFF")
        earlier.execute("DELETE FROM reverse_etl_batches")
        earlier.close()
        assert files_with_the_secret(tmp_path) != []
        journal.database.compact()
        assert files_with_the_secret(tmp_path) == []
        journal.close()

    def test_a_journal_in_use_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reverse_etl_assets.journal.schema.BUSY_TIMEOUT", 0.0)
        journal = Journal.open(f"sqlite:///{tmp_path}/journal.db")
        a_run(journal, "r1")
        reader = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM reverse_etl_runs").fetchall()
        journal.forget_runs("contacts", ["r1"], lambda said: said)
        with pytest.raises(StateError, match="is in use, so what was deleted still stands in its log"):
            journal.database.compact()
        reader.close()
        journal.close()


def test_the_log_keeps_that_somebody_was_forgotten(journal: Journal) -> None:
    journal.log_forgotten("contacts", "ab12", "ann", "asked for it")
    (entry,) = journal.control_log()
    assert (entry.action, entry.scope, entry.who) == ("forget", "sync:contacts", "ann")
    assert entry.why == "asked for it (SHA-256 of the key: ab12)"
