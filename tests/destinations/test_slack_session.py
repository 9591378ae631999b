"""Slack against the sandbox: its check, and whole runs of the engine."""

import asyncio
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.slack import Slack
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, StateError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import undo_run
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.testing.builders import target
from reverse_etl_sandbox.server import Sandbox
from reverse_etl_sandbox.store import Entry
from tests.destinations import accounts
from tests.engine import launcher
from tests.engine.shop import Shop, sink_sync
from tests.heavy import first, heavy
from tests.until import until

ROWS = "select i::varchar as id, 'name ' || i as name, null::varchar as place from range({}) r(i)"


@pytest.fixture
def slack(sandbox: Sandbox) -> Sandbox:
    """Without its limits."""
    sandbox.settings.change({"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0})
    return sandbox


def check(sandbox: Sandbox, channel: str = "#customer-alerts", token: str = "xoxb-1") -> dict[str, list[str]]:
    async def work() -> dict[str, list[str]]:
        async with httpx.AsyncClient() as client:
            place = target(channel, "id", name=FieldType.TEXT)
            options = Slack.Options.model_validate({"text": "{{ fields.name }}"})
            slack = Slack(accounts.slack(sandbox.url, token), place, options, client)
            await slack.check()
            return dict(slack.learned())

    return asyncio.run(work())


@pytest.mark.parametrize("channel", ["customer-alerts", "#customer-alerts", "C0ALERTS01"])
def test_the_check_finds_the_channel_by_name_or_id(slack: Sandbox, channel: str) -> None:
    assert check(slack, channel) == {"channel": ["C0ALERTS01"], "workspace": ["https://shop.slack.com/"]}


def test_the_check_turns_every_page_of_channels(slack: Sandbox) -> None:
    slack.settings.change({"slack_page": 1})
    assert check(slack, "data-alerts")["channel"] == ["C0DATA0001"]
    assert len([line for line in slack.log.lines() if "conversations.list" in line.path]) == 3


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("customer-alert", r"no channel `customer-alert`.*Did you mean `customer-alerts`\?.*`/invite @reverse_etl`"),
        ("C0NOBODY01", "no channel `C0NOBODY01` that the app can see"),
        ("G0BOARD001", "no channel `G0BOARD001` that the app can see"),
        ("old-alerts", "`old-alerts` is archived"),
        ("#random", "not in the channel `#random`: write `/invite @reverse_etl`"),
    ],
)
def test_a_channel_that_does_not_do(slack: Sandbox, channel: str, said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        check(slack, channel)


def test_a_public_channel_does_with_the_scope_for_it(slack: Sandbox) -> None:
    slack.settings.change({"slack_scopes": "chat:write,chat:write.public,channels:read"})
    assert check(slack, "#random")["channel"] == ["C0RANDOM01"]


def test_a_missing_scope_is_named_by_the_check(slack: Sandbox) -> None:
    slack.settings.change({"slack_scopes": "channels:read"})
    with pytest.raises(CheckFailed, match="needs the scope `chat:write` and has `channels:read`"):
        check(slack)
    slack.settings.change({"slack_scopes": "chat:write"})
    with pytest.raises(AuthenticationFailed, match="needs `channels:read` and has `chat:write`"):
        check(slack)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("xoxb-revoked", "token_revoked"),
        ("xoxp-1", "invalid_auth.*looks like a user's token.*Bot User OAuth Token"),
        ("xoxe.xoxb-1", "looks like a token of token rotation"),
        ("xapp-1", "looks like an app-level token"),
        ("https://hooks.slack.com/services/T/B/secret", "looks like an address"),
        ("pat-na1-secret", "looks like no token of a Slack app"),
    ],
)
def test_a_token_that_does_not_do(slack: Sandbox, token: str, said: str) -> None:
    with pytest.raises(AuthenticationFailed, match=said) as caught:
        check(slack, token=token)
    assert token == "xoxb-revoked" or token not in str(caught.value)


@pytest.mark.parametrize(("token", "warned"), [("xoxb-1", False), ("xoxp-1", True)])
def test_a_users_token_that_slack_takes_is_warned_of(token: str, warned: bool) -> None:
    slack = accounts.offline(Slack, accounts.slack("https://slack.example", token), target("C1", "id"), text="x")
    assert any("a user's token" in each for each in slack.warnings()) is warned


# whole runs


class Office:
    """A channel, and a sync of the shop's people into it."""

    def __init__(self, shop: Shop, sandbox: Sandbox, **changes: Any) -> None:
        self.shop, self.sandbox = shop, sandbox
        self.account = launcher.slack(sandbox.url)
        self.sync = slack_sync(**changes)

    def run(self, rows: str) -> Report:
        self.shop.build(rows)
        return self.shop.run(self.sync, self.account)

    @property
    def messages(self) -> list[Entry]:
        return self.sandbox.slack.tables["customer-alerts"].live()

    @property
    def texts(self) -> list[str]:
        return sorted(each.values["text"] for each in self.messages)

    def requests(self, method: str) -> int:
        return sum(line.path == f"/{method}" for line in self.sandbox.log.lines())


def slack_sync(**changes: Any) -> Sync:
    spec: dict[str, Any] = {
        "destination": "slack",
        "object": "#customer-alerts",
        "mapping": {"name": "name", "place": "place"},
        "sync_mode": "mirror",
        "options": {"text": "{{ key }}: {{ fields.name }}"},
        "guards": {"max_removed": {}, "row_count": {"percent": None}},
    }
    return sink_sync(**{**spec, **changes})


@pytest.fixture
def office(shop: Shop, slack: Sandbox) -> Office:
    return Office(shop, slack)


def test_messages_follow_their_rows(office: Office) -> None:
    first = office.run(ROWS.format(4))
    assert first.counts["created"] == len(office.messages) == 4
    places = {each.id for each in office.messages}
    long = "repeat('x', 4001)"
    second = office.run(
        f"select id, case id when '1' then 'new & <b>' when '2' then {long} else name end as name, place"
        f" from ({ROWS.format(5)}) where id <> '3'"
    )
    assert {name: second.counts[name] for name in ("created", "updated", "deleted", "failed")} == {
        "created": 1, "updated": 1, "deleted": 1, "failed": 1,
    }  # fmt: skip
    assert office.texts == ["0: name 0", "1: new &amp; &lt;b&gt;", "2: name 2", "4: name 4"]
    assert len(places & {each.id for each in office.messages}) == 3
    refused = office.shop.by_key(office.sync, second)["2"]
    assert (refused.reason, refused.code) == ("rejected", "msg_too_long")


@heavy
def test_a_message_that_somebody_deleted_is_posted_anew(office: Office) -> None:
    office.run(ROWS.format(2))
    gone = office.messages[0]
    office.sandbox.remove("slack", "customer-alerts", gone.id)
    report = office.run(f"select id, name || '!' as name, place from ({ROWS.format(2)})")
    assert (report.counts["created"], report.counts["updated"]) == (1, 1)
    assert office.texts == ["0: name 0!", "1: name 1!"]
    assert gone.id not in {each.id for each in office.messages}


@heavy
@pytest.mark.parametrize(
    "fault", first([{"kind": "drop_after"}, {"kind": "malformed"}, {"kind": "server_error", "status": 200}])
)
def test_a_post_in_doubt_is_held_and_never_repeated(office: Office, fault: dict[str, Any]) -> None:
    office.sandbox.fault(**fault, vendor="slack", path="chat.postMessage", next=1)
    report = office.run(ROWS.format(2))
    assert (report.counts["created"], report.counts["failed_ambiguous"]) == (1, 1)
    assert office.requests("chat.postMessage") == 2
    again = office.run(ROWS.format(2))
    assert again.counts["held"] == 1
    assert office.requests("chat.postMessage") == 2


def test_a_message_posted_anew_in_doubt_is_held(office: Office) -> None:
    """Its row has an id, of the message that is gone: what counts is that it was sent without."""
    office.run(ROWS.format(2))
    office.sandbox.remove("slack", "customer-alerts", office.messages[0].id)
    office.sandbox.fault("drop_after", vendor="slack", path="chat.postMessage", next=1)
    changed = f"select id, name || '!' as name, place from ({ROWS.format(2)})"
    report = office.run(changed)
    assert (report.counts["updated"], report.counts["failed_ambiguous"]) == (1, 1)
    outcome = office.shop.by_key(office.sync, report)["0"]
    assert (outcome.reason, outcome.destination_id) == ("ambiguous", None)
    again = office.run(changed)
    assert (again.counts["held"], again.counts["skipped_held"]) == (1, 1)
    assert office.texts == ["0: name 0!", "1: name 1!"]


@heavy
def test_a_message_posted_anew_before_a_kill_is_held(office: Office, launcher: launcher.Launcher) -> None:
    office.run(ROWS.format(2))
    office.sandbox.remove("slack", "customer-alerts", office.messages[0].id)
    office.sandbox.fault("timeout_after", vendor="slack", path="chat.postMessage", next=1, hold_seconds=20.0)
    changed = f"select id, name || '!' as name, place from ({ROWS.format(2)})"
    office.shop.build(changed)
    launcher.start(office.shop, office.sync, "slack", office.sandbox.url)
    until(lambda: "0: name 0!" in office.texts)
    launcher.kill()
    again = office.run(changed)
    assert (again.counts["held"], again.counts["updated"]) == (1, 1)
    assert office.texts == ["0: name 0!", "1: name 1!"]


@heavy
def test_an_undo_leaves_a_message_alone_that_was_posted_anew_in_doubt(office: Office) -> None:
    """Nobody knows where it is, and the id that the row had is of one that is gone."""
    office.run(ROWS.format(1))
    office.sandbox.remove("slack", "customer-alerts", office.messages[0].id)
    office.sandbox.fault("drop_after", vendor="slack", path="chat.postMessage", next=1)
    report = office.run(f"select id, name || '!' as name, place from ({ROWS.format(1)})")
    undone = undo_run(report.run_id, office.sync, office.shop.environment, office.account, who="ada", why="a test")
    assert undone.counts["failed_invalid"] == 1
    assert office.texts == ["0: name 0!"]


@heavy
def test_a_change_in_doubt_is_sent_again(office: Office) -> None:
    office.run(ROWS.format(2))
    office.sandbox.fault("drop_after", vendor="slack", path="chat.update", next=1)
    office.sandbox.fault("server_error", vendor="slack", path="chat.update", status=200, next=1)
    report = office.run(f"select id, name || '!' as name, place from ({ROWS.format(2)})")
    assert (report.counts["updated"], report.counts["failed"]) == (2, 0)
    assert office.requests("chat.update") == 4
    assert office.texts == ["0: name 0!", "1: name 1!"]


@heavy
def test_a_change_that_stays_in_doubt_is_not_held(office: Office) -> None:
    office.run(ROWS.format(2))
    office.sandbox.fault("drop_after", vendor="slack", path="chat.update")
    changed = f"select id, name || '!' as name, place from ({ROWS.format(2)})"
    assert office.run(changed).counts["failed_ambiguous"] == 2
    office.sandbox.faults.clear()
    report = office.run(changed)
    assert (report.counts["updated"], report.counts["held"]) == (2, 0)


@heavy
def test_an_archived_channel_ends_the_run(shop: Shop, slack: Sandbox) -> None:
    with pytest.raises(CheckFailed, match="`old-alerts` is archived"):
        Office(shop, slack, object="old-alerts").run(ROWS.format(3))
    assert slack.counts()["slack"]["objects"]["old-alerts"]["refused"] == 0


@heavy
def test_a_scope_that_is_taken_away_ends_the_run(office: Office) -> None:
    office.run(ROWS.format(1))
    office.sandbox.settings.change({"slack_scopes": "channels:read"})
    report = office.run(ROWS.format(4))
    assert report.status is RunStatus.FAILED
    assert report.detail is not None
    assert "needs `chat:write`" in report.detail
    assert report.counts["skipped_stopped"] == 3
    assert office.requests("chat.postMessage") == 2


@heavy
def test_rows_go_to_their_own_places(shop: Shop, slack: Sandbox) -> None:
    office = Office(shop, slack, options={"text": "{{ fields.name }}", "channel": "{{ fields.place }}"})
    report = office.run(
        "select * from (values ('1', 'a', null), ('2', 'b', 'general'), ('3', 'c', 'Ann@shop.example'), ('4', 'd',"
        " 'C0NOBODY01'), ('5', 'e', 'bob@shop.example'), ('6', 'f', 'Ann@shop.example')) as v(id, name, place)"
    )
    held = {name: [each.values["text"] for each in table.live()] for name, table in slack.slack.tables.items()}
    assert {name: texts for name, texts in held.items() if texts} == {
        "customer-alerts": ["a"],
        "general": ["b"],
        "D0ANN00001": ["c", "f"],
    }
    assert report.counts["failed_rejected"] == 2
    outcomes = office.shop.by_key(office.sync, report)
    assert (outcomes["4"].code, outcomes["5"].code) == ("channel_not_found", "users_not_found")
    assert office.requests("users.lookupByEmail") == 2


@heavy
def test_a_digest_takes_as_few_messages_as_slack_lets_it(shop: Shop, slack: Sandbox) -> None:
    options = {"text": "- {{ fields.name }}", "digest": True, "header": "{{ rows }} new"}
    office = Office(shop, slack, sync_mode="append", options=options)
    report = office.run(f"select id, name || repeat('x', 50) as name, place from ({ROWS.format(100)})")
    assert report.counts["created"] == 100
    assert [each.values["text"].partition("\n")[0] for each in office.messages] == ["50 new", "50 new"]
    assert {each.destination_id for each in office.shop.outcomes(office.sync, report.run_id)} == {
        f"C0ALERTS01:{each.id}" for each in office.messages
    }


@heavy
def test_an_undo_takes_messages_back(office: Office) -> None:
    office.run(ROWS.format(2))
    report = office.run(f"select id, name || '!' as name, place from ({ROWS.format(3)})")
    undone = undo_run(report.run_id, office.sync, office.shop.environment, office.account, who="ada", why="wrong names")
    assert (undone.counts["deleted"], undone.counts["updated"]) == (1, 2)
    assert office.texts == ["0: name 0", "1: name 1"]


@heavy
def test_a_digest_in_doubt_holds_all_its_rows(shop: Shop, slack: Sandbox) -> None:
    office = Office(shop, slack, sync_mode="append", options={"text": "{{ key }}", "digest": True})
    slack.fault("timeout_after", vendor="slack", path="chat.postMessage", next=1, hold_seconds=0.0)
    assert office.run(ROWS.format(3)).counts["failed_ambiguous"] == 3
    assert office.run(ROWS.format(4)).counts["held"] == 3
    assert office.texts == ["0\n1\n2", "3"]


@heavy
def test_an_undo_refuses_a_digest(shop: Shop, slack: Sandbox) -> None:
    """Its message is that of other rows, too."""
    office = Office(shop, slack, sync_mode="append", options={"text": "{{ key }}", "digest": True})
    run_id = office.run(ROWS.format(2)).run_id
    with pytest.raises(StateError, match=r"takes delete \(2 rows\), which `slack` cannot do"):
        undo_run(run_id, office.sync, shop.environment, office.account, who="ada", why="wrong names")
    assert office.texts == ["0\n1"]


@heavy
def test_the_channel_alone_is_held_when_it_had_enough(office: Office) -> None:
    office.sync = slack_sync(sync_mode="append")
    office.sandbox.fault("rate_limit", vendor="slack", path="chat.postMessage", next=1, retry_after=0)
    report = office.run(ROWS.format(2))
    assert report.counts["created"] == 2
    assert office.shop.journal.held_until("slack/customer-alerts") > 0
    assert office.shop.journal.held_until("slack") == 0
