"""The exact requests of a webhook, as its options say them."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection, WebhookOptions
from reverse_etl_assets.destinations.webhook.security import WebhookAuth
from reverse_etl_assets.errors import RequestRejected, SpecError
from reverse_etl_assets.records import FieldType, Operation, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

TARGET = target("people", "id", email=FieldType.TEXT, score=FieldType.DECIMAL)
ROW = record("7", email="ann@x.com", score=Decimal("1.50"))


def request(
    operation: Operation = Operation.UPSERT,
    *rows: Any,
    base_url: str = "https://api.example/v1/",
    to: Target = TARGET,
    **options: Any,
) -> httpx.Request:
    settings = WebhookConnection(base_url=base_url)
    sent = batch(operation, *(rows or (ROW,)), idempotency_key="idem-1")
    return accounts.offline(Webhook, settings, to, **options).build_request(sent)


def test_the_default_is_a_post_of_the_fields_to_the_object() -> None:
    made = request()
    assert (made.method, str(made.url)) == ("POST", "https://api.example/v1/people")
    assert made.headers["Content-Type"] == "application/json"
    assert made.content == b'{"id":"7","email":"ann@x.com","score":1.50}'


def test_the_default_of_a_batch_is_a_list_of_records() -> None:
    made = request(Operation.UPSERT, ROW, record("8", email=None), batch_size=10)
    assert made.content == (
        b'{"records":[{"key":"7","fields":{"id":"7","email":"ann@x.com","score":1.50}},'
        b'{"key":"8","fields":{"id":"8","email":null}}]}'
    )


def test_an_empty_path_leaves_the_address_as_it_is() -> None:
    assert str(request(base_url="https://hooks.example/T1/B2", path="").url) == "https://hooks.example/T1/B2"
    assert str(request(path="?upsert=true").url) == "https://api.example/v1?upsert=true"


def test_placeholders_keep_their_types_unless_they_stand_in_a_text() -> None:
    body = {
        "who": "{{ key }}",
        "n": "{{fields.score}}",
        "words": "{{ fields.email }} has {{ fields.score }}",
        "all": ["{{ fields }}", 1, None, True, "plain"],
        "why": {"op": "{{ operation }}", "at": "{{ object }}", "once": "{{ idempotency_key }}"},
        "{{ key }}": "keys are no templates",
    }
    assert request(body=body).content == (
        b'{"who":"7","n":1.50,"words":"ann@x.com has 1.50",'
        b'"all":[{"id":"7","email":"ann@x.com","score":1.50},1,null,true,"plain"],'
        b'"why":{"op":"upsert","at":"people","once":"idem-1"},"{{ key }}":"keys are no templates"}'
    )


def test_a_value_that_looks_like_a_placeholder_is_a_value() -> None:
    made = request(Operation.UPSERT, record("7", email="{{ key }}"), body={"email": "{{ fields.email }}"})
    assert made.content == b'{"email":"{{ key }}"}'


def test_a_field_that_a_row_does_not_have_is_left_out() -> None:
    body = {"email": "{{ fields.email }}", "list": ["{{ fields.email }}"], "text": "<{{ fields.email }}>"}
    assert request(Operation.UPSERT, record("7"), body=body).content == b'{"list":[],"text":"<>"}'


def test_operations_have_their_own_method_path_and_body() -> None:
    operations = {
        "delete": {"method": "DELETE", "path": "/people/{{ key }}"},
        "update": {"method": "PATCH", "path": "/people/{{ key }}", "body": {"set": "{{ fields.email }}"}},
    }
    gone = request(Operation.DELETE, record("7"), operations=operations)
    assert (gone.method, str(gone.url), gone.content) == ("DELETE", "https://api.example/v1/people/7", b"")
    changed = request(Operation.UPDATE, operations=operations)
    assert (changed.method, changed.content) == ("PATCH", b'{"set":"ann@x.com"}')
    assert request(Operation.INSERT, operations=operations).method == "POST"


def test_a_batch_of_deletes_carries_keys() -> None:
    options: dict[str, Any] = {
        "batch_size": 10,
        "operations": {"delete": {"path": "/people/delete"}},
        "record": "{{ key }}",
    }
    made = request(Operation.DELETE, record("7"), record("8"), body="{{ records }}", **options)
    assert made.content == b'["7","8"]'


def test_ndjson_is_one_line_a_record() -> None:
    made = request(Operation.UPSERT, record("7"), record("8"), batch_size=2, format="ndjson", record="{{ fields }}")
    assert made.content == b'{"id":"7"}\n{"id":"8"}\n'
    assert made.headers["Content-Type"] == "application/x-ndjson"


def test_a_number_key_stays_a_number() -> None:
    to = target("people", "id", key_type=FieldType.INTEGER)
    made = request(to=to, path="/people/{{ key }}")
    assert (made.url.path, made.content) == ("/v1/people/7", b'{"id":7,"email":"ann@x.com","score":1.50}')


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b", b"/v1/people/a%2Fb"),
        ("../admin", b"/v1/people/..%2Fadmin"),
        ("a?b#c", b"/v1/people/a%3Fb%23c"),
        ("50%", b"/v1/people/50%25"),
        ("%2e%2e", b"/v1/people/%252e%252e"),
        ("Zoë\r\nX: y", b"/v1/people/Zo%C3%AB%0D%0AX%3A%20y"),
    ],
)
def test_a_key_in_a_path_stays_in_its_place(key: str, path: bytes) -> None:
    assert request(Operation.UPSERT, record(key), path="/people/{{ key }}").url.raw_path == path


@pytest.mark.parametrize("key", ["", ".", ".."])
def test_a_key_that_would_lead_to_another_path_is_refused(key: str) -> None:
    with pytest.raises(RequestRejected, match="another path"):
        request(Operation.UPSERT, record(key), path="/people/{{ key }}")


def test_headers_and_the_idempotency_key() -> None:
    made = request(headers={"X-Source": "warehouse {{ operation }}"}, idempotency_header="Idempotency-Key")
    assert made.headers["X-Source"] == "warehouse upsert"
    assert made.headers["Idempotency-Key"] == "idem-1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"body": {"a": ["{{ feilds.email }}"]}}, "did you mean `{{ fields.email }}`?"),
        ({"body": "{{ fields.emial }}"}, "body: unknown placeholder `{{ fields.emial }}`; did you mean"),
        ({"path": "/{{ kye }}"}, "path: unknown placeholder `{{ kye }}`; did you mean `{{ key }}`?"),
        ({"path": "/{{ fields }}"}, "path: unknown placeholder"),
        ({"operations": {"delete": {"path": "/{{ fields.email }}"}}}, "operations.delete.path: unknown placeholder"),
        ({"path": "/{{ key }}", "batch_size": 2}, "path: unknown placeholder `{{ key }}`"),
        ({"headers": {"X": "{{ fields.email }}"}}, "headers.X: unknown placeholder"),
        ({"record": "{{ records }}"}, "record: unknown placeholder"),
        ({"body": "{{ key }}", "batch_size": 2}, "known here are idempotency_key, object, operation, records."),
        ({"operations": {"upsert": {"body": "{{ zzz }}"}}}, "operations.upsert.body: unknown placeholder"),
        ({"body": "{{ key | upper }}"}, "unknown placeholder `{{ key | upper }}`"),
    ],
)
def test_an_unknown_placeholder_is_named_when_syncs_are_loaded(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        Webhook.capabilities_for(TARGET, WebhookOptions.model_validate(options))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": "people"}, "a path starts with `/`"),
        ({"headers": {"authorization": "Bearer x"}}, "is a secret"),
        ({"results": {"status": "status"}}, "set `match` to `key` or `index`"),
        ({"bodi": 1}, "Extra inputs"),
        ({"batch_size": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WebhookOptions.model_validate(options)


def test_capabilities_follow_from_the_options() -> None:
    def able(**options: Any) -> Any:
        return Webhook.capabilities_for(TARGET, WebhookOptions.model_validate(options))

    assert Operation.DELETE not in able().operations
    assert Operation.DELETE in able(operations={"delete": {}}).operations
    assert Operation.INSERT not in able().idempotent
    assert Operation.INSERT in able(idempotency_header="Idempotency-Key").idempotent
    assert Operation.INSERT not in able(idempotency_header="Idempotency-Key", batch_size=2).idempotent
    assert not able().confirms
    assert able(results={"match": "key", "status": "status"}).confirms


def signed_by(
    settings: WebhookConnection, request: httpx.Request, clock: Callable[[], float] = time.time
) -> httpx.Request:
    async def work() -> httpx.Request:
        async with httpx.AsyncClient() as client:
            return await anext(WebhookAuth(settings, client, clock).async_auth_flow(request))

    return asyncio.run(work())


def test_a_signature_by_standard_webhooks() -> None:
    key = b"0123456789abcdef"
    settings = WebhookConnection(
        base_url="https://api.example", signing_secret=SecretStr(f"whsec_{base64.b64encode(key).decode()}")
    )
    made = accounts.offline(Webhook, settings, TARGET).build_request(
        batch(Operation.UPSERT, ROW, idempotency_key="idem-1")
    )
    signed = signed_by(settings, made, clock=lambda: 1_700_000_000.9)
    expected = hmac.digest(key, b"idem-1.1700000000." + made.content, hashlib.sha256)
    assert signed.headers["webhook-id"] == "idem-1"
    assert signed.headers["webhook-timestamp"] == "1700000000"
    assert signed.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()


def test_token_and_secret_headers() -> None:
    settings = WebhookConnection(
        base_url="https://api.example", token=SecretStr("t"), secret_headers={"X-Api-Key": SecretStr("k")}
    )
    signed = signed_by(settings, httpx.Request("POST", "https://api.example"))
    assert (signed.headers["Authorization"], signed.headers["X-Api-Key"]) == ("Bearer t", "k")


@pytest.mark.parametrize(
    "settings",
    [
        {"signing_secret": "whsec_not/base64-secret!"},
        {"tokn": "misspelt-secret"},
        {"base_url": "ftp://x", "token": "other-secret"},
    ],
)
def test_a_wrong_setting_is_refused_without_showing_a_secret(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        WebhookConnection.model_validate({"base_url": "https://api.example"} | settings)
    assert "secret!" not in str(caught.value)
    assert "-secret" not in str(caught.value)
