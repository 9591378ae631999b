"""What becomes of a run that had no end: the next one folds in what it had been told, and says what it was."""

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal.records import Run, RunStatus
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import heavy

SYNC = sink_sync(options={**SINK, "batch_size": 2}, verify={"sample": 0})


@pytest.fixture
def killed(shop: Shop, sandbox: Sandbox) -> Shop:
    """A run of three batches, killed when one was answered, and one more was sent."""
    shop.build("select 'k' || i as id, 'n' as name from range(6) r(i)")
    shop.run(SYNC, sink(sandbox.url), run_id="first")
    with shop.journal.database.writing() as connection:
        connection.exec_driver_sql(
            "update reverse_etl_runs set status = 'open', ended_at = null where run_id = 'first'"
        )
        connection.exec_driver_sql("delete from reverse_etl_batches where number = 3")
        connection.exec_driver_sql("update reverse_etl_batches set answered_at = null where number = 2")
    with shop.warehouse.open(SYNC.sync, write=True) as con:
        con.execute("delete from state.facts where name = 'folded_run'")
        con.execute("delete from state.outcomes; delete from state.synced; delete from state.pending")
    return shop


def ended(shop: Shop, run_id: str = "first") -> Run:
    found = shop.journal.run(run_id)
    assert found is not None
    return found


def test_its_answers_come_home_and_the_rest_is_told_as_what_it_is(killed: Shop, sandbox: Sandbox) -> None:
    report = killed.run(SYNC, sink(sandbox.url))
    run = ended(killed)
    assert (run.status, run.detail) == (
        RunStatus.STOPPED,
        "the process ended in the middle; its answers were folded in by the next run",
    )
    told = {name: run.counts[name] for name in ("added", "created", "failed_ambiguous", "skipped_stopped")}
    assert told == {"added": 6, "created": 2, "failed_ambiguous": 2, "skipped_stopped": 2}
    outcomes = {(o.reason, o.message) for o in killed.outcomes(SYNC, "first")}
    assert outcomes == {
        (None, None),
        ("ambiguous", "the request was sent, and the process ended before the answer came"),
        ("stopped", "the process ended before the row's turn"),
    }
    assert (report.recovered, report.given_up, report.status) == (("first",), "", RunStatus.DONE)
    assert report.counts["added"] == 4, "what it had been told is not sent again"


@heavy
def test_a_run_that_is_recovered_is_open_no_more(killed: Shop, sandbox: Sandbox) -> None:
    killed.run(SYNC, sink(sandbox.url))
    assert killed.run(SYNC, sink(sandbox.url)).recovered == ()


@heavy
def test_it_is_brought_home_where_it_went(killed: Shop, sandbox: Sandbox) -> None:
    """Another destination cannot be asked, and is not sent anything before."""
    with killed.journal.database.writing() as connection:
        connection.exec_driver_sql("update reverse_etl_runs set destination = 'elsewhere' where run_id = 'first'")
    calls = len(sandbox.log.lines())
    with pytest.raises(
        StateError, match=r"run first of sync people_to_sink to `elsewhere` was killed.*Nothing was sent"
    ):
        killed.run(SYNC, sink(sandbox.url))
    assert (ended(killed).status, len(sandbox.log.lines())) == (RunStatus.OPEN, calls)


@heavy
def test_a_run_that_was_killed_before_it_planned_has_failed(killed: Shop, sandbox: Sandbox) -> None:
    killed.run(SYNC, sink(sandbox.url))
    killed.journal.start_run("early", SYNC.sync, "sink", counts={"model_rows": 7})
    report = killed.run(SYNC, sink(sandbox.url))
    run = ended(killed, "early")
    assert (run.status, run.detail) == (RunStatus.FAILED, "the process ended before anything was sent")
    assert (run.counts["model_rows"], report.recovered, report.status) == (7, ("early",), RunStatus.DONE)
    assert report.change_set == 0
