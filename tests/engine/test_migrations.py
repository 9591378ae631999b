"""State files of every form so far, as releases wrote them, killed on the way through a run: this release goes on with
them, and sends nothing twice."""

import sqlite3
from pathlib import Path

import duckdb
import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.state import held_rows
from reverse_etl_assets.state.outcomes import why
from reverse_etl_assets.state.row_search import FoundRow, in_state
from reverse_etl_assets.state.versions import history
from reverse_etl_assets.warehouses.migrations import FORM
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import first, heavy

STATES = Path(__file__).parent / "states"
FORMS = sorted(each.stem.removeprefix("form_") for each in STATES.glob("form_*.sql"))
MODEL = "select 'k' || i as id, case i when 3 then 'n3' else 'm' || i end as name from range(1, 6) r(i)"
THEN = 1_796_050_000.0  # minutes after they were written
SYNC = sink_sync(sync_mode="mirror", options={**SINK, "batch_size": 2}, guards={"max_removed": {"percent": 100}})


def kept(home: Path, form: str) -> Shop:
    """A shop with the state and the journal of a release of then."""
    (home / "state").mkdir()
    with duckdb.connect(":memory:") as con:
        con.execute(f"attach '{home}/state/people_to_sink.duckdb' as state")
        con.execute((STATES / f"form_{form}.sql").read_text())
    with sqlite3.connect(home / "journal.sqlite") as journal:
        journal.executescript((STATES / f"journal_{form}.sql").read_text())
    journal.close()
    shop = Shop(home, clock=lambda: THEN)
    shop.build(MODEL)
    return shop


def synced(shop: Shop) -> dict[str, str]:
    return dict(shop.state(SYNC, "select id, name from state.synced"))


@pytest.mark.parametrize("form", first(FORMS))
def test_a_run_goes_on_with_it(tmp_path: Path, sandbox: Sandbox, form: str) -> None:
    shop = kept(tmp_path, form)
    (killed,) = shop.journal.open_runs(SYNC.sync)
    seen = preview(SYNC, shop.environment, sink(sandbox.url))
    report = shop.run(SYNC, sink(sandbox.url))
    assert (report.status, list(report.recovered)) == (RunStatus.DONE, [killed.run_id])
    then = {outcome.key: (outcome.status, outcome.reason) for outcome in shop.outcomes(SYNC, killed.run_id)}
    assert then.keys() == {"k0", "k1", "k2", "k4", "k5"}
    assert then["k1"] == ("updated", None)
    assert report.change_set == sum(seen.plan.to_send.values()) == (then["k0"] != ("deleted", None))
    assert bool(sandbox.log.lines()) == bool(report.change_set)  # what had its answer does not go out again
    assert synced(shop) == {"k1": "m1", "k2": "m2", "k3": "n3", "k4": "m4", "k5": "m5"}
    assert shop.state(SYNC, "select value from state.facts where name = 'format'") == [(str(FORM),)]
    assert shop.run(SYNC, sink(sandbox.url)).change_set == 0
    shop.close()


@heavy
@pytest.mark.parametrize("form", FORMS)
def test_whoever_only_reads_changes_nothing(tmp_path: Path, form: str) -> None:
    shop = kept(tmp_path, form)
    file = shop.warehouse.state_file(SYNC.sync)
    before = file.read_bytes()
    with shop.warehouse.open(SYNC.sync) as con:
        assert why(con, "K4").outcomes[0].status == "created"
        assert held_rows.count(con) == 0
        assert [version.number for version in history(con)] == ([] if form in ("1", "2a") else [1])
        assert in_state(con, "n4") == [FoundRow("k4", ("name",))]
    assert file.read_bytes() == before
    shop.close()


def test_a_newer_form_is_refused(tmp_path: Path, sandbox: Sandbox) -> None:
    shop = kept(tmp_path, FORMS[-1])
    with shop.warehouse.open(SYNC.sync, write=True) as con:
        con.execute("update state.facts set value = '99' where name = 'format'")
    file = shop.warehouse.state_file(SYNC.sync)
    before = file.read_bytes()
    said = (
        f"people_to_sink.duckdb is of form 99, and this release knows forms up to {FORM}: a newer release has written"
    )
    for write in (False, True):
        with pytest.raises(StateError, match=said), shop.warehouse.open(SYNC.sync, write=write):
            pass
    with pytest.raises(StateError, match=said):
        shop.run(SYNC, sink(sandbox.url))
    assert (file.read_bytes(), sandbox.log.lines()) == (before, [])
    shop.close()


@heavy
@pytest.mark.parametrize("column", ["outcomes.message", "held.fields", "versions.definition"])
def test_a_state_that_lacks_a_column_sends_nothing(shop: Shop, sandbox: Sandbox, column: str) -> None:
    shop.build(MODEL)
    shop.run(SYNC, sink(sandbox.url))
    requests = len(sandbox.log.lines())
    table, _, name = column.partition(".")
    with shop.warehouse.open(SYNC.sync, write=True) as con:
        con.execute(f"alter table state.{table} drop column {name}")
    shop.build(MODEL.replace("'m'", "'o'"))
    with pytest.raises(StateError, match=f"people_to_sink is damaged: it lacks {column}. Put a copy of it back"):
        shop.run(SYNC, sink(sandbox.url))
    assert len(sandbox.log.lines()) == requests


@heavy
def test_a_state_of_another_sync_is_refused(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(MODEL)
    shop.run(SYNC, sink(sandbox.url))
    other = SYNC.model_copy(update={"sync": "others"})
    shop.warehouse.state_file(SYNC.sync).rename(shop.warehouse.state_file("others"))
    with pytest.raises(StateError, match="state of sync others belongs to another one, people_to_sink"):
        shop.run(other, sink(sandbox.url))
