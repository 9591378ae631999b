"""`reverse-etl doctor`: what is missing before a run, and what to do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from reverse_etl_assets.cli import app
from reverse_etl_assets.project.home import claim
from tests.cli.own_project import OwnProject


def told(code: int = 0) -> dict[str, tuple[str, str]]:
    """What is said, by what it is about; the worst where there are several."""
    result = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    assert result.exit_code == code, result.output
    found = sorted(json.loads(result.stdout), key=lambda each: ["ok", "!", "x"].index(each["mark"]))
    return {each["about"]: (each["mark"], each["text"]) for each in found}


@pytest.fixture
def ready(own: OwnProject) -> OwnProject:
    own.set_up()
    own.sync("people")
    return own


def test_all_is_well(ready: OwnProject) -> None:
    found = told()
    assert {each[0] for each in found.values()} == {"ok"}
    assert "Python 3." in found["versions"][1]
    assert found["dbt"][1] == f"profile shop, target dev (duckdb), by {ready.dbt}/profiles.yml"
    assert found["syncs"][1] == f"1 in {ready.folder}/syncs"
    assert found["crm"][1].startswith("OWN_CRM_TOKEN; ")
    assert not (ready.folder / ".reverse_etl").exists()  # it only reads


def test_one_line_each_that_is_not_wrapped(ready: OwnProject) -> None:
    result = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert all(line[:2] in ("ok", "! ", "x ") for line in result.stdout.splitlines()), result.stdout
    assert "pat-sandbox" not in result.output


def test_no_project(own: OwnProject) -> None:
    found = told(1)
    assert found["project"][0] == "x"
    assert "reverse-etl init" in found["project"][1]
    assert found["versions"][0] == "ok"


def test_variables_that_are_not_set(ready: OwnProject) -> None:
    (ready.folder / ".env").unlink()
    assert told(1)["crm"] == ("x", f"not set: OWN_CRM_TOKEN; put them into {ready.folder}/.env")


def test_a_profile_that_is_not_there(ready: OwnProject) -> None:
    (ready.dbt / "profiles.yml").write_text("other: {}\n")
    found = told(1)
    assert found["dbt"][0] == "x"
    assert "shop" in found["dbt"][1]
    assert found["crm"][0] == "ok"


def test_a_warehouse_that_is_not_built(ready: OwnProject) -> None:
    (ready.dbt / "shop.duckdb").unlink()
    text = f"{ready.dbt}/shop.duckdb is not there: run dbt build, for target dev"
    assert told(1)["warehouse"] == ("x", text)


@contextmanager
def writer(file: Path) -> Iterator[int]:
    """Another process that has the file open, as dbt would."""
    program = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, file], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


def test_who_holds_the_warehouse(ready: OwnProject) -> None:
    with writer(ready.dbt / "shop.duckdb") as pid:
        mark, text = told()["warehouse"]
    assert mark == "!"
    assert f"process {pid} writes to it" in text


def test_a_home_of_another_project(ready: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    claim(ready.folder / "home", "another")
    monkeypatch.setenv("REVERSE_ETL_HOME", str(ready.folder / "home"))
    mark, text = told(1)["home"]
    assert mark == "x"
    assert "has the state of project `another`" in text


def test_a_home_that_is_a_file(ready: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    file = ready.folder / "home"
    file.touch()
    for home in (file, file / "below"):
        monkeypatch.setenv("REVERSE_ETL_HOME", str(home))
        mark, text = told(1)["home"]
        assert (mark, text.split(":")[0]) == ("x", f"{file} is a file, and a home is a folder")


def test_a_journal_that_is_out_of_reach(ready: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_JOURNAL", "postgresql://reader:geheim@127.0.0.1:1/journal")
    mark, text = told(1)["journal"]
    assert mark == "x"
    assert "127.0.0.1:1" in text
    assert "geheim" not in text


def test_syncs_that_are_wrong(ready: OwnProject) -> None:
    ready.sync("people", sync_mode="sideways")
    mark, text = told(1)["syncs"]
    assert mark == "x"
    assert "people.yml:" in text


@contextmanager
def vendor(clock: datetime) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(401)
            self.send_header("Date", format_datetime(clock, usegmt=True))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("behind", "mark", "said"),
    [
        (timedelta(0), "ok", "agrees with 127.0.0.1:"),
        (timedelta(hours=1), "!", " s ahead of 127.0.0.1:"),
        (timedelta(hours=-1), "!", " s behind 127.0.0.1:"),
    ],
)
def test_the_clock(ready: OwnProject, behind: timedelta, mark: str, said: str) -> None:
    with vendor(datetime.now(UTC) - behind) as url:
        ready.set_up(
            destinations={"crm": {"type": "hubspot", "base_url": url, "access_token": {"env": "OWN_CRM_TOKEN"}}}
        )
        found = told()["clock"]
    assert found[0] == mark
    assert said in found[1]


def test_a_clock_that_nobody_tells(ready: OwnProject) -> None:
    assert told()["clock"] == ("ok", "not compared: no destination told its time")
