"""Stops that need no journal: files and an environment variable."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.journal import Journal, Stop, Stopped
from reverse_etl_assets.journal.stop_signals import StopSignals
from reverse_etl_assets.journal.writer import JournalWriter
from reverse_etl_assets.records import Operation
from tests.journal_entries import begin_next

VARIABLE = "REVERSE_ETL_STOP"
FILES = {"all": "STOP", "destination:crm": "STOP.destination.crm", "sync:contacts": "STOP.sync.contacts"}
OTHER_FILES = ("STOP.destination.CRM", "STOP.destination.crm2", "STOP.sync.contact", "STOP.sync", "STOP.txt", "STOPPED")


@pytest.fixture(autouse=True)
def no_stop(monkeypatch: pytest.MonkeyPatch, stop_folder: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    stop_folder.mkdir()


@pytest.mark.parametrize(
    ("way", "scope"), [*(("journal", scope) for scope in FILES), *(("file", s) for s in FILES), ("environment", "all")]
)
def test_no_batch_begins_once_it_is_there(
    open_journal: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch, stop_folder: Path, way: str, scope: str
) -> None:
    journal, other = open_journal(), open_journal()
    journal.start_run("r1", "contacts", "crm")

    def give() -> None:
        match way:
            case "journal":
                other.stop(scope, "ada", "now")
            case "file":
                (stop_folder / FILES[scope]).write_text("now")
            case "environment":
                monkeypatch.setenv(VARIABLE, "now")

    async def main() -> None:
        async with JournalWriter(journal, "r1", "crm", "contacts") as writer:
            number = await writer.begin(Operation.UPSERT, [1])
            give()
            begins = [writer.begin(Operation.UPSERT, [2]) for _ in range(3)]
            *refused, answered = await asyncio.gather(*begins, writer.answer(number, []), return_exceptions=True)
            assert answered is None, "answers are still taken"
            assert [error.stop.scope for error in refused if isinstance(error, Stopped)] == [scope] * 3

    asyncio.run(main())
    assert [batch.number for batch in journal.batches("r1")] == [1]
    with pytest.raises(Stopped, match=r"stopped \(.*: now"):
        begin_next(journal, "r1", [2])
    stop = journal.stopped("crm", "contacts")
    assert stop is not None
    assert (stop.scope, stop.why) == (scope, "now")
    assert journal.stops() == [stop]


@pytest.mark.parametrize("scope", FILES)
@pytest.mark.parametrize("way", ["journal", "file"])
def test_an_undo_gets_through_the_stop_of_its_own_sync_alone(
    journal: Journal, stop_folder: Path, way: str, scope: str
) -> None:
    journal.start_run("u1", "contacts", "crm")
    if way == "journal":
        journal.stop(scope, "ada", "wrong mapping")
    else:
        (stop_folder / FILES[scope]).touch()

    async def main() -> int | None:
        async with JournalWriter(journal, "u1", "crm", "contacts", obeys_sync_stop=False) as writer:
            try:
                return await writer.begin(Operation.UPDATE, [1])
            except Stopped:
                return None

    passes = scope == "sync:contacts"
    assert (asyncio.run(main()) is not None) == passes
    assert (journal.stopped("crm", "contacts", obeys_sync_stop=False) is None) == passes
    assert journal.stopped("crm", "contacts") is not None


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "who", "why"),
        [
            ("wrong prices\n", None, "wrong prices"),
            ("wrong\nprices\nwho: Kim\n", "Kim", "wrong prices"),
            ("", None, "no reason given"),
            ("who: Kim", "Kim", "no reason given"),
            (b"\xff\xfe", None, "��"),
            ("x" * 5000, None, "x" * 1000),
        ],
    )
    def test_who_when_and_why(self, stop_folder: Path, text: str | bytes, who: str | None, why: str) -> None:
        path = stop_folder / "STOP"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (5, 1_750_000_000))
        stop = Stop("all", who or path.owner(), why, 1_750_000_000, str(path))
        assert StopSignals(stop_folder).all() == [stop]
        assert str(Stopped(stop)).startswith(
            f"stopped (all) by {stop.who} in {path} at 2025-06-15T15:06:40+00:00: {why}"
        )

    def test_only_what_is_named_is_stopped(self, journal: Journal, stop_folder: Path) -> None:
        for name in OTHER_FILES:
            (stop_folder / name).touch()
        assert journal.stopped("crm", "contacts") is None
        assert {stop.scope for stop in journal.stops()} == {"destination:CRM", "destination:crm2", "sync:contact"}
        assert {path.name for path in journal.signals.misnamed()} == {"STOP.sync", "STOP.txt", "STOPPED"}

    def test_the_widest_scope_is_named(self, journal: Journal, stop_folder: Path) -> None:
        for name in FILES.values():
            (stop_folder / name).touch()
        stop = journal.stopped("crm", "contacts")
        assert stop is not None
        assert stop.scope == "all"

    def test_what_is_no_readable_file_stops_too(self, stop_folder: Path) -> None:
        (stop_folder / "STOP").mkdir()
        (stop_folder / "STOP.sync.contacts").symlink_to("STOP.sync.contacts")
        for scope in ("all", "sync:contacts"):
            stop = StopSignals(stop_folder).in_force([scope])
            assert stop is not None
            assert "cannot be" in stop.why

    def test_written_and_removed(self, stop_folder: Path) -> None:
        signals = StopSignals(stop_folder / "new")
        for scope, name in FILES.items():
            assert signals.write(scope, "ada", "wrong prices").name == name
        assert [(stop.scope, stop.who, stop.why) for stop in signals.all()] == [
            (scope, "ada", "wrong prices") for scope in FILES
        ]
        assert [signals.remove(scope) for scope in FILES] == [True] * 3
        assert [signals.remove(scope) for scope in FILES] == [False] * 3
        assert signals.all() == []

    @pytest.mark.parametrize("scope", ["", "sync", "sync:", "model:people", "sync:../../etc"])
    def test_the_scope_is_checked(self, stop_folder: Path, scope: str) -> None:
        with pytest.raises(ConfigurationError, match="must be all, destination:<name> or sync:<name>"):
            StopSignals(stop_folder).write(scope, "ada", "typo")

    def test_a_folder_that_is_none_is_a_state_error(self, stop_folder: Path) -> None:
        (stop_folder / "file").touch()
        with pytest.raises(StateError, match=r"file/STOP cannot be written: (File exists|Not a directory)"):
            StopSignals(stop_folder / "file").write("all", "ada", "now")
        assert StopSignals(stop_folder / "file").all() == []
        (stop_folder / "STOP").mkdir()
        with pytest.raises(StateError, match="as long as it is there, all is stopped"):
            StopSignals(stop_folder).remove("all")


class TestVariable:
    def test_stops_everything(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "migration")
        (stop,) = journal.stops()
        assert (stop.scope, stop.why, stop.given_in) == ("all", "migration", VARIABLE)
        assert journal.stopped("any", "thing") == stop
        assert StopSignals(None).in_force(["all"]) == stop, "also where no folder is known"

    def test_empty_it_stops_nothing(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "")
        assert journal.stopped("any", "thing") is None


def test_a_stop_by_file_is_kept_in_the_log(journal: Journal, clock: Any) -> None:
    journal.log_stop(Stop("all", "ada", "wrong prices", clock.now - 60, "/home/STOP"))
    (entry,) = journal.control_log()
    assert (entry.action, entry.who, entry.at) == ("stop", "ada", clock.now - 60)
    assert entry.why == "wrong prices (given in /home/STOP)"
    assert journal.stops() == []
