"""Two runs of one sync at once, for the lock did not keep them apart: said aloud, and no answer thrown away."""

from collections.abc import Iterator
from typing import Any

import pytest

from reverse_etl_assets.errors import ChangeSetLost, SyncBusy
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.run import exclusive
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import heavy

SLOW = sink_sync(options={**sink_sync().options, "batch_size": 10})


@pytest.fixture
def two(shop: Shop, sandbox: Sandbox) -> Iterator[tuple[Shop, Shop]]:
    """The same project twice."""
    shop.build("select i::varchar as id, 'n' || i as name from range(300) r(i)")
    other = Shop(shop.home)
    other.know()
    yield shop, other
    other.close()


def meanwhile(
    two: tuple[Shop, Shop], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> tuple[ChangeSetLost, Report]:
    """A run before whose fold somebody removes the lock file and starts another, which runs to its end."""
    shop, other = two
    batches, second = shop.journal.batches, list[Report]()

    def taken_over(run_id: str) -> Any:
        if not second:
            shop.warehouse.lock_file(SLOW.sync).unlink()
            monkeypatch.undo()
            second.append(other.run(SLOW, sink(sandbox.url), run_id="second"))
        return batches(run_id)

    monkeypatch.setattr(shop.journal, "batches", taken_over)
    with pytest.raises(ChangeSetLost) as raised:
        shop.run(SLOW, sink(sandbox.url), run_id="first")
    return raised.value, second[0]


def test_a_run_whose_change_set_was_taken_over_says_so_and_keeps_its_answers(
    two: tuple[Shop, Shop], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, second = meanwhile(two, sandbox, monkeypatch)
    assert "taken over by run second" in str(error)
    found = two[0].journal.run("first")
    assert found is not None
    assert found.status is RunStatus.FAILED
    assert "taken over by run second" in str(found.detail)
    told = sum(len(batch.answers) for batch in two[0].journal.batches("first"))
    assert told == 300, "what the destination has said is in the journal"
    assert second.status is RunStatus.DONE


@heavy
def test_an_outbox_of_another_run_is_not_sent(shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken over between the plan and the first request."""
    shop.build("select 'k' as id, 'n' as name")
    sync = sink_sync()
    apply_plan = shop.journal.apply_plan

    def take_over(*of_plan: Any) -> None:
        apply_plan(*of_plan)
        with shop.warehouse.open(sync.sync, write=True) as con:
            con.execute("update state.facts set value = 'other' where name = 'outbox_run'")

    monkeypatch.setattr(shop.journal, "apply_plan", take_over)
    with pytest.raises(ChangeSetLost, match="taken over by run other"):
        shop.run(sync, sink(sandbox.url), run_id="mine")
    assert "people" not in sandbox.rest.tables
    found = shop.journal.run("mine")
    assert found is not None
    assert found.status is RunStatus.FAILED


@heavy
def test_a_killed_run_whose_outbox_is_gone_is_named_for_what_it_is(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'k' as id, 'n' as name")
    sync = sink_sync()
    shop.run(sync, sink(sandbox.url), run_id="first")
    with shop.journal.database.writing() as connection:
        connection.exec_driver_sql("update reverse_etl_runs set status = 'open' where run_id = 'first'")
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("update state.facts set value = 'other' where name in ('outbox_run', 'folded_run')")
        con.execute("update state.facts set value = 'first' where name = 'folded_run'")
    shop.run(sync, sink(sandbox.url))
    found = shop.journal.run("first")
    assert found is not None
    assert "another run took it over. The answers to its 1 batches stand in the journal" in str(found.detail)


def test_a_lock_file_that_was_replaced_keeps_two_apart(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever locked a file that is not there any more has locked nothing."""
    import filelock

    path, acquire = shop.warehouse.lock_file("s"), filelock.FileLock.acquire
    times: list[Any] = []

    def replaced(lock: Any, *args: Any, **named: Any) -> Any:
        held = acquire(lock, *args, **named)
        if not times:
            path.unlink()
        times.append(1)
        return held

    monkeypatch.setattr(filelock.FileLock, "acquire", replaced)
    with exclusive("s", shop.warehouse):
        assert len(times) == 2
        with pytest.raises(SyncBusy), exclusive("s", shop.warehouse):
            pass


def test_a_lock_file_that_is_removed_again_and_again_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    path, acquire = shop.warehouse.lock_file("s"), filelock.FileLock.acquire
    times: list[Any] = []

    def removed(lock: Any, *args: Any, **named: Any) -> Any:
        held = acquire(lock, *args, **named)
        path.unlink()
        times.append(1)
        return held

    monkeypatch.setattr(filelock.FileLock, "acquire", removed)
    with pytest.raises(SyncBusy, match="is removed again and again"), exclusive("s", shop.warehouse):
        pass
    assert len(times) == 10
