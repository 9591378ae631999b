"""Rows that are refused again and again: when they leave the loop, how they come back, and who is told what."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import quarantine
from reverse_etl_sandbox.server import Sandbox
from tests.engine.crms import PEOPLE, Crm, a_crm
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.heavy import first, heavy

ANN, BOB = "p0@shop.example", "p1@shop.example"


@pytest.fixture(params=first(["salesforce", "hubspot"]))
def crm(request: pytest.FixtureRequest, sandbox: Sandbox) -> Crm:
    return a_crm(request.param, sandbox)


def strict(crm: Crm, after: int | None = 1, **changes: Any) -> Sync:
    policy = {"after": after, "apart": "0 seconds", "hint": "Ask sales ops."}
    return crm.sync(quarantine=policy, owners=["team:sales"], max_failed={"percent": 100}, **changes)


def refused(shop: Shop, crm: Crm, sync: Sync) -> Report:
    """A run in which the destination refuses every row."""
    crm.sandbox.fault("refuse_rows", percent=100)
    report = shop.run(sync, crm.account)
    crm.sandbox.faults.clear()
    return report


def held(shop: Shop, sync: Sync) -> list[quarantine.QuarantinedRow]:
    with shop.warehouse.open(sync.sync) as con:
        return list(quarantine.quarantined(con, sync))


def retry(shop: Shop, sync: Sync, key: str | None = None) -> int:
    with shop.warehouse.open(sync.sync, write=True) as con:
        return quarantine.retry(con, sync, key)


def counted(report: Report) -> Mapping[str, int]:
    names = ("created", "updated", "failed", "skipped_quarantined", "quarantined", "in_quarantine")
    return {name: report.counts[name] for name in names if report.counts.get(name)}


def test_a_row_leaves_the_loop_after_so_many_refusals(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(2))
    sync = strict(crm, after=2)
    first, last = refused(shop, crm, sync), refused(shop, crm, sync)
    assert [counted(each) for each in (first, last)] == [{"failed": 2}, {"failed": 2, "in_quarantine": 2}]
    before = crm.requests("")
    report = shop.run(sync, crm.account)
    assert counted(report) == {"skipped_quarantined": 2, "quarantined": 2, "in_quarantine": 2}
    assert report.change_set == 2, "accounted for"
    assert crm.requests("") == before, "nothing went out"

    said, outcome = shop.by_key(sync, last)[ANN], shop.by_key(sync, report)[ANN]
    assert (outcome.status, outcome.reason) == ("skipped", "quarantined")
    assert (outcome.code, outcome.field) == (said.code, said.field)
    assert outcome.message is not None
    assert outcome.message.startswith("refused 2 times with these values since 20")
    assert f"UTC: {said.code}: {said.message}" in outcome.message
    assert outcome.message.endswith("; owner team:sales; Ask sales ops.")

    row, other = held(shop, sync)
    assert (row.key, other.key) == (ANN, BOB)
    assert (row.times, row.code, row.message, row.field) == (2, said.code, said.message, said.field)
    assert (row.first_at, row.last_at) == (shop.by_key(sync, first)[ANN].answered_at, said.answered_at)
    assert (row.run_id, row.owners, row.hint) == (last.run_id, ("team:sales",), "Ask sales ops.")


def test_a_changed_value_frees_its_row_alone(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(2))
    sync = strict(crm)
    refused(shop, crm, sync)
    shop.sql(f"update marts.people set name = 'Better' where email = '{ANN}'")
    said = counted(shop.run(sync, crm.account))
    assert said == {"created": 1, "skipped_quarantined": 1, "quarantined": 1, "in_quarantine": 1}
    assert crm.values(crm.name) == {ANN: "Better"}
    assert [row.key for row in held(shop, sync)] == [BOB]


def test_a_row_is_tried_once_more_and_goes_back(shop: Shop, crm: Crm) -> None:
    shop.build(PEOPLE.format(2))
    sync = strict(crm, after=2)
    refused(shop, crm, sync), refused(shop, crm, sync)
    assert retry(shop, sync, "nobody@shop.example") == 0
    assert retry(shop, sync, ANN.upper()) == 1
    assert retry(shop, sync, ANN) == 0, "it is free already"
    assert counted(refused(shop, crm, sync)) == {
        "failed": 1,
        "skipped_quarantined": 1,
        "quarantined": 1,
        "in_quarantine": 2,
    }
    assert {row.key: row.times for row in held(shop, sync)} == {ANN: 3, BOB: 2}
    assert retry(shop, sync) == 2
    assert counted(shop.run(sync, crm.account)) == {"created": 2}
    assert held(shop, sync) == []


def test_of_rows_that_differ_in_case_alone_one_is_tried(shop: Shop, sandbox: Sandbox) -> None:
    """At a destination that tells them apart."""
    shop.build("select unnest(['aB', 'Ab']) as id, 'n' as name")
    sync = sink_sync(quarantine={"after": 1}, max_failed={"percent": 100})
    sandbox.fault("refuse_rows", percent=100)
    shop.run(sync, sink(sandbox.url))
    with pytest.raises(
        StateError, match="2 rows in quarantine have this key in another case; write it as one of Ab, aB"
    ):
        retry(shop, sync, "ab")
    assert retry(shop, sync, "Ab") == 1
    assert [row.key for row in held(shop, sync)] == ["aB"]
    assert retry(shop, sync, "AB") == 1, "the only one that is left, in whatever case"


@heavy
def test_a_preview_knows_the_quarantine(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(3))
    crm = a_crm("salesforce", sandbox)
    sync = strict(crm)
    refused(shop, crm, sync)
    retry(shop, sync, BOB)
    found = preview(sync, shop.environment, crm.account)
    assert [row.key for row in found.rows] == [BOB]
    assert {row.reason for row in found.refused} == {"quarantined"}
    report = shop.run(sync, crm.account)
    assert found.plan.counts == {name: report.counts[name] for name in found.plan.counts}
    assert (found.plan.added, found.plan.quarantined, found.plan.unchanged) == (1, 2, 0)


@heavy
def test_an_undo_leaves_the_quarantine_as_it_is(shop: Shop, sandbox: Sandbox) -> None:
    shop.build(PEOPLE.format(3))
    crm = a_crm("hubspot", sandbox)
    sync = strict(crm)
    wrote = shop.run(sync, crm.account)
    shop.sql(f"update marts.people set name = 'x' where email = '{ANN}'")
    refused(shop, crm, sync)
    undo_run(wrote.run_id, sync, shop.environment, crm.account, who="Kim", why="wrong")
    assert [row.key for row in held(shop, sync)] == [ANN]


class Sink:
    """Three rows on their way to a destination that takes what it is sent, or refuses all of it."""

    def __init__(self, shop: Shop, sandbox: Sandbox) -> None:
        self.shop, self.sandbox = shop, sandbox
        shop.build("select 'k' || i as id, 'n' || i as name, timestamp '2026-01-01' as at from range(3) r(i)")

    def sync(self, after: int | None = 1, apart: str = "0 seconds", **changes: Any) -> Sync:
        unguarded = {"max_removed": {}, "row_count": {}, **changes.pop("guards", {})}
        policies = {"quarantine": {"after": after, "apart": apart}, "max_failed": {"percent": 100}, "guards": unguarded}
        return sink_sync(**policies, **changes)

    def run(self, sync: Sync) -> Report:
        return self.shop.run(sync, sink(self.sandbox.url))

    def refuse(self, sync: Sync, kind: str = "refuse_rows", **how: Any) -> Report:
        self.sandbox.fault(kind, **(how or {"percent": 100}))
        report = self.run(sync)
        self.sandbox.faults.clear()
        return report

    def held(self, sync: Sync) -> list[str]:
        return [row.key for row in held(self.shop, sync)]


@pytest.fixture
def hook(shop: Shop, sandbox: Sandbox) -> Sink:
    return Sink(shop, sandbox)


@heavy
def test_a_changed_value_that_is_refused_too_counts_from_one(shop: Shop, hook: Sink) -> None:
    sync = hook.sync(after=2)
    hook.refuse(sync)
    shop.sql("update marts.people set name = 'other' where id = 'k1'")
    hook.refuse(sync)
    assert hook.held(sync) == ["k0", "k2"]
    assert counted(hook.refuse(sync)) == {"failed": 1, "skipped_quarantined": 2, "quarantined": 2, "in_quarantine": 3}


@heavy
def test_refusals_at_once_count_once(shop: Shop, hook: Sink) -> None:
    """Ours, an op's retry policy, or Dagster's run retries: a fault of a minute puts no row away."""
    now = 1_780_000_000.0
    shop.journal.close()
    shop.journal = Journal.open(shop.journal_url, clock=lambda: now)
    sync = hook.sync(after=2, apart="1 hour")
    for _ in range(6):
        hook.refuse(sync)
        now += 60
    assert hook.held(sync) == []
    assert shop.state(sync, "select distinct times from state.refusals") == [(1,)]
    now += 3_600
    hook.refuse(sync)
    assert hook.held(sync) == ["k0", "k1", "k2"]
    retry(shop, sync)
    hook.refuse(sync)
    assert hook.held(sync) == ["k0", "k1", "k2"], "it had its chance"


@heavy
def test_a_clock_that_was_ahead_keeps_nothing_from_being_counted(shop: Shop, hook: Sink) -> None:
    now = 1_790_000_000.0
    shop.journal.close()
    shop.journal = Journal.open(shop.journal_url, clock=lambda: now)
    sync = hook.sync(after=2, apart="1 hour")
    hook.refuse(sync)
    now -= 86_400
    hook.refuse(sync)
    assert hook.held(sync) == ["k0", "k1", "k2"]


@heavy
def test_a_state_of_before_counts_on(shop: Shop, hook: Sink) -> None:
    """It knew when a row was refused last, and not when that was counted."""
    sync = hook.sync(after=2, apart="1 hour")
    hook.refuse(sync)
    with shop.warehouse.open(sync.sync, write=True) as con:
        con.execute("update state.refusals set last_at = last_at - interval 2 hour")
        con.execute("alter table state.refusals drop column counted_at")
        con.execute("update state.facts set value = '2' where name = 'format'")
    hook.refuse(sync)
    assert hook.held(sync) == ["k0", "k1", "k2"]


@heavy
@pytest.mark.parametrize(
    "changes",
    [
        {"options": {**SINK, "batch_size": 50}},
        {"sync_mode": "mirror"},
        {"external_id": "name"},
        {"object": "others"},
        {"destination": "branch"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_where_and_how_rows_go_frees_them_if_it_changes(hook: Sink, changes: dict[str, Any]) -> None:
    """It may be what the destination did not like."""
    hook.refuse(hook.sync())
    assert hook.held(hook.sync()) == ["k0", "k1", "k2"]
    other = hook.sync(**changes)
    account = replace(sink(hook.sandbox.url), name=other.destination)
    assert counted(hook.shop.run(other, account)) == {"created": 3}
    assert hook.held(other) == []


@heavy
def test_a_changed_mapping_frees_every_row(hook: Sink) -> None:
    hook.refuse(hook.sync())
    wider = hook.sync(mapping={"id": "id", "name": "name", "also": {"constant": "x"}})
    assert counted(hook.run(wider)) == {"created": 3}
    assert hook.held(wider) == []


@heavy
def test_a_success_forgets_what_was_before(shop: Shop, hook: Sink) -> None:
    sync = hook.sync(after=2)
    hook.refuse(sync)
    hook.run(sync)
    assert shop.state(sync, "select * from state.refusals") == []
    shop.sql("update marts.people set name = 'other'")
    hook.refuse(sync)
    assert hook.held(sync) == []


@heavy
def test_a_free_row_that_could_not_be_sent_stays_free(shop: Shop, hook: Sink) -> None:
    sync = hook.sync()
    hook.refuse(sync)
    retry(shop, sync)
    hook.refuse(sync, "server_error")
    assert counted(hook.run(sync)) == {"created": 3}


@heavy
def test_rows_that_have_nothing_to_send_any_more_leave_the_list(shop: Shop, hook: Sink) -> None:
    """One left the model, and one agrees with what the destination has."""
    sync = hook.sync()
    hook.run(sync)
    shop.sql("update marts.people set name = 'other'")
    hook.refuse(sync)
    shop.sql("delete from marts.people where id = 'k0'", "update marts.people set name = 'n1' where id = 'k1'")
    assert counted(hook.run(sync)) == {"skipped_quarantined": 1, "quarantined": 1, "in_quarantine": 1}
    assert hook.held(sync) == ["k2"]


@heavy
def test_never(hook: Sink) -> None:
    never = hook.sync(after=None)
    assert [counted(hook.refuse(never)) for _ in range(2)] == [{"failed": 3}, {"failed": 3}]


@heavy
def test_what_was_never_sent_is_not_quarantined(shop: Shop, hook: Sink) -> None:
    """It costs nothing, and whoever mends the model sees it at once."""
    shop.sql("insert into marts.people values ('k0', 'twice', null), (null, 'no key', null)")
    sync = hook.sync()
    assert [hook.refuse(sync).counts["failed_invalid"] for _ in range(2)] == [3, 3]
    assert hook.held(sync) == ["k1", "k2"]


@heavy
def test_other_failures_are_no_refusals(hook: Sink) -> None:
    sync = hook.sync()
    assert hook.refuse(sync, "server_error").counts["failed_ambiguous"] == 3
    assert hook.refuse(sync, "omit_rows", percent=100).counts["failed"] == 3
    assert hook.held(sync) == []


@heavy
def test_rows_in_quarantine_do_not_trip_guards(shop: Shop, hook: Sink) -> None:
    sync = hook.sync(guards={"max_changed": {"rows": 2}})
    hook.run(sync)
    shop.sql("update marts.people set name = 'x' where id <> 'k0'")
    hook.refuse(sync)
    shop.sql("update marts.people set name = 'y' where id = 'k0'", "insert into marts.people values ('k3', 'n', null)")
    assert counted(hook.run(sync))["updated"] == 1


@heavy
def test_deletes_that_are_refused(shop: Shop, hook: Sink) -> None:
    mirror = hook.sync(sync_mode="mirror")
    hook.run(mirror)
    shop.sql("delete from marts.people where id = 'k0'")
    assert hook.refuse(mirror).counts["failed_rejected"] == 1
    report = hook.run(mirror)
    assert counted(report) == {"skipped_quarantined": 1, "quarantined": 1, "in_quarantine": 1}
    assert (report.counts["removed"], report.counts["unchanged"]) == (0, 2)


@heavy
def test_a_sync_that_always_sends_every_row(hook: Sink) -> None:
    every = hook.sync(sync_mode="full_refresh")
    hook.run(every)
    hook.refuse(every)
    report = hook.run(every)
    assert counted(report) == {"skipped_quarantined": 3, "quarantined": 3, "in_quarantine": 3}
    assert report.counts["unchanged"] == 0


@heavy
def test_rows_that_were_not_modified_lately_stay_on_the_list(shop: Shop, hook: Sink) -> None:
    lately = hook.sync(change_detection={"last_modified_at": "at"})
    hook.refuse(lately)
    shop.sql("insert into marts.people values ('new', 'n', timestamp '2026-02-01')")
    for created in (1, 0):
        report = hook.run(lately)
        assert (report.counts["skipped_quarantined"], report.counts["created"]) == (3, created)
    assert retry(shop, lately) == 3
    assert counted(hook.run(lately)) == {"created": 3}


@heavy
def test_values_that_go_out_as_hashes(shop: Shop, hook: Sink) -> None:
    hashed = hook.sync(mapping={"id": "id", "name": {"column": "name", "transform": "sha256_name"}})
    hook.refuse(hashed)
    shop.sql("update marts.people set name = 'N1!' where id = 'k1'")
    shop.sql("update marts.people set name = 'another' where id = 'k2'")
    assert {key: each.reason for key, each in shop.by_key(hashed, hook.run(hashed)).items()} == {
        "k0": "quarantined",
        "k1": "quarantined",  # the same hash
        "k2": None,
    }
