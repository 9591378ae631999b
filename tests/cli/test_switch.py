"""`stop` and `resume` where a file does what the journal cannot, and where a stop was given without them."""

from pathlib import Path

import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.cli.office import EVENTS, Office
from tests.heavy import first_rows

OUT_OF_REACH = "postgresql://nobody:s3cret@127.0.0.1:1/none"


@pytest.fixture(autouse=True)
def no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVERSE_ETL_STOP", raising=False)


@pytest.fixture
def two(office: Office) -> Office:
    office.sync("events", EVENTS)
    office.sync("people_to_crm")
    office.build(("ada@shop.example", "Ada", "Bern"))
    return office


@pytest.fixture
def cut_off(two: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Its journal is out of reach."""
    monkeypatch.setenv("REVERSE_ETL_JOURNAL", OUT_OF_REACH)
    return two


def back(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVERSE_ETL_JOURNAL")


@pytest.mark.parametrize(
    ("words", "name", "stopped"),
    first_rows(
        [
            (("--all",), "STOP", {"events", "people_to_crm"}),
            (("--destination", "crm"), "STOP.destination.crm", {"people_to_crm"}),
            (("--sync", "events"), "STOP.sync.events", {"events"}),
        ]
    ),
)
def test_a_file_stops_what_the_journal_cannot(
    cut_off: Office, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], name: str, stopped: set[str]
) -> None:
    result = cut_off.run("stop", *words, "--why", "Wrong prices", "--who", "Kim")
    assert result.exit_code == 1
    assert "could not be written to the journal: journal postgresql://nobody:***@127.0.0.1:1/none unreachable" in (
        result.stderr
    )
    path = cut_off.home / name
    assert f"So the file {path} was written instead" in result.stderr
    assert path.read_text() == "Wrong prices\nwho: Kim\n"

    back(cut_off, monkeypatch)
    runs = {run["sync"]: run for run in cut_off.json("run", "--all")["runs"]}
    assert {name for name, run in runs.items() if run["status"] == "guarded"} == stopped
    assert all("by Kim: Wrong prices" in runs[name]["problem"] for name in stopped)

    said = cut_off.ok("resume", *words, "--who", "Lee", "--why", "Mended")
    assert f"(given in {path})" in said
    assert not path.exists()
    assert {run["status"] for run in cut_off.json("run", "--all")["runs"]} == {"done"}
    log = cut_off.json("status")["kill_switch_log"]
    assert [(entry["action"], entry["who"]) for entry in log] == [("resume", "Lee"), ("stop", "Kim")]
    assert f"Wrong prices (given in {path})" in log[1]["why"]


def test_a_file_is_removed_without_the_journal(cut_off: Office) -> None:
    (cut_off.home / "STOP").write_text("By hand")
    result = cut_off.run("resume", "--all")
    assert result.exit_code == 1
    assert "Resumed: all (given in" in result.stdout
    assert "The journal could not be asked" in result.stderr
    assert not (cut_off.home / "STOP").exists()


def test_without_journal_and_file_there_is_nothing_to_resume(cut_off: Office) -> None:
    result = cut_off.run("resume", "--all")
    assert result.exit_code == 2
    assert "unreachable" in result.stderr
    assert "s3cret" not in result.stderr


def test_where_nothing_can_be_written_it_says_so(cut_off: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    (cut_off.home / "file").touch()
    monkeypatch.setenv("REVERSE_ETL_HOME", str(cut_off.home / "file"))
    result = cut_off.run("stop", "--all", "--why", "It must end now")
    assert result.exit_code == 2
    assert "NOTHING IS STOPPED" in result.stderr
    assert "Set REVERSE_ETL_STOP" in result.stderr
    assert "Stopped" not in result.stdout


def test_a_stop_by_the_environment_is_lifted_there(two: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_STOP", "Migration")
    (run,) = two.json("run", "people_to_crm")["runs"]
    assert "stopped (all) by the environment: Migration" in run["problem"]
    result = two.run("resume", "--all")
    assert result.exit_code == 1
    assert "Still stopped: all (given in REVERSE_ETL_STOP)" in result.stdout


def test_file_and_journal_are_both_lifted(two: Office, sandbox: Sandbox) -> None:
    two.ok("stop", "--all", "--why", "Audit", "--who", "Kim")
    Path(two.home, "STOP").write_text("By hand")
    Path(two.home, "STOP.sync.events").write_text("Noise")
    said = two.ok("resume", "--all")
    assert said.count("Resumed: all") == 2
    assert "Still stopped: sync:events (given in" in said
    assert two.project.journal.stopped("crm", "people_to_crm") is None
