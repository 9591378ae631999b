"""Slack in the sandbox, driven by Slack's own SDK."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.blocks import DividerBlock, HeaderBlock, SectionBlock

from reverse_etl_sandbox import Sandbox
from tests.sandbox.conftest import Clock

ALERTS = "C0ALERTS01"


@pytest.fixture
def client(sandbox: Sandbox) -> WebClient:
    sandbox.settings.change({"slack_post_seconds": 0.0, "slack_minute_seconds": 0.0})
    return a_client(sandbox)


def a_client(sandbox: Sandbox, token: str = "xoxb-sandbox") -> WebClient:
    return WebClient(token=token, base_url=f"{sandbox.url}/slack/api/")


def refusal(method: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The answer to a call that Slack's SDK takes for an error."""
    with pytest.raises(SlackApiError) as error:
        method(**arguments)
    told: dict[str, Any] = error.value.response.data
    return told


def test_a_message_is_posted_changed_and_deleted(sandbox: Sandbox, client: WebClient) -> None:
    blocks = [HeaderBlock(text="Alert"), DividerBlock(), SectionBlock(text="*Ann* is at risk")]
    posted = client.chat_postMessage(channel="#customer-alerts", text="Ann", blocks=blocks)
    assert posted["channel"] == ALERTS
    assert isinstance(posted["ts"], str)
    table = sandbox.slack.tables["customer-alerts"]
    [message] = table.live()
    assert message.values["blocks"] == [block.to_dict() for block in blocks]
    changed = client.chat_update(channel=ALERTS, ts=posted["ts"], text="Bob", blocks=[])
    assert (changed["ts"], changed["text"], table.live()[0].values["blocks"]) == (posted["ts"], "Bob", [])
    client.chat_delete(channel=ALERTS, ts=posted["ts"])
    assert table.live() == []
    counted = sandbox.counts()["slack"]["objects"]["customer-alerts"]
    assert counted == {"records": 0, "created": 1, "updated": 1, "deleted": 1, "refused": 0}


def test_blocks_that_are_not_named_stay(sandbox: Sandbox, client: WebClient) -> None:
    posted = client.chat_postMessage(channel=ALERTS, text="Ann", blocks=[DividerBlock()])
    client.chat_update(channel=ALERTS, ts=posted["ts"], text="Bob")
    [message] = sandbox.slack.tables["customer-alerts"].live()
    assert message.values["blocks"] == [{"type": "divider"}]


def test_times_name_messages_and_grow(client: WebClient) -> None:
    stamps = [client.chat_postMessage(channel=ALERTS, text="x")["ts"] for _ in range(3)]
    assert sorted(set(stamps)) == stamps


def test_a_reply_and_a_direct_message(sandbox: Sandbox, client: WebClient) -> None:
    first = client.chat_postMessage(channel=ALERTS, text="x")["ts"]
    assert client.chat_postMessage(channel=ALERTS, text="y", thread_ts=first)["message"]["thread_ts"] == first
    person = client.users_lookupByEmail(email="Ann@shop.example")["user"]["id"]
    assert client.chat_postMessage(channel=person, text="hi")["channel"] == "D0ANN00001"
    assert refusal(client.users_lookupByEmail, email="nobody@shop.example")["error"] == "users_not_found"


def test_a_form_is_as_good_as_json(sandbox: Sandbox, http: httpx.Client) -> None:
    form = {"token": "xoxb-1", "channel": ALERTS, "text": "x", "blocks": '[{"type":"divider"}]'}
    assert http.post("/slack/api/chat.postMessage", data=form).json()["ok"] is True
    assert sandbox.slack.tables["customer-alerts"].live()[0].values["blocks"] == [{"type": "divider"}]


def test_json_without_a_charset_is_warned_of(http: httpx.Client, sandbox: Sandbox) -> None:
    told = http.post(
        "/slack/api/chat.postMessage",
        content=b'{"channel": "C0ALERTS01", "text": "x"}',
        headers={"Authorization": "Bearer xoxb-1", "Content-Type": "application/json"},
    ).json()
    assert (told["ok"], told["warning"]) == (True, "missing_charset")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"channel": "nowhere", "text": "x"}, "channel_not_found"),
        ({"channel": "G0BOARD001", "text": "x"}, "channel_not_found"),
        ({"channel": "old-alerts", "text": "x"}, "is_archived"),
        ({"channel": "random", "text": "x"}, "not_in_channel"),
        ({"channel": ALERTS}, "no_text"),
        ({"channel": ALERTS, "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": ALERTS, "blocks": [{"type": "no_such"}]}, "invalid_blocks"),
        ({"channel": ALERTS, "blocks": [SectionBlock(text="x" * 2_999).to_dict()] * 5}, "msg_blocks_too_long"),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text` argument is missing")
def test_posts_that_are_refused(client: WebClient, arguments: dict[str, Any], code: str) -> None:
    assert refusal(client.chat_postMessage, **arguments)["error"] == code


@pytest.mark.filterwarnings("ignore:The top-level `text` argument is missing")
@pytest.mark.parametrize(
    ("text", "said"),
    [("", "more than 0 characters"), ("x" * 3_001, "less than 3001 characters")],
    ids=["empty", "long"],
)
def test_the_place_in_a_block_is_named(client: WebClient, text: str, said: str) -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]
    told = refusal(client.chat_postMessage, channel=ALERTS, blocks=blocks)
    assert told["response_metadata"]["messages"] == [f"[ERROR] must be {said} [json-pointer:/blocks/0/text/text]"]


def test_long_texts_are_cut_when_posted_and_refused_when_changed(sandbox: Sandbox, client: WebClient) -> None:
    ts = client.chat_postMessage(channel=ALERTS, text="x" * 40_001)["ts"]
    assert len(sandbox.slack.tables["customer-alerts"].live()[0].values["text"]) == 40_000
    assert refusal(client.chat_update, channel=ALERTS, ts=ts, text="x" * 4_001)["error"] == "msg_too_long"


def test_a_message_of_somebody_else_is_theirs(sandbox: Sandbox, client: WebClient) -> None:
    ts = sandbox.add("slack", "customer-alerts", {"text": "mine"})
    assert refusal(client.chat_update, channel=ALERTS, ts=ts, text="x")["error"] == "cant_update_message"
    assert refusal(client.chat_delete, channel=ALERTS, ts=ts)["error"] == "cant_delete_message"
    sandbox.remove("slack", "customer-alerts", ts)
    assert refusal(client.chat_delete, channel=ALERTS, ts=ts)["error"] == "message_not_found"
    assert refusal(client.chat_delete, channel="customer-alerts", ts=ts)["error"] == "channel_not_found"


@pytest.mark.parametrize(
    ("token", "code"), [("", "not_authed"), ("xoxp-1", "invalid_auth"), ("xoxb-revoked", "token_revoked")]
)
def test_tokens_that_do_not_do(sandbox: Sandbox, token: str, code: str) -> None:
    assert refusal(a_client(sandbox, token).auth_test)["error"] == code


def test_a_missing_scope_is_named(sandbox: Sandbox, client: WebClient) -> None:
    sandbox.settings.change({"slack_scopes": "channels:read"})
    assert client.auth_test().headers["x-oauth-scopes"] == "channels:read"
    told = refusal(client.chat_postMessage, channel=ALERTS, text="x")
    assert (told["error"], told["needed"], told["provided"]) == ("missing_scope", "chat:write", "channels:read")


def test_private_channels_are_listed_with_the_scope_for_them(sandbox: Sandbox, client: WebClient) -> None:
    sandbox.settings.change({"slack_scopes": "channels:read"})
    assert client.conversations_list(types="public_channel")["ok"]
    told = refusal(client.conversations_list, types="public_channel,private_channel")
    assert (told["error"], told["needed"]) == ("missing_scope", "groups:read")


def test_the_scope_for_public_channels(sandbox: Sandbox, client: WebClient) -> None:
    sandbox.settings.change({"slack_scopes": "chat:write,chat:write.public"})
    assert client.chat_postMessage(channel="random", text="x")["ok"]


def test_channels_come_page_by_page(sandbox: Sandbox, client: WebClient) -> None:
    pages = [
        [channel["name"] for channel in page["channels"]]
        for page in client.conversations_list(types="public_channel,private_channel", limit=2)
    ]
    assert pages == [["general", "customer-alerts"], ["data-alerts", "random"], ["old-alerts", "first-day"]]
    info = client.conversations_info(channel=ALERTS)["channel"]
    assert (info["name"], info["is_member"], info["is_archived"]) == ("customer-alerts", True, False)
    assert refusal(client.conversations_info, channel="G0BOARD001")["error"] == "channel_not_found"
    assert refusal(client.conversations_list, limit=1_000)["error"] == "invalid_limit"


def test_a_channel_takes_one_message_a_second(sandbox: Sandbox, clock: Clock) -> None:
    client = a_client(sandbox)
    client.chat_postMessage(channel=ALERTS, text="x")
    with pytest.raises(SlackApiError) as error:
        client.chat_postMessage(channel="#customer-alerts", text="x")
    assert (error.value.response.status_code, error.value.response["error"]) == (429, "ratelimited")
    assert error.value.response.headers["Retry-After"] == "1"
    client.chat_postMessage(channel="general", text="x")
    clock.now += 1
    client.chat_postMessage(channel=ALERTS, text="x")
    assert sandbox.log.counts("slack")["limits"] == {"rate": 1}


def test_fifty_changes_a_minute_for_all_channels(sandbox: Sandbox, clock: Clock) -> None:
    client = a_client(sandbox)
    ts = client.chat_postMessage(channel=ALERTS, text="x")["ts"]
    for number in range(50):
        client.chat_update(channel=ALERTS, ts=ts, text=str(number))
    assert refusal(client.chat_update, channel="C0GENERAL1", ts=ts, text="x")["error"] == "ratelimited"
    client.chat_delete(channel=ALERTS, ts=ts)
    clock.now += 60
    assert refusal(client.chat_update, channel=ALERTS, ts=ts, text="x")["error"] == "message_not_found"


def test_faults(sandbox: Sandbox, client: WebClient) -> None:
    sandbox.fault("rate_limit", vendor="slack", retry_after=30, next=1)
    sandbox.fault("server_error", vendor="slack", status=200, next=1)
    assert refusal(client.chat_postMessage, channel=ALERTS, text="x")["error"] == "ratelimited"
    assert refusal(client.chat_postMessage, channel=ALERTS, text="x")["error"] == "fatal_error"
    assert sandbox.slack.tables["customer-alerts"].live() == []
    assert refusal(client.api_call, api_method="chat.noSuch")["error"] == "unknown_method"
