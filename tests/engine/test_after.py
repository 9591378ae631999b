"""`after`: nothing of a sync goes out before what it builds on has arrived, run by run and row by row."""

import random
from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.guards.finding import tripped
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.previews.preview import preview
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.policies import Quarantine
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.ledger import mark_stale
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, crm, crm_sync, sink, sink_sync
from tests.heavy import heavy, seeds

LIMITLESS: dict[str, Any] = {"guards": {"max_removed": {}, "row_count": {}, "in_flight": {"max_failed": 100}}}
ALL_MAY_FAIL: dict[str, Any] = {"max_failed": {"percent": 100}}


class Firm:
    """Accounts, and people who belong to one: `p1` to `a1`, and so on."""

    def __init__(self, shop: Shop, sandbox: Sandbox, **rule: Any) -> None:
        self.shop, self.sandbox, self.account = shop, sandbox, sink(sandbox.url)
        self.accounts = sink_sync(
            sync="accounts", model="accounts", object="accounts", sync_mode="mirror", **LIMITLESS, **ALL_MAY_FAIL
        )
        self.people = self.child(key="account_id", **rule)
        self.build("a1", "a2", "a3")
        self.build_people("p1:a1", "p2:a2", "p3:a3")

    def child(self, sync: str = "people_to_sink", after: str = "accounts", **rule: Any) -> Sync:
        mapping = {"id": "id", "name": "name"}
        return sink_sync(sync=sync, mapping=mapping, sync_mode="mirror", after=[{"sync": after, **rule}], **LIMITLESS)

    def build(self, *ids: str, version: int = 1) -> None:
        rows = ", ".join(f"('{each}', 'Firm {each} {version}')" for each in ids)
        self.shop.build(f"select * from (values {rows}) r(id, name)", "accounts")

    def build_people(self, *people: str, version: int = 1, type_: str = "varchar") -> None:
        """Of each its id and its account's, which may be missing."""
        parts = [each.split(":") for each in people]
        rows = ", ".join(f"('{key}', 'Name {key} {version}', nullif('{firm}', '')::{type_})" for key, firm in parts)
        self.shop.build(f"select * from (values {rows}) r(id, name, account_id)")

    def run(self, sync: Sync) -> Report:
        return self.shop.run(sync, self.account)

    def became(self, report: Report) -> dict[str | None, str]:
        """Status and reason of each row by key."""
        found = self.shop.by_key(report.sync, report)
        return {key: " ".join(filter(None, (each.status, each.reason))) for key, each in found.items()}

    def held(self, collection: str = "people") -> set[str]:
        table = self.sandbox.rest.tables.get(collection)
        return {entry.id for entry in table.live()} if table else set()


@pytest.fixture
def firm(shop: Shop, sandbox: Sandbox) -> Firm:
    return Firm(shop, sandbox)


def stops(report: Report) -> list[str]:
    return [finding.message for finding in tripped(report.findings) if finding.guard == "parents"]


def test_a_parent_that_never_ran_stops_its_child(firm: Firm) -> None:
    report = firm.run(firm.people)
    assert report.status is RunStatus.GUARDED
    assert stops(report) == ["accounts comes first, and has not run yet"]
    assert (report.waits, firm.held()) == (False, set())


def test_one_that_was_stopped_stops_it_and_what_follows_it(firm: Firm) -> None:
    firm.run(firm.accounts)
    firm.build("a1", "a2", "a3", "a4")
    stopped = firm.run(
        firm.accounts.model_copy(
            update={
                "guards": firm.accounts.guards.model_copy(
                    update={"max_added": firm.accounts.max_failed.model_copy(update={"rows": 0, "percent": None})}
                )
            }
        )
    )
    assert stopped.status is RunStatus.GUARDED
    child = firm.run(firm.people)
    assert stops(child) == [f"accounts comes first, and its last run was stopped by a guard (run {stopped.run_id})"]
    grandchild = firm.run(firm.child("cards", after="people_to_sink"))
    assert stops(grandchild) == [
        f"people_to_sink comes first, and its last run was stopped by a guard (run {child.run_id})"
    ]
    assert firm.held() == set()
    firm.run(firm.accounts)
    assert firm.run(firm.people).status is RunStatus.DONE


@pytest.mark.parametrize(
    ("status", "words"),
    [("open", "has not ended"), ("failed", "failed"), ("stopped", "ended before its last row")],
)
def test_one_that_did_not_end_well(firm: Firm, status: str, words: str) -> None:
    firm.run(firm.accounts)
    firm.shop.journal.start_run("r1", "accounts", "sink")
    if status != "open":
        firm.shop.journal.end_run("r1", RunStatus(status), counts={})
    assert stops(firm.run(firm.people)) == [f"accounts comes first, and its last run {words} (run r1)"]
    assert firm.held() == set()


def test_one_of_which_too_many_rows_failed(firm: Firm) -> None:
    firm.sandbox.fault("refuse_rows", percent=100.0)
    strict = firm.accounts.model_copy(update={"max_failed": firm.people.max_failed})
    report = firm.run(strict)
    assert (report.status, report.too_many_failed) == (RunStatus.DONE, True)
    firm.sandbox.faults.clear()
    assert "more failed rows than it allows" in stops(firm.run(firm.people))[0]


def test_a_parent_whose_deletions_alone_are_refused_lets_its_child_delete_first(firm: Firm) -> None:
    """A destination may keep an account as long as a person belongs to it: were the people to wait, both would stay."""
    strict = firm.accounts.model_copy(update={"max_failed": firm.people.max_failed})
    firm.run(strict)
    firm.run(firm.people)
    firm.build("a1")
    firm.build_people("p1:a1")
    firm.sandbox.fault("refuse_rows", percent=100.0)
    report = firm.run(strict)
    assert report.too_many_failed
    assert (report.counts["failed"], report.counts["failed_deletions"]) == (2, 2)
    firm.sandbox.faults.clear()
    assert firm.run(firm.people).status is RunStatus.DONE
    assert (firm.held(), firm.held("accounts")) == ({"p1"}, {"a1", "a2", "a3"})
    assert firm.run(strict).ended_well
    assert firm.held("accounts") == {"a1"}


def test_refused_deletions_hide_no_refused_writes(firm: Firm) -> None:
    strict = firm.accounts.model_copy(update={"max_failed": firm.people.max_failed})
    firm.run(strict)
    firm.build("a1", version=2)
    firm.sandbox.fault("refuse_rows", percent=100.0)
    report = firm.run(strict)
    assert (report.counts["failed"], report.counts["failed_deletions"]) == (3, 2)
    firm.sandbox.faults.clear()
    assert "more failed rows than it allows" in stops(firm.run(firm.people))[0]


def test_a_parent_with_nothing_to_send_is_fine(firm: Firm) -> None:
    firm.run(firm.accounts)
    assert firm.run(firm.accounts).written == 0
    assert firm.run(firm.people).status is RunStatus.DONE


@heavy
def test_what_a_child_wrote_is_put_back_whatever_became_of_its_parent(firm: Firm) -> None:
    firm.run(firm.accounts)
    written = firm.run(firm.people)
    firm.shop.journal.start_run("r1", "accounts", "sink")
    environment = firm.shop.environment
    undone = undo_run(written.run_id, firm.people, environment, firm.account, who="ada", why="a mistake")
    assert (undone.status, firm.held()) == (RunStatus.DONE, set())


def test_rows_wait_for_their_parents(firm: Firm) -> None:
    firm.build("a1", "a2")
    firm.run(firm.accounts)
    firm.build_people("p1:a1", "p2:a2", "p3:a3", "p4:a3", "p5:")
    report = firm.run(firm.people)
    assert firm.became(report) == {
        "p1": "created",
        "p2": "created",
        "p3": "skipped no_parent",
        "p4": "skipped no_parent",
        "p5": "created",
    }
    assert firm.shop.by_key(firm.people, report)["p3"].message == "its row of accounts has not arrived"
    assert (report.counts["waiting"], report.counts["added"], report.ended_well) == (2, 3, True)
    assert firm.run(firm.people).counts["skipped_no_parent"] == 2
    firm.build("a1", "a2", "a3")
    firm.run(firm.accounts)
    assert firm.became(firm.run(firm.people)) == {"p3": "created", "p4": "created"}
    assert firm.held() == {"p1", "p2", "p3", "p4", "p5"}


def test_rows_of_a_parent_that_failed_wait_until_it_has_arrived(firm: Firm) -> None:
    """Also where an earlier send of it did arrive; and not any more once it did."""
    firm.run(firm.accounts)
    firm.run(firm.people)
    firm.build("a1", "a2", "a3", version=2)
    firm.build_people("p1:a1", "p2:a2", "p3:a3", version=2)
    firm.sandbox.fault("refuse_rows", percent=100.0)
    firm.run(firm.accounts)
    firm.sandbox.faults.clear()
    report = firm.run(firm.people)
    assert set(firm.became(report).values()) == {"skipped no_parent"}
    assert firm.shop.by_key(firm.people, report)["p1"].message == "its row of accounts did not arrive the last time"
    firm.run(firm.accounts)
    assert set(firm.became(firm.run(firm.people)).values()) == {"updated"}


@heavy
def test_rows_of_a_parent_in_quarantine_wait_too(firm: Firm) -> None:
    """As they did while it was refused: it is no more there than it was."""
    once = firm.accounts.model_copy(update={"quarantine": Quarantine(after=1)})
    firm.run(once)
    firm.run(firm.people)
    firm.build("a1", "a2", "a3", version=2)
    firm.build_people("p1:a1", "p2:a2", "p3:a3", version=2)
    firm.sandbox.fault("refuse_rows", percent=100.0)
    firm.run(once)
    firm.sandbox.faults.clear()
    assert firm.run(once).counts["skipped_quarantined"] == 3
    assert set(firm.became(firm.run(firm.people)).values()) == {"skipped no_parent"}


def test_a_parent_that_is_to_be_sent_again_for_drift_is_there(firm: Firm) -> None:
    firm.run(firm.accounts)
    with firm.shop.warehouse.open("accounts", write=True) as con:
        mark_stale(con, {"a1": ["name"]}, [])
    assert set(firm.became(firm.run(firm.people)).values()) == {"created"}


@heavy
def test_a_child_that_leaves_is_deleted_whatever_became_of_its_parent(firm: Firm) -> None:
    firm.run(firm.accounts)
    firm.run(firm.people)
    firm.build("a1", "a2")
    firm.run(firm.accounts)
    firm.build_people("p1:a1", "p2:a3")
    assert firm.became(firm.run(firm.people)) == {"p3": "deleted"}, "p2 has not changed, and is not looked at"
    firm.build_people("p1:a1", "p2:a3", version=2)
    assert firm.became(firm.run(firm.people)) == {"p1": "updated", "p2": "skipped no_parent"}


@pytest.mark.parametrize("rule", [{"key": "account_id", "on_missing_parent": "send"}, {}])
def test_rows_go_out_where_the_rule_says_so(firm: Firm, rule: dict[str, Any]) -> None:
    firm.build("a1")
    firm.run(firm.accounts)
    assert set(firm.became(firm.run(firm.child(**rule))).values()) == {"created"}


@heavy
def test_keys_of_other_types_meet(firm: Firm) -> None:
    firm.shop.build("select i::decimal(10, 2) as id, 'Firm' as name from range(1, 3) r(i)", "accounts")
    firm.run(firm.accounts)
    firm.build_people("p1:1", "p2:2", "p3:3", type_="integer")
    assert firm.became(firm.run(firm.people)) == {"p1": "created", "p2": "created", "p3": "skipped no_parent"}


@heavy
def test_a_state_that_an_earlier_release_wrote_is_read_beside_its_child(firm: Firm) -> None:
    firm.build("a1")
    firm.run(firm.accounts)
    with firm.shop.warehouse.open("accounts", write=True) as con:
        con.execute("update state.facts set value = '2' where name = 'format'")
    report = firm.run(firm.people)
    assert firm.became(report) == {"p1": "created", "p2": "skipped no_parent", "p3": "skipped no_parent"}


@heavy
def test_a_preview_after_a_kill_still_sees_the_parent(firm: Firm) -> None:
    """It looks at a copy of the state, beside which there is no other."""
    firm.run(firm.accounts)
    firm.run(firm.people)
    firm.shop.journal.start_run("killed", "people_to_sink", "sink")
    firm.build_people("p1:a1", "p4:a3")
    assert preview(firm.people, firm.shop.environment, firm.account).plan.waiting == 0


@heavy
def test_a_key_of_several_columns(firm: Firm) -> None:
    firm.shop.build("select 'a|1' as id, 'b' as part, 'Firm' as name", "accounts")
    named = {**SINK, "record": {"id": "{{ key }}", "name": "{{ fields.name }}"}}
    accounts = {"sync": "accounts", "model": "accounts", "object": "accounts", "options": named}
    parent = sink_sync(**accounts, primary_key=["id", "part"], external_id="id", mapping={"name": "name"})
    firm.run(parent)
    firm.shop.build("select * from (values ('p1', 'x', 'a|1', 'b'), ('p2', 'x', 'a', '1|b')) r(id, name, one, two)")
    child = firm.child(key=["one", "two"])
    (waiting,) = preview(child, firm.shop.environment, firm.account).refused
    assert waiting.waits_for == ("accounts", r"a|1\|b")
    assert firm.became(firm.run(child)) == {"p1": "created", "p2": "skipped no_parent"}


@heavy
def test_case_counts_as_it_does_for_the_parent(firm: Firm) -> None:
    firm.shop.build("select 'Ann@x.org' as email, 'Ann' as name", "accounts")
    contacts = crm_sync(sync="accounts", model="accounts", sync_mode="mirror")
    there: Account = crm(firm.sandbox.url)
    firm.shop.run(contacts, there)
    firm.build_people("p1:ann@X.org", "p2:bob@x.org")
    assert firm.became(firm.run(firm.people)) == {"p1": "created", "p2": "skipped no_parent"}


@heavy
def test_two_parents(firm: Firm) -> None:
    firm.build("a1", "a2")
    firm.run(firm.accounts)
    regions = sink_sync(sync="regions", model="regions", object="regions")
    firm.shop.build("select 'r1' as id, 'Region' as name", "regions")
    firm.run(regions)
    firm.shop.build(
        "select * from (values ('p1', 'x', 'a1', 'r1'), ('p2', 'x', 'a1', 'r2'), ('p3', 'x', 'a9', 'r1'))"
        " r(id, name, account_id, region)"
    )
    both = [{"sync": "accounts", "key": "account_id"}, {"sync": "regions", "key": "region"}]
    report = firm.run(firm.people.model_validate({**firm.people.model_dump(exclude_unset=True), "after": both}))
    assert {key: each.message for key, each in firm.shop.by_key(report.sync, report).items() if each.message} == {
        "p2": "its row of regions has not arrived",
        "p3": "its row of accounts has not arrived",
    }


@heavy
def test_what_a_timestamp_hides_is_looked_for_while_it_waits(firm: Firm) -> None:
    firm.build("a1")
    firm.run(firm.accounts)
    firm.shop.build(
        "select * from (values ('p1', 'x', 'a1', timestamp '2026-01-02'), ('p2', 'y', 'a2', timestamp '2026-01-01'))"
        " r(id, name, account_id, seen)"
    )
    detection = {"last_modified_at": "seen", "lookback": "1 minute"}
    timed = firm.people.model_validate({**firm.people.model_dump(exclude_unset=True), "change_detection": detection})
    assert firm.became(firm.run(timed)) == {"p1": "created", "p2": "skipped no_parent"}
    firm.build("a1", "a2")
    firm.run(firm.accounts)
    assert firm.became(firm.run(timed)) == {"p2": "created"}


def test_a_preview_says_what_a_row_waits_for(firm: Firm) -> None:
    firm.build("a1", "a2")
    firm.run(firm.accounts)
    found = preview(firm.people, firm.shop.environment, firm.account)
    assert [(row.key, row.waits_for) for row in found.refused] == [("p3", ("accounts", "a3"))]
    assert (found.plan.waiting, found.plan.added, found.goes_out) == (1, 2, True)
    firm.shop.journal.start_run("r1", "accounts", "sink")
    assert not preview(firm.people, firm.shop.environment, firm.account).goes_out


@heavy
@pytest.mark.parametrize("seed", seeds("FIRMS", 6))
def test_whatever_happens_no_row_goes_before_its_parent(firm: Firm, seed: int) -> None:
    """Firms come, go, change and are refused, and so do people; in the end all are there that can be."""
    random_, ids, people = random.Random(seed), [f"a{number}" for number in range(6)], dict[str, str]()
    for version in range(5):
        firm.build(*random_.sample(ids, random_.randrange(1, 6)), version=random_.randrange(3))
        firm.sandbox.fault("refuse_rows", percent=30.0, seed=seed + version)
        last = firm.became(firm.run(firm.accounts))
        firm.sandbox.faults.clear()
        people = {f"p{n}": random_.choice([*ids, ""]) for n in random_.sample(range(9), random_.randrange(1, 9))}
        firm.build_people(*(f"{key}:{of}" for key, of in people.items()), version=random_.randrange(3))
        arrived = {each for each in firm.held("accounts") if not last.get(each, "").startswith("failed")}
        for key, became in firm.became(firm.run(firm.people)).items():
            parent = people.get(str(key), "")
            waits = bool(parent) and parent not in arrived
            assert (became == "skipped no_parent") == (waits and key in people), (key, became)
    firm.build(*ids)
    firm.run(firm.accounts)
    firm.run(firm.people)
    assert firm.held() == people.keys()
