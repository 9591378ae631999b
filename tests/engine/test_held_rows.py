"""Rows that are kept back stay so until a person says what became of them."""

from typing import Any

import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.errors import StateError
from reverse_etl_assets.runs.state_recovery import recover_state
from reverse_etl_assets.runs.undo import summary, undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state import held_rows, ledger
from reverse_etl_assets.state.outbox import outbox_columns
from reverse_etl_assets.state.provenance import Way
from reverse_etl_sandbox.server import Sandbox
from tests.engine import launcher
from tests.engine.shop import SINK, Shop, sink, sink_sync
from tests.engine.test_shared_records import LIMITLESS
from tests.heavy import heavy

EVENTS = {**SINK, "operations": {}}


class Channel:
    """A mirror of people in Slack, where a message whose answer is lost is held."""

    def __init__(self, shop: Shop, sandbox: Sandbox, **changes: Any) -> None:
        sandbox.settings.change({"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0})
        self.shop, self.sandbox, self.account = shop, sandbox, launcher.slack(sandbox.url)
        self.sync: Sync = sink_sync(
            **{
                "destination": "slack",
                "object": "#customer-alerts",
                "mapping": {"name": "name", "since": "since"},
                "sync_mode": "mirror",
                "options": {"text": "{{ fields.name }}"},
                "guards": LIMITLESS,
                **changes,
            }
        )

    def run(self, *people: str) -> Any:
        rows = ", ".join(f"('{name.lower()}', '{name}', date '2026-01-31')" for name in people)
        self.shop.build(f"select * from (values {rows}) r(id, name, since)")
        return self.shop.run(self.sync, self.account)

    def arrived(self, key: str, record_id: str | None) -> bool:
        return say_arrived(self.shop, self.sync, key, record_id)

    @property
    def messages(self) -> dict[str, str]:
        live = self.sandbox.slack.tables["customer-alerts"].live()
        return {each.values["text"]: f"C0ALERTS01:{each.id}" for each in live}


def say_arrived(shop: Shop, sync: Sync, key: str, record_id: str | None) -> bool:
    with shop.warehouse.open(sync.sync, write=True) as con:
        columns = outbox_columns(con)
        ledger.prepare(con, columns)
        return held_rows.arrived(con, columns, key, record_id)


@pytest.fixture
def channel(shop: Shop, sandbox: Sandbox) -> Channel:
    """Ann's message has arrived, and its answer was lost."""
    channel = Channel(shop, sandbox)
    sandbox.fault("drop_after", vendor="slack", path="chat.postMessage", next=1)
    assert channel.run("Ann", "Bob").counts["failed_ambiguous"] == 1
    return channel


def test_a_held_row_that_left_the_model_stays_in_the_counts(channel: Channel) -> None:
    for _ in range(2):
        report = channel.run("Bob")
        assert (report.counts["held"], report.counts["skipped_held"], report.counts["removed"]) == (1, 1, 0)
        assert channel.shop.by_key(channel.sync, report)["ann"].reason == "held"
    assert set(channel.messages) == {"Ann", "Bob"}


@heavy
def test_messages_are_not_sent_over_those_whose_ids_are_lost(channel: Channel) -> None:
    channel.shop.warehouse.state_file(channel.sync.sync).unlink()
    arguments = (channel.sync, channel.shop.environment, channel.account.type)
    with pytest.raises(StateError, match="finds a record by its id alone, and the state has none"):
        recover_state(*arguments, Way.RESEND, who="ada", why="we know")
    assert "is empty" in recover_state(*arguments, Way.RESTART, who="ada", why="we know")


def test_a_row_that_did_arrive_is_deleted_once_it_leaves(channel: Channel) -> None:
    assert channel.arrived("ANN", channel.messages["Ann"])
    report = channel.run("Ann", "Bob")
    assert (report.change_set, report.counts["held"]) == (0, 0)
    assert channel.run("Bob").counts["deleted"] == 1
    assert set(channel.messages) == {"Bob"}


@heavy
def test_a_row_that_did_arrive_is_changed_where_it_is(channel: Channel) -> None:
    assert channel.arrived("ann", channel.messages["Ann"])
    channel.shop.build("select *, date '2026-01-31' as since from (values ('ann', 'Anna'), ('bob', 'Bob')) r(id, name)")
    report = channel.shop.run(channel.sync, channel.account)
    assert (report.counts["updated"], report.counts["created"]) == (1, 0)
    assert set(channel.messages) == {"Anna", "Bob"}


LONG = "0.1234567890123456::decimal(20,16)"  # has more digits than a number in JSON is sure to keep


@heavy
def test_what_cannot_be_told_for_sure_of_a_row_that_did_arrive_is_sent_again(shop: Shop, sandbox: Sandbox) -> None:
    channel = Channel(shop, sandbox, mapping={"name": "name", "worth": "worth"})
    shop.build(f"select 'ann' as id, 'Ann' as name, {LONG} as worth")
    sandbox.fault("drop_after", vendor="slack", path="chat.postMessage", next=1)
    shop.run(channel.sync, channel.account)
    assert channel.arrived("ann", channel.messages["Ann"])
    assert shop.run(channel.sync, channel.account).counts["updated"] == 1
    assert shop.run(channel.sync, channel.account).change_set == 0


@heavy
def test_a_row_that_did_arrive_is_not_hidden_by_its_time(shop: Shop, sandbox: Sandbox) -> None:
    """It changed before the last run, which did not send it, for it was held."""
    channel = Channel(shop, sandbox, change_detection={"last_modified_at": "changed_at", "lookback": "0 seconds"})
    rows = "(values ('ann', '{}', timestamp '2026-01-01'), ('bob', 'Bob', timestamp '{}')) r(id, name, changed_at)"
    people = f"select id, name, date '2026-01-31' as since, changed_at from {rows}"
    shop.build(people.format("Ann", "2026-01-01"))
    sandbox.fault("drop_after", vendor="slack", path="chat.postMessage", next=1)
    assert shop.run(channel.sync, channel.account).counts["failed_ambiguous"] == 1
    shop.build(people.format("Anna", "2026-06-01"))
    assert shop.run(channel.sync, channel.account).counts["held"] == 1
    assert channel.arrived("ann", channel.messages["Ann"])
    assert shop.run(channel.sync, channel.account).counts["updated"] == 1
    assert set(channel.messages) == {"Anna", "Bob"}


@heavy
def test_an_undo_takes_a_row_that_did_arrive_for_what_it_is(channel: Channel) -> None:
    """It is no longer in doubt: its message is deleted like that of the others."""
    [first] = channel.shop.journal.history(channel.sync.sync, 1)
    assert channel.arrived("ann", channel.messages["Ann"])
    undone = undo_run(
        first.run_id, channel.sync, channel.shop.environment, channel.account, who="ada", why="wrong people"
    )
    assert (undone.counts["deleted"], undone.counts["failed"]) == (2, 0)
    assert channel.messages == {}
    assert (undone.counts["in_doubt"], undone.counts["has_arrived"], undone.counts.get("forgotten", 0)) == (0, 1, 0)
    said = " ".join(summary(channel.shop.journal, undone, channel.account.type))
    assert "in doubt" not in said
    assert "1 of them had no answer, and somebody has said since that they did arrive." in said


@heavy
def test_nobody_says_that_a_row_arrived_which_is_not_held(channel: Channel) -> None:
    assert not channel.arrived("bob", channel.messages["Bob"])
    assert channel.run("Ann", "Bob").counts["held"] == 1


@heavy
def test_an_event_that_did_arrive_is_not_sent_again(shop: Shop, sandbox: Sandbox) -> None:
    """Of a key of two columns, one of them with what parts keys."""
    sync = sink_sync(sync_mode="append", options=EVENTS, primary_key=["id", "day"], external_id="id")
    account: Account = sink(sandbox.url)
    shop.build(r"select 'a|\\b' as id, date '2026-01-31' as day, 'Ann' as name")
    sandbox.fault("drop_after", vendor="rest", next=1)
    first = shop.run(sync, account)
    assert first.counts["failed_ambiguous"] == 1
    [key] = shop.by_key(sync, first)
    assert say_arrived(shop, sync, key or "", None)
    assert shop.run(sync, account).change_set == 0
    assert sandbox.counts()["rest"]["objects"]["people"]["created"] == 1


def held_keys(shop: Shop, sync: Sync) -> list[str]:
    return [key for (key,) in shop.state(sync, "select key from state.held order by key")]


@heavy
def test_what_is_said_of_a_held_row_is_not_done_to_one_in_another_case(shop: Shop, sandbox: Sandbox) -> None:
    sync, account = sink_sync(sync_mode="append", options=EVENTS), sink(sandbox.url)
    shop.build("select unnest(['ab', 'aB', 'AB']) as id, 'Ann' as name")
    sandbox.fault("drop_after", vendor="rest", next=1)
    assert shop.run(sync, account).counts["failed_ambiguous"] == 3
    with shop.warehouse.open(sync.sync, write=True) as con:
        with pytest.raises(StateError, match="write it as one of AB, aB, ab"):
            held_rows.release(con, "Ab")
        assert held_rows.release(con, "AB")
    assert held_keys(shop, sync) == ["aB", "ab"]
    assert shop.run(sync, account).counts["held"] == 2
    assert say_arrived(shop, sync, "ab", None)
    assert held_keys(shop, sync) == ["aB"]
    assert shop.state(sync, "select _retl_key from state.synced order by 1") == [("AB",), ("ab",)]
    assert say_arrived(shop, sync, "AB", None)  # the only one left, in whatever case
    assert shop.run(sync, account).change_set == 0
    assert shop.state(sync, "select _retl_key from state.synced order by 1") == [("AB",), ("aB",), ("ab",)]


@heavy
def test_a_state_of_an_earlier_release_keeps_its_held_rows(channel: Channel) -> None:
    """It did not keep what was sent: that is sent again, to the record."""
    with channel.shop.warehouse.open(channel.sync.sync, write=True) as con:
        con.execute("alter table state.held drop column fields")
        con.execute("update state.facts set value = '2' where name = 'format'")
    assert channel.run("Ann", "Bob").counts["held"] == 1
    assert channel.arrived("ann", channel.messages["Ann"])
    assert channel.run("Ann", "Bob").counts["updated"] == 1
    assert set(channel.messages) == {"Ann", "Bob"}
