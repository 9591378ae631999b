"""A trial sends a few rows of a plan, and leaves all others as they were, whatever becomes of it."""

import random
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.meta_ads import MetaAds
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.guards.parents import parents_finding
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.plan.trial import Trial
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_sandbox.server import RemoteSandbox, Sandbox
from tests.destinations import accounts
from tests.engine.launcher import Launcher
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.engine.test_chaos import let_loose
from tests.heavy import heavy, seeds

LIMITLESS: dict[str, Any] = {"max_removed": {}, "row_count": {}, "in_flight": {"max_failed": 100}}


def mirror(**changes: Any) -> Sync:
    return sink_sync(**{"sync_mode": "mirror", "guards": LIMITLESS, "quarantine": {"after": None}, **changes})


class Bench:
    def __init__(self, shop: Shop, sandbox: Sandbox | RemoteSandbox) -> None:
        self.shop, self.account = shop, sink(sandbox.url)

    def build(self, names: dict[str, str | None]) -> None:
        rows = ", ".join(f"('{key}', nullif('{name or ''}', ''))" for key, name in names.items()) or "('', '')"
        self.shop.build(f"select * from (values {rows}) r(id, name) where id <> ''")

    def run(self, sync: Sync, *only: str, first: int | None = None) -> Report:
        trial = Trial(only, first) if only or first else None
        return self.shop.run(sync, self.account, trial=trial)

    def became(self, report: Report) -> dict[str | None, str]:
        return {key: each.status for key, each in self.shop.by_key(report.sync, report).items()}

    def synced(self, sync: Sync) -> dict[str, str]:
        return dict(self.shop.state(sync, "select _retl_key, name from state.synced"))


@pytest.fixture
def bench(shop: Shop, sandbox: Sandbox) -> Bench:
    return Bench(shop, sandbox)


def held(sandbox: Sandbox) -> dict[str, Any]:
    table = sandbox.rest.tables.get("people")
    return {entry.id: entry.values.get("name") for entry in table.live()} if table else {}


def test_the_first_rows_by_key_go_out_and_the_next_run_sends_the_rest(bench: Bench, sandbox: Sandbox) -> None:
    sync = mirror()
    bench.build({"a": "Ann", "b": "Bob", "d": "Dan"})
    bench.run(sync)
    bench.build({"a": "Anna", "c": "Cid", "d": "Dana", "e": "Eve"})
    report = bench.run(sync, first=3)
    assert bench.became(report) == {"a": "updated", "b": "deleted", "c": "created"}
    assert (report.trial, report.counts["trial"], report.ended_well) == (3, 3, False)
    assert (report.counts["added"], report.counts["changed"], report.counts["removed"]) == (2, 2, 1), (
        "of the whole plan"
    )
    assert bench.synced(sync) == {"a": "Anna", "c": "Cid", "d": "Dan"}
    run = bench.shop.journal.history(sync.sync)[0]
    assert (run.status, run.trial) == (RunStatus.DONE, 3)
    assert bench.became(bench.run(sync)) == {"d": "updated", "e": "created"}
    assert held(sandbox) == {"a": "Anna", "c": "Cid", "d": "Dana", "e": "Eve"}


def test_rows_by_their_keys(bench: Bench) -> None:
    sync = mirror()
    bench.build({"a": "Ann", "b": "Bob", "c": "Cid"})
    report = bench.run(sync, "C", "a")
    assert bench.became(report) == {"a": "created", "c": "created"}
    assert bench.became(bench.run(sync)) == {"b": "created"}


def test_a_key_that_would_not_be_sent_is_told_why(bench: Bench, sandbox: Sandbox) -> None:
    sync = mirror(sync_mode="incremental")
    bench.build({"a": "Ann", "gone": "Gil"})
    bench.run(sync)
    bench.shop.build("select * from (values ('a', 'Ann'), ('b', 'Bob'), ('twice', 'x'), ('twice', 'y')) r(id, name)")
    sent = len(sandbox.log.lines("rest", 0))
    with pytest.raises(ConfigurationError) as raised:
        bench.run(sync, "a", "gone", "nobody", "twice", "b")
    assert str(raised.value).splitlines() == [
        "people_to_sink: a would not be sent: it has not changed since it was sent.",
        "people_to_sink: gone would not be sent: it has left the model, and `incremental` deletes nothing.",
        "people_to_sink: nobody would not be sent: no row of the model people has this key.",
        "people_to_sink: twice would not be sent: 2 rows of the model share this primary key.",
        "Nothing was sent.",
    ]
    assert len(sandbox.log.lines("rest", 0)) == sent
    assert bench.run(sync).counts["created"] == 1


def test_guards_judge_the_whole_plan(bench: Bench, sandbox: Sandbox) -> None:
    bench.build({"a": "Ann", "b": "Bob"})
    report = bench.run(mirror(guards={"max_added": {"rows": 1}}), first=1)
    assert (report.status, report.waits, report.trial) == (RunStatus.GUARDED, True, 1)
    assert held(sandbox) == {}


@heavy
def test_it_counts_for_nothing_that_follows(bench: Bench) -> None:
    sync, child = mirror(), mirror(sync="child", after="people_to_sink")
    bench.build({"a": "Ann", "b": "Bob"})
    bench.run(sync, first=2)
    assert not parents_finding(child, bench.shop.journal).passed
    assert bench.shop.journal.row_counts(sync.sync, recent=10, since=0) == []
    bench.run(sync)
    bench.run(sync, first=2)
    assert parents_finding(child, bench.shop.journal).passed
    assert len(bench.shop.journal.row_counts(sync.sync, recent=10, since=0)) == 1


@heavy
def test_what_a_timestamp_would_hide_is_sent_by_the_next_run(bench: Bench) -> None:
    sync = mirror(change_detection={"last_modified_at": "seen", "lookback": "1 minute"})

    def build(*rows: str) -> None:
        bench.shop.build(f"select * from (values {', '.join(rows)}) r(id, name, seen)")

    build("('a', 'Ann', timestamp '2026-01-01')", "('b', 'Bob', timestamp '2026-01-01')")
    bench.run(sync)
    build(
        "('a', 'Anna', timestamp '2026-01-05')",
        "('b', 'Bobby', timestamp '2026-01-02')",
        "('c', 'Cid', timestamp '2026-01-03')",
    )
    assert bench.became(bench.run(sync, first=1)) == {"a": "updated"}
    assert bench.became(bench.run(sync)) == {"b": "updated", "c": "created"}


@heavy
def test_refusals_of_other_rows_are_still_counted(bench: Bench, sandbox: Sandbox) -> None:
    sync = mirror(quarantine={"after": 2, "apart": "0 seconds"}, max_failed={"percent": 100})
    bench.build({"a": "Ann", "b": "Bob"})
    sandbox.fault("refuse_rows", percent=100.0)
    bench.run(sync)
    sandbox.faults.clear()
    bench.build({"a": "Anna", "b": "Bob"})
    bench.run(sync, "a")
    assert bench.shop.state(sync, "select key, times from state.refusals") == [("b", 1)]
    assert bench.shop.state(sync, "select key from state.pending") == [("b",)]


@heavy
def test_it_can_be_put_back(bench: Bench, sandbox: Sandbox) -> None:
    sync = mirror()
    bench.build({"a": "Ann", "b": "Bob"})
    bench.run(sync)
    bench.build({"a": "Anna", "b": "Bobby"})
    tried = bench.run(sync, first=1)
    assert held(sandbox) == {"a": "Anna", "b": "Bob"}
    undo_run(tried.run_id, sync, bench.shop.environment, bench.account, who="ada", why="it was one")
    assert held(sandbox) == {"a": "Ann", "b": "Bob"}


@heavy
def test_a_preview_shows_the_rows_that_would_go_out(bench: Bench) -> None:
    sync, environment = mirror(), bench.shop.environment
    bench.build({"b": "Bob", "a": "Ann", "c": "Cid"})
    whole = preview(sync, environment, bench.account)
    found = preview(sync, environment, bench.account, trial=Trial(first=2))
    assert [row.key for row in found.rows] == ["a", "b"]
    assert (found.trial, found.plan, found.plan_id) == ({"upsert": 2}, whole.plan, whole.plan_id)
    assert [row.key for row in preview(sync, environment, bench.account, trial=Trial(("c",))).rows] == ["c"]
    with pytest.raises(ConfigurationError, match="d would not be sent: no row of the model"):
        preview(sync, environment, bench.account, trial=Trial(("d",)))


def test_where_a_run_sends_everything_there_is_no_trial(bench: Bench, shop: Shop, sandbox: Sandbox) -> None:
    bench.build({"a": "Ann"})
    for look in (bench.run, lambda sync, first: preview(sync, shop.environment, bench.account, trial=Trial((), first))):
        with pytest.raises(ConfigurationError, match="sends every row in every run"):
            look(mirror(sync_mode="full_refresh"), first=1)
    audience = Account("meta", MetaAds, accounts.meta_ads(sandbox.url))
    replacing = mirror(
        destination="meta",
        object="1",
        sync_mode="full_refresh",
        options={"replace": True},
        primary_key="id",
        mapping={"EMAIL": "id"},
    )
    with pytest.raises(ConfigurationError, match="takes the place of all"):
        shop.run(replacing, audience, trial=Trial(first=1))
    assert held(sandbox) == {}


def tables(seed: int) -> list[dict[str, str | None]]:
    """A model, and the same after some time."""
    random_ = random.Random(seed)
    keys = [f"k{number}" for number in range(14)]
    return [
        {key: random_.choice(["Ann", "Bob", None]) for key in random_.sample(keys, random_.randrange(3, 12))}
        for _ in range(3)
    ]


@pytest.mark.parametrize("seed", seeds("TRIALS", 6))
def test_a_trial_and_a_run_are_as_one_run(bench: Bench, sandbox: Sandbox, seed: int) -> None:
    """Whatever differs and whichever rows are tried; no row goes out twice."""
    sync, random_ = mirror(), random.Random(seed)
    for table in tables(seed):
        bench.build(table)
        whole = preview(sync, bench.shop.environment, bench.account)
        keys = sorted(str(row.key) for row in whole.rows)
        only = random_.sample(keys, min(len(keys), 2)) if random_.random() < 0.5 else []
        first = random_.randrange(1, 6)
        tried = bench.run(sync, *only) if only else bench.run(sync, first=first)
        rest = bench.run(sync)
        went, left = bench.became(tried), bench.became(rest)
        assert sorted(map(str, went)) == (sorted(only) if only else keys[:first])
        assert sorted([*map(str, went), *map(str, left)]) == keys
        assert held(sandbox) == table
        assert bench.synced(sync) == held(sandbox)


@heavy
@pytest.mark.parametrize("seed", seeds("TRIALS", 3))
def test_trials_in_a_storm(bench: Bench, sandbox: Sandbox, seed: int) -> None:
    """Rows that are tried end with one outcome each, others with none; and runs after it bring all there."""
    sync = mirror(options={**SINK, "batch_size": 5}, max_failed={"percent": 100})
    table: dict[str, str | None] = {f"k{number:02}": f"Name {number}" for number in range(40)}
    bench.build(table)
    let_loose(sandbox, seed)
    for _ in range(3):
        planned = sorted(str(row.key) for row in preview(sync, bench.shop.environment, bench.account).rows)
        report = bench.run(sync, first=10)
        assert sorted(map(str, bench.became(report))) == planned[:10]
    sandbox.faults.clear()
    bench.run(sync)
    assert held(sandbox) == table
    assert bench.synced(sync) == table


@heavy
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_trial_that_was_killed_leaves_the_rest(
    shop: Shop, launcher: Launcher, other_process: RemoteSandbox, after: int
) -> None:
    """Its own rows are settled by what the journal has; of the others the next run knows nothing but the model."""
    other_process.reset()
    other_process.set(latency_ms=20.0)
    bench, sync = Bench(shop, other_process), mirror(options={**SINK, "batch_size": 2})
    bench.build({f"k{number:02}": "Name" for number in range(30)})
    launcher.start(shop, sync, "sink", other_process.url, first=12)
    for rows in launcher.sent():
        if rows >= after:
            break
    launcher.kill()
    again = bench.run(sync, first=5)
    (killed,) = again.recovered or (None,)
    run = shop.journal.run(str(killed))
    assert run is not None
    assert (run.trial, run.status) == (12, RunStatus.STOPPED)
    assert len(shop.outcomes(sync, run.run_id)) == 12
    bench.run(sync)
    assert len(bench.synced(sync)) == 30
