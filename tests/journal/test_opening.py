import sqlite3
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import update

from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.journal import Intent, Journal, schema as journal_schema
from reverse_etl_assets.records import Operation
from tests.journal_entries import begin


class TestOpening:
    def test_several_may_create_it_at_once(self, journal_url: str) -> None:
        barrier = threading.Barrier(8)

        def open_and_use(i: int) -> None:
            barrier.wait(20)
            journal = Journal.open(journal_url)
            journal.start_run(f"r{i}", "contacts", "crm")
            journal.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(open_and_use, range(8)))
        journal = Journal.open(journal_url)
        assert len(journal.open_runs("contacts")) == 8
        journal.close()

    def test_a_newer_version_is_refused(self, journal: Journal, open_journal: Callable[[], Journal]) -> None:
        with journal.database.writing() as connection:
            connection.execute(update(journal_schema.schema).values(version=journal_schema.SCHEMA_VERSION + 1))
        with pytest.raises(StateError, match="is of version 5, this release knows version 4: upgrade"):
            open_journal()

    def test_a_database_that_fails_in_mid_run_is_a_state_error(self, journal: Journal) -> None:
        journal.start_run("r1", "contacts", "crm")
        with journal.database.writing() as connection:
            journal_schema.batches.drop(connection)
        with pytest.raises(StateError, match="cannot be written") as failure:
            begin(journal, "r1", [Intent(1, Operation.INSERT, [1])])
        assert "\n" not in str(failure.value)
        with pytest.raises(StateError, match="cannot be read"):
            list(journal.batches("r1"))


class TestSqlite:
    def test_folder_is_made_and_commits_are_durable(self, tmp_path: Path) -> None:
        journal = Journal.open(f"sqlite:///{tmp_path}/new/state/journal.db")
        with journal.database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
        journal.close()

    def test_not_a_database(self, tmp_path: Path) -> None:
        (tmp_path / "journal.db").write_text("no database at all, but long enough to have a header" * 30)
        with pytest.raises(StateError, match=r"journal sqlite:///.*journal\.db unreachable: file is not a database"):
            Journal.open(f"sqlite:///{tmp_path}/journal.db")

    def test_a_file_stands_where_the_folder_should(self, tmp_path: Path) -> None:
        (tmp_path / "state").touch()
        with pytest.raises(StateError, match=r"unreachable: (File exists|Not a directory)"):
            Journal.open(f"sqlite:///{tmp_path}/state/journal.db")

    @pytest.mark.parametrize("new", [True, False], ids=["new", "in use"])
    @pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN", "BEGIN IMMEDIATE"])
    def test_it_waits_for_whoever_has_the_file_locked(self, tmp_path: Path, new: bool, lock: str) -> None:
        path = tmp_path / "journal.db"
        if not new:
            Journal.open(f"sqlite:///{path}").close()
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute(lock)
        other.execute("SELECT * FROM sqlite_master").fetchall()
        release = threading.Timer(0.2, other.execute, ["COMMIT"])
        release.start()
        journal = Journal.open(f"sqlite:///{path}")
        journal.start_run("r1", "contacts", "crm")
        release.join()
        assert journal.run("r1") is not None
        journal.close()
        other.close()


SECRET = "s3cr&t-pass"


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "error"),
        [
            ("postgresql://ada:s3cr&t-pass@127.0.0.1:1/journal", StateError),
            ("postgresql+psycopg://ada:s3cr%26t-pass@127.0.0.1:1/journal", StateError),
            ("postgresql://ada@127.0.0.1:1/journal?password=s3cr%26t-pass", StateError),
            ("postgresql://ada:s3cr&t-pass@127.0.0.1:1/journal?no_such_option=1", StateError),
            ("postgresql://ada:s3cr&t-pass@127.0.0.1:port/journal", ConfigurationError),
            ("postgresql://ada:1/s3cr&t-pass@127.0.0.1/journal", (StateError, ConfigurationError)),
            ("mysql://ada:s3cr&t-pass@127.0.0.1/journal", ConfigurationError),
        ],
    )
    def test_no_error_shows_the_password(self, url: str, error: type[Exception]) -> None:
        with pytest.raises(error) as failure:
            Journal.open(url)
        shown = "".join(traceback.format_exception(failure.value))
        shown = shown.replace(url, "")  # pytest's own frames may quote this test
        assert "s3cr" not in str(failure.value)
        assert SECRET not in shown
        if error is StateError:
            assert str(failure.value).startswith("journal postgresql://ada")
            assert "@127.0.0.1:1/journal" in str(failure.value)
            assert "unreachable" in str(failure.value)

    @pytest.mark.parametrize("url", ["", "journal.db", "sqlite://", "sqlite:///:memory:", "duckdb:///journal.db"])
    def test_other_urls_are_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"must look like sqlite:///path/to/journal\.db or postgresql://"):
            Journal.open(url)
