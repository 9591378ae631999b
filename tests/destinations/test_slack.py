"""Slack's requests, and what its answers mean."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from pydantic import SecretStr, ValidationError
from slack_sdk.models.blocks import Block

from reverse_etl_assets.destinations.slack import Slack, SlackConnection
from reverse_etl_assets.destinations.slack.messages import SlackOptions
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    ConfigurationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
    SpecError,
)
from reverse_etl_assets.records import Batch, FieldType, Operation, Outcome, Reason, Record, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

SYNCS = Path(__file__).parents[2] / "demo" / "syncs"
INSERT, UPSERT, DELETE = Operation.INSERT, Operation.UPSERT, Operation.DELETE
CONNECTION = SlackConnection(token=SecretStr("xoxb-1"))
PEOPLE = target("#alerts", "id", name=FieldType.TEXT, value=FieldType.DECIMAL, place=FieldType.TEXT, url=FieldType.TEXT)
MESSAGE = "C123:1503435956.000247"
POSTED = {"ok": True, "channel": "C123", "ts": "1503435956.000247", "message": {"text": "hi"}}


def slack(operation: Operation = UPSERT, **options: Any) -> Slack:
    place = target("#alerts", "id", operation, **PEOPLE.fields)
    return accounts.offline(Slack, CONNECTION, place, **{"text": "{{ fields.name }}", **options})


def sent(destination: Slack, sending: Batch) -> tuple[str, dict[str, Any]]:
    request = destination.build_request(sending)
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json; charset=utf-8"
    return str(request.url), msgspec.json.decode(request.content)


def ann(**changes: Any) -> Record:
    fields = {"name": "Ann", "value": Decimal("10.50"), "place": None, "url": "https://x.example/?a=1&b=2"}
    return record("k1", destination_id=changes.pop("destination_id", None), **{**fields, **changes})


# requests


@pytest.mark.parametrize("operation", [INSERT, UPSERT])
def test_a_new_row_is_posted(operation: Operation) -> None:
    url, body = sent(slack(text="*{{ fields.name }}* ({{ key }}): {{ fields.value }}"), batch(operation, ann()))
    assert url == "https://slack.com/api/chat.postMessage"
    text = "*Ann* (k1): 10.50"
    assert body == {"channel": "alerts", "text": text, "unfurl_links": False, "unfurl_media": False}


def test_a_known_row_is_changed_where_it_is() -> None:
    url, body = sent(slack(), batch(UPSERT, ann(destination_id=MESSAGE)))
    assert url == "https://slack.com/api/chat.update"
    # Blocks that are left out would stay.
    assert body == {"channel": "C123", "ts": "1503435956.000247", "text": "Ann", "blocks": [], "parse": "none"}


def test_a_removed_row_is_deleted() -> None:
    url, body = sent(slack(), batch(DELETE, record("k1", destination_id=MESSAGE)))
    assert url == "https://slack.com/api/chat.delete"
    assert body == {"channel": "C123", "ts": "1503435956.000247"}


def test_a_delete_without_a_message_is_refused() -> None:
    with pytest.raises(RequestRejected, match="not known which message"):
        slack().build_request(batch(DELETE, record("k1")))


def test_values_are_escaped_and_templates_are_not() -> None:
    evil = ann(name="<!channel> & <@U1>")
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "<{{ fields.url }}|{{ fields.name }}>"}},
        {"type": "actions", "elements": [{"type": "button", "url": "{{ fields.url }}", "value": "{{ key }}"}]},
        {"type": "section", "fields": [{"type": "plain_text", "text": "{{ fields.name }}", "emoji": True}]},
        {"type": "markdown", "text": "{{ fields.value }}"},
    ]
    _, body = sent(slack(text="<!here> {{ fields.name }}", blocks=blocks), batch(INSERT, evil))
    name = "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert body["text"] == f"<!here> {name}"
    assert body["blocks"] == [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"<https://x.example/?a=1&amp;b=2|{name}>"}},
        {"type": "actions", "elements": [{"type": "button", "url": "https://x.example/?a=1&b=2", "value": "k1"}]},
        {"type": "section", "fields": [{"type": "plain_text", "text": name, "emoji": True}]},
        {"type": "markdown", "text": "10.50"},
    ]


@pytest.mark.parametrize(
    ("place", "channel"), [("C9", "C9"), ("U0ANN00001", "U0ANN00001"), ("", "alerts"), (None, "alerts")]
)
def test_a_row_may_name_its_channel(place: str | None, channel: str) -> None:
    _, body = sent(slack(channel="{{ fields.place }}"), batch(INSERT, ann(place=place)))
    assert body["channel"] == channel


def test_a_reply_names_its_thread_and_a_change_does_not() -> None:
    destination = slack(thread="{{ fields.place }}")
    thread = "1503435956.000001"
    assert sent(destination, batch(UPSERT, ann(place=thread)))[1]["thread_ts"] == thread
    assert "thread_ts" not in sent(destination, batch(UPSERT, ann()))[1]
    assert "thread_ts" not in sent(destination, batch(UPSERT, ann(place=thread, destination_id=MESSAGE)))[1]


def test_a_digest_is_one_message() -> None:
    destination = slack(INSERT, digest=True, header="{{ rows }} new in {{ object }}", text="- {{ fields.name }}")
    assert destination.capabilities.max_rows == 100
    _, body = sent(destination, batch(INSERT, ann(), ann(name="B & C")))
    assert body["text"] == "2 new in #alerts\n- Ann\n- B &amp; C"


@pytest.mark.parametrize("length", [4_000, 4_001])
def test_a_text_that_is_too_long_is_refused_before_it_is_cut(length: int) -> None:
    sending = batch(INSERT, ann(name="x" * length))
    if length == 4_000:
        assert len(sent(slack(), sending)[1]["text"]) == length
        return
    with pytest.raises(RequestRejected, match="4,001 characters, and Slack takes 4,000") as error:
        slack().build_request(sending)
    assert error.value.code == "msg_too_long"


def test_what_the_demo_sends_are_blocks_to_slacks_own_sdk() -> None:
    spec = yaml.safe_load((SYNCS / "slack_at_risk.yml").read_text())
    place = target(spec["object"], "customer", customer=FieldType.TEXT, reason=FieldType.TEXT, since=FieldType.DATE)
    destination = accounts.offline(Slack, CONNECTION, place, **spec["options"])
    row = record("C1", customer="C1", reason="no order for 90 days, < 1", since="2026-06-01")
    _, body = sent(destination, batch(INSERT, row))
    assert [block.to_dict() for block in Block.parse_all(body["blocks"])] == body["blocks"]
    assert body["blocks"][0]["text"]["text"] == ":rotating_light: *C1* is at risk: no order for 90 days, &lt; 1"


# answers


def read(operation: Operation, answer: dict[str, Any], row: Record | None = None, **options: Any) -> list[Outcome]:
    response = httpx.Response(200, json=answer)
    return list(slack(operation, **options).read_response(batch(operation, row or ann()), response))


def test_outcomes_say_what_was_done_and_where() -> None:
    known = ann(destination_id=MESSAGE)
    assert read(INSERT, POSTED) == [Outcome("k1", Status.CREATED, destination_id=MESSAGE)]
    assert read(UPSERT, POSTED) == [Outcome("k1", Status.CREATED, destination_id=MESSAGE)]
    assert read(UPSERT, POSTED, known) == [Outcome("k1", Status.UPDATED, destination_id=MESSAGE)]
    assert read(DELETE, {"ok": True}, known) == [Outcome("k1", Status.DELETED, destination_id=MESSAGE)]


def test_all_rows_of_a_digest_are_in_its_message() -> None:
    rows = batch(INSERT, record("a", name="1"), record("b", name="2"))
    found = slack(INSERT, digest=True).read_response(rows, httpx.Response(200, json=POSTED))
    assert [(each.key, each.destination_id) for each in found] == [("a", MESSAGE), ("b", MESSAGE)]


@pytest.mark.parametrize(
    ("operation", "reason"), [(UPSERT, Reason.NOT_FOUND), (DELETE, Reason.ALREADY_GONE)], ids=["change", "delete"]
)
def test_a_message_that_somebody_deleted(operation: Operation, reason: Reason) -> None:
    [outcome] = read(operation, {"ok": False, "error": "message_not_found"}, ann(destination_id=MESSAGE))
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, reason)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("invalid_auth", AuthenticationFailed),
        ("token_revoked", AuthenticationFailed),
        ("account_inactive", AuthenticationFailed),
        ("is_archived", ConfigurationError),
        ("channel_not_found", ConfigurationError),
        ("not_in_channel", ConfigurationError),
        ("message_limit_exceeded", QuotaExhausted),
        ("service_unavailable", RetryLater),
        ("ratelimited", RetryLater),
        ("fatal_error", Ambiguous),
        ("internal_error", Ambiguous),
        ("no_text", RequestRejected),
        ("cant_update_message", RequestRejected),
        ("a_code_of_tomorrow", RequestRejected),
    ],
)
def test_a_refusal_inside_a_200_says_what_to_do(code: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=code) as caught:
        read(UPSERT, {"ok": False, "error": code})
    assert type(caught.value) is error


@pytest.mark.parametrize("code", ["is_archived", "channel_not_found", "not_in_channel"])
def test_a_channel_of_a_row_is_a_fault_of_the_row(code: str) -> None:
    with pytest.raises(RequestRejected) as error:
        read(UPSERT, {"ok": False, "error": code}, channel="{{ fields.place }}")
    assert error.value.code == code


def test_a_message_left_in_a_channel_that_is_gone_is_a_fault_of_its_row() -> None:
    with pytest.raises(RequestRejected, match="channel_not_found"):
        read(UPSERT, {"ok": False, "error": "channel_not_found"}, ann(destination_id=MESSAGE))
    with pytest.raises(ConfigurationError, match="channel_not_found"):
        read(UPSERT, {"ok": False, "error": "channel_not_found"}, ann(destination_id="alerts:1503435956.000247"))


def test_a_missing_scope_is_named() -> None:
    answer = {"ok": False, "error": "missing_scope", "needed": "chat:write", "provided": "channels:read"}
    with pytest.raises(AuthenticationFailed, match="needs `chat:write` and has `channels:read`"):
        read(UPSERT, answer)


def test_what_is_wrong_with_blocks_is_told() -> None:
    said = "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    answer = {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": [said]}}
    with pytest.raises(RequestRejected, match="must be less than 3001 characters"):
        read(UPSERT, answer)


@pytest.mark.parametrize("answer", [{"ok": True}, {"ok": True, "channel": "C1"}, {"ok": "yes"}, {"error": "no_text"}])
def test_an_answer_without_a_message_is_in_doubt(answer: dict[str, Any]) -> None:
    with pytest.raises(Ambiguous):
        read(UPSERT, answer)


# settings


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "x", "digest": True, "blocks": [{"type": "divider"}]}, "a digest is one text in one channel"),
        ({"text": "x", "header": "y"}, "`header` is the first line of a digest"),
        ({"text": ""}, "at least 1 character"),
        ({"text": "x", "blocks": [{"type": "divider"}] * 51}, "at most 50 items"),
        ({"text": "x", "thread": 1503435956.0}, "valid string"),
    ],
)
def test_settings_that_do_not_fit(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SlackOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"text": "{{ fields.nam }}"},
            r"text: unknown placeholder `{{ fields.nam }}`; did you mean `{{ fields.name }}`",
        ),
        (
            {"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{ nme }}"}}]},
            "blocks.0.text.text",
        ),
        ({"text": "x", "digest": True, "header": "{{ fields.name }}"}, "header: unknown placeholder"),
    ],
)
def test_a_placeholder_that_does_not_exist_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Slack.capabilities_for(PEOPLE, SlackOptions.model_validate(options))


def test_only_what_can_be_repeated_is_called_repeatable() -> None:
    able = slack().capabilities
    assert able.idempotent == {DELETE}
    assert able.idempotent_by_id == {UPSERT}
    assert slack(INSERT, digest=True).capabilities.operations == {INSERT}


@pytest.mark.parametrize(
    ("operation", "options", "scope", "rate"),
    [
        (INSERT, {}, "alerts", 0.96),
        (UPSERT, {}, "chat.update", 0.8),
        (INSERT, {"channel": "{{ fields.place }}"}, "", 0.8),
    ],
)
def test_the_rate_counts_where_slack_counts_it(
    operation: Operation, options: dict[str, Any], scope: str, rate: float
) -> None:
    able = slack(operation, **options).capabilities
    assert (able.rate_scope, able.requests_per_second) == (scope, rate)


def test_links_lead_into_the_app() -> None:
    assert Slack.link("https://slack.com/api", PEOPLE) == "https://slack.com/app_redirect?channel=alerts"
    unknown = Slack.record_link("https://slack.com/api", PEOPLE, MESSAGE, {})
    assert unknown == "https://slack.com/app_redirect?channel=C123"
    known = Slack.record_link("https://slack.com/api", PEOPLE, MESSAGE, {"workspace": ["https://acme.slack.com/"]})
    assert known == "https://acme.slack.com/archives/C123/p1503435956000247"
    assert Slack.link("http://127.0.0.1:1/slack/api", PEOPLE) is None
