"""A full disk, too little memory, a damaged file: told with the cause, the file and what to do, and nothing is lost."""

import os
import resource
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reverse_etl_assets.errors import ConfigurationError, StateError, StateMismatch
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.previews.undo import preview_undo
from reverse_etl_assets.warehouses.duckdb import transaction
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import Shop, sink, sink_sync
from tests.heavy import heavy

WIDE = "select i::varchar as id, repeat(md5(i::varchar), 30) as name from range(2000) r(i)"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses what would make a file larger, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_is_full_before_anything_is_sent(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(WIDE)
    with files_of_at_most(100_000), pytest.raises(StateError, match=r"the disk of .*/state is full .*File too large"):
        shop.run(sink_sync(), sink(sandbox.url))
    assert not sandbox.log.lines()
    assert shop.run(sink_sync(), sink(sandbox.url)).counts["created"] == 2000


def test_a_disk_that_is_full_when_the_answers_come_home(shop: Shop, sandbox: Sandbox) -> None:
    """The rows have gone out: the next run takes what was heard from the journal, and sends none of them again."""
    shop.build(WIDE)
    sync, account = sink_sync(), sink(sandbox.url)
    with ExitStack() as limits:

        def on_progress(plan: Plan, statuses: Mapping[str, int]) -> None:
            if sum(statuses.values()) == 2000:
                limits.enter_context(files_of_at_most(300_000))

        with pytest.raises(StateError, match=r"the disk of .* is full .*the next run folds it in"):
            shop.run(sync, account, on_progress=on_progress)
    assert len(sandbox.rest.tables["people"].live()) == 2000
    requests = len(sandbox.log.lines())
    report = shop.run(sync, account)
    assert (report.status, len(report.recovered), report.change_set) == (RunStatus.DONE, 1, 0)
    assert len(sandbox.log.lines()) == requests
    assert shop.state(sync, "select count(*) from state.synced") == [(2000,)]


def test_an_error_in_a_transaction_stays_the_error(shop: Shop) -> None:
    """What ended it is raised, also if DuckDB has ended the transaction already."""
    with shop.warehouse.open("people_to_sink", write=True) as con:
        con.execute("create table state.facts (name varchar)")
        for statement in ("rollback", "insert into state.facts values ('x')"):
            with pytest.raises(KeyError, match="the cause"), transaction(con):  # noqa: PT012
                con.execute(statement)
                raise KeyError("the cause")
        assert con.execute("select count(*) from state.facts").fetchall() == [(0,)]


def test_too_little_memory(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(WIDE)
    shop.warehouse = replace(shop.warehouse, memory_limit="1MB")
    with pytest.raises(StateError, match=r"needs more memory than the 1MB .*Set REVERSE_ETL_MEMORY to more"):
        shop.run(sink_sync(), sink(sandbox.url))
    assert not sandbox.log.lines()


@heavy
@pytest.mark.parametrize("share", [0.0, 0.4, 0.95])
def test_a_state_that_was_cut_off(shop: Shop, sandbox: Sandbox, share: float) -> None:
    shop.build(WIDE)
    sync, account = sink_sync(), sink(sandbox.url)
    shop.run(sync, account)
    state = shop.warehouse.state_file(sync.sync)
    os.truncate(state, int(state.stat().st_size * share))
    with pytest.raises(StateError, match=r"people_to_sink\.duckdb is damaged .*move it away: the next run then says"):
        shop.run(sync, account)
    state.rename(state.with_suffix(".damaged"))
    with pytest.raises(StateMismatch, match="recover-state"):
        shop.run(sync, account)


@heavy
def test_a_state_whose_bytes_changed_is_not_waited_for(tmp_path: Path, sandbox: Sandbox) -> None:
    """DuckDB speaks of a block, which is no lock."""
    shop = Shop(tmp_path, lock_wait=3_600.0)
    shop.build(WIDE)
    sync, account = sink_sync(), sink(sandbox.url)
    shop.run(sync, account)
    state = shop.warehouse.state_file(sync.sync)
    content = bytearray(state.read_bytes())
    content[12_288:13_288] = bytes(255 - byte for byte in content[12_288:13_288])
    state.write_bytes(content)
    with pytest.raises(
        StateError, match=r"people_to_sink\.duckdb is damaged \(Corrupt database file: computed checksum"
    ):
        shop.run(sync, account)
    shop.close()


@heavy
def test_a_state_whose_rows_changed_is_named(shop: Shop, sandbox: Sandbox) -> None:
    """DuckDB opens it, and names no file once it reads them: neither of two, nor one that is a copy."""
    shop.build(WIDE)
    sync, account = sink_sync(), sink(sandbox.url)
    run = shop.run(sync, account).run_id
    state = shop.warehouse.state_file(sync.sync)
    content = bytearray(state.read_bytes())
    third = len(content) // 3
    content[third:] = bytes(255 - byte for byte in content[third:])
    state.write_bytes(content)
    both = f"{state} or {shop.warehouse.database} is damaged .*Let dbt build the second anew. If it is the first: Put"
    with pytest.raises(StateError, match=both):
        shop.run(sync, account)
    with pytest.raises(StateError, match=f"^{state} is damaged .*Put a copy of it back"):
        preview_undo(run, sync, shop.environment, account)


def test_a_size_of_memory_that_is_none(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(WIDE)
    shop.warehouse = replace(shop.warehouse, memory_limit="lots")
    with pytest.raises(ConfigurationError, match=r"'lots' is no size of memory .*REVERSE_ETL_MEMORY is written as"):
        shop.run(sink_sync(), sink(sandbox.url))


def test_a_journal_on_a_full_disk(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(WIDE)
    (shop.home / "more").mkdir()
    with files_of_at_most(4_000), pytest.raises(StateError, match=r"journal .*more/journal\.sqlite .*disk"):
        Journal.open(f"sqlite:///{shop.home}/more/journal.sqlite")
