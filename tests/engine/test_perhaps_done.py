"""Answers by which a request may have been carried out all the same: what must not go twice is held."""

from typing import Any

import pytest

from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_sandbox.server import Sandbox
from tests.destinations.test_slack_session import slack_sync
from tests.engine import launcher
from tests.engine.shop import Shop, sink, sink_sync
from tests.engine.test_bad_keys import people
from tests.engine.test_garbled import TEN, failed, held
from tests.heavy import first, heavy

PERHAPS = [303, 302, 307, 408, 500, 502, 503, 504]
NOT_TAKEN = [423, 425, 429]


def events(**changes: Any) -> Any:
    return sink_sync(sync_mode="append", **{"options": TEN, **changes})


@pytest.mark.parametrize("status", first(PERHAPS))
def test_an_event_whose_answer_says_perhaps_is_held(shop: Shop, sandbox: Sandbox, status: int) -> None:
    people(shop, 30)
    sandbox.fault("server_error", vendor="rest", next=1, skip=1, status=status, written=True)
    report = shop.run(events(), sink(sandbox.url, concurrency=1))
    doubtful = failed(shop, events(), report)
    assert set(doubtful.values()) == {"ambiguous"}
    assert len(doubtful) == 10
    for _ in range(2):
        report = shop.run(events(), sink(sandbox.url))
        assert report.counts["held"] == 10
    assert len(held(sandbox)) == 30
    assert sandbox.rest.tables["people"].counters.updated == 0, "no event went out twice"


@heavy
@pytest.mark.parametrize("status", first(NOT_TAKEN))
def test_an_event_that_was_not_taken_goes_out_again(shop: Shop, sandbox: Sandbox, status: int) -> None:
    people(shop, 30)
    sandbox.fault("server_error", vendor="rest", next=2, status=status, retry_after=0)
    report = shop.run(events(), sink(sandbox.url))
    assert report.counts["created"] == 30


@heavy
@pytest.mark.parametrize("status", first([408, 503]))
def test_the_options_can_say_that_it_means_not_taken(shop: Shop, sandbox: Sandbox, status: int) -> None:
    people(shop, 30)
    sandbox.fault("server_error", vendor="rest", next=2, status=status, retry_after=0)
    report = shop.run(events(options={**TEN, "not_taken": [status]}), sink(sandbox.url))
    assert report.counts["created"] == 30


@heavy
@pytest.mark.parametrize("status", first([302, 303]))
def test_a_redirect_ends_the_run(shop: Shop, sandbox: Sandbox, status: int) -> None:
    """All rows would meet it; those that did are in doubt, also where they go out again in the next run."""
    people(shop, 100)
    sandbox.fault("server_error", vendor="rest", skip=1, status=status, written=True)
    report = shop.run(sink_sync(options=TEN), sink(sandbox.url, concurrency=1))
    assert report.status is RunStatus.FAILED
    assert "redirects are not followed" in str(report.detail)
    assert set(failed(shop, sink_sync(), report).values()) == {"ambiguous"}
    assert len(failed(shop, sink_sync(), report)) == 10
    assert len(held(sandbox)) == 20


@heavy
@pytest.mark.parametrize("status", first([408, 503]))
def test_what_was_written_is_not_called_unavailable(shop: Shop, sandbox: Sandbox, status: int) -> None:
    people(shop, 10)
    sandbox.fault("server_error", vendor="rest", status=status, written=True)
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert set(failed(shop, sink_sync(), report).values()) == {"ambiguous"}
    assert len(held(sandbox)) == 10


@heavy
@pytest.mark.parametrize("status", first([400, 422]))
def test_what_was_written_is_not_called_refused(shop: Shop, sandbox: Sandbox, status: int) -> None:
    """The first try was carried out and its answer lost; that the second is refused does not undo it."""
    people(shop, 3)
    sandbox.fault("drop_after", vendor="rest", next=1)
    sandbox.fault("server_error", vendor="rest", status=status)
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert set(failed(shop, sink_sync(), report).values()) == {"ambiguous"}
    assert len(held(sandbox)) == 3


@heavy
@pytest.mark.parametrize("status", [423, 425])
def test_later_tries_that_are_not_taken_leave_the_doubt_of_the_first(shop: Shop, sandbox: Sandbox, status: int) -> None:
    people(shop, 3)
    sandbox.fault("drop_after", vendor="rest", next=1)
    sandbox.fault("server_error", vendor="rest", status=status)
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert set(failed(shop, sink_sync(), report).values()) == {"ambiguous"}
    said = {outcome.message for outcome in shop.outcomes(sink_sync(), report.run_id)}
    assert said == {"no answer that can be read: RemoteProtocolError"}


def test_a_run_that_ends_on_a_lost_token_leaves_the_doubt(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 3)
    sandbox.fault("drop_after", vendor="rest", next=1)
    sandbox.fault("server_error", vendor="rest", status=401)
    report = shop.run(sink_sync(), sink(sandbox.url))
    assert report.status is RunStatus.FAILED
    assert set(failed(shop, sink_sync(), report).values()) == {"ambiguous"}


@heavy
def test_a_run_that_ends_between_two_tries_has_the_words_of_the_doubtful_answer(shop: Shop, sandbox: Sandbox) -> None:
    people(shop, 20)
    sync = sink_sync(options=TEN)
    sandbox.fault("server_error", vendor="rest", next=1, status=503, written=True, retry_after=60)
    sandbox.fault("server_error", vendor="rest", status=401)
    report = shop.run(sync, sink(sandbox.url, concurrency=2))
    assert report.status is RunStatus.FAILED
    rows = shop.outcomes(sync, report.run_id)
    doubtful = [row for row in rows if row.reason == "ambiguous"]
    assert len(doubtful) == 10
    assert {str(row.message).split(":")[0] for row in doubtful} == {"HTTP 503"}


@pytest.fixture
def slack(sandbox: Sandbox) -> Sandbox:
    sandbox.settings.change({"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0})
    return sandbox


def posts(slack: Sandbox) -> int:
    return sum(line.path == "/chat.postMessage" for line in slack.log.lines("slack"))


@heavy
@pytest.mark.parametrize("status", first([408, 503]))
def test_a_message_whose_post_says_perhaps_is_held(shop: Shop, slack: Sandbox, status: int) -> None:
    """Posted once; its change, which goes out by its id, may be repeated."""
    people(shop, 3)
    sync, account = slack_sync(mapping={"name": "name"}), launcher.slack(slack.url)
    slack.fault("server_error", vendor="slack", path="chat.postMessage", next=1, status=status, written=True)
    report = shop.run(sync, account)
    assert list(failed(shop, sync, report).values()) == ["ambiguous"]
    shop.sql("update marts.people set name = 'm'")
    slack.fault("server_error", vendor="slack", path="chat.update", next=1, status=status, written=True)
    report = shop.run(sync, account)
    assert (report.counts["updated"], report.counts["held"]) == (2, 1)
    assert posts(slack) == 3


@heavy
@pytest.mark.parametrize("fault", first([{"status": 408}, {"status": 500}, {"status": 503}, {"kind": "garbled"}]))
def test_a_look_up_that_fails_holds_nothing(shop: Shop, slack: Sandbox, fault: dict[str, Any]) -> None:
    """It only reads, so that no message was posted."""
    shop.build("select 'c1' as id, 'hello' as name, 'ann@shop.example' as place")
    options = {"text": "{{ fields.name }}", "channel": "{{ fields.place }}"}
    sync, account = slack_sync(options=options), launcher.slack(slack.url)
    slack.fault(**{"kind": "server_error", "vendor": "slack", "path": "users.lookupByEmail", "next": 8, **fault})
    report = shop.run(sync, account)
    assert list(failed(shop, sync, report).values()) == ["unavailable"]
    report = shop.run(sync, account)
    assert (report.counts["created"], report.counts.get("held", 0), posts(slack)) == (1, 0, 1)


def test_what_is_settled_without_being_sent_is_not_held_if_the_process_ends(shop: Shop, sandbox: Sandbox) -> None:
    """The row was refused, and its outcome is about to be written under an intent of its own."""
    people(shop, 1)
    sandbox.fault("server_error", vendor="rest", status=400)
    report = shop.run(events(), sink(sandbox.url))
    assert report.counts["failed_rejected"] == 1
    sent, settled = shop.journal.batches(report.run_id)
    assert (len(sent.answers), len(sent.once or ())) == (0, 1)
    assert (len(settled.answers), len(settled.once or ())) == (1, 0)
