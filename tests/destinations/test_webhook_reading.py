"""A webhook that reads records back, one at a time or in pages, and the ways to sign in to one."""

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from reverse_etl_assets.destinations.base import ConnectionSettings
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.errors import AuthenticationFailed, RequestRejected, RetryLater, SpecError
from reverse_etl_assets.records import FieldType, Operation, Record
from reverse_etl_assets.testing.builders import batch, record, target
from reverse_etl_assets.testing.contract import DestinationContract
from reverse_etl_assets.testing.harness import Stored
from reverse_etl_assets.testing.pace import PaceContract, VirtualClock
from reverse_etl_assets.testing.reading import ReadBackContract
from reverse_etl_sandbox.server import Sandbox
from tests.destinations import accounts

PEOPLE = target("people", "id", *Operation, note=FieldType.TEXT, value=FieldType.DECIMAL, seen_at=FieldType.TIMESTAMP)
RESULTS: dict[str, Any] = {"match": "key", "path": "results", "key": "id", "status": "status", "error": "error.message"}
RESULTS |= {"code": "error.code", "statuses": {"not_found": "skipped"}}
SECRET = "hook-secret"


class TestReadOneByOne(DestinationContract, ReadBackContract):
    destination = Webhook
    target = PEOPLE
    options: ClassVar = {
        "method": "PATCH",
        "path": "/{{ object }}/{{ key }}",
        "operations": {"upsert": {"method": "PUT"}, "delete": {"method": "DELETE"}},
        "partial": ["upsert", "update"],
        "read": {"path": "/{{ object }}/{{ key }}"},
    }
    text_field = "note"
    decimal_field = "value"
    timestamp_field = "seen_at"
    values: ClassVar = {
        "note": ('Zoë, "Z"', "other"),
        "value": (Decimal("10.50"), Decimal("-0.01")),
        "seen_at": ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:01.123456Z"),
    }

    # A 2xx is all that such an API says, whatever is in its body; and there is one record at an address.
    test_an_answer_that_names_nobody_is_no_success: Any = None
    test_a_broken_answer_is_no_success: Any = None
    test_a_record_is_read_by_its_id_where_its_key_finds_none: Any = None  # there is no id beside the key
    test_all_records_of_a_key_are_told: Any = None
    # The status of a PUT says nothing of an id.
    test_what_was_written_is_read: Any = None

    @pytest.fixture
    def server(self, sandbox: Sandbox) -> Sandbox:
        sandbox.settings.change({"rest_token": SECRET})
        return sandbox

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.webhook(server.url)

    def record(self, number: int) -> Record:
        return record(f"cust-{number}", note="-", value=Decimal("10.50"))

    def spoiled(self, record: Record) -> Record:
        return Record(record.key, "..", record.fields)

    def stored(self, server: Sandbox) -> Sequence[Stored]:
        return [(entry.id, entry.values) for entry in server.rest.table("people").live()]


class TestReadInPages(TestReadOneByOne, PaceContract):
    options: ClassVar = {
        "path": "/{{ object }}",
        "batch_size": 500,
        "record": "{{ fields }}",
        "operations": {"delete": {"path": "/{{ object }}/delete"}},
        "results": RESULTS,
        "partial": ["upsert", "update"],
        "read": {
            "path": "/{{ object }}?keys={{ keys }}&limit=2",
            "at_once": 50,
            "records": "records",
            "next": "next",
            "cursor": "after",
        },
    }
    pace_rows = 10_000

    def connection(self, server: Sandbox) -> ConnectionSettings:
        return accounts.webhook(server.url).model_copy(update={"requests_per_second": 4.9})

    pace_allowed = 5.0

    test_an_answer_that_names_nobody_is_no_success: Any = (
        DestinationContract.test_an_answer_that_names_nobody_is_no_success
    )
    test_a_broken_answer_is_no_success: Any = DestinationContract.test_a_broken_answer_is_no_success

    def spoiled(self, record: Record) -> Record:
        return Record(record.key, "", record.fields)

    def paced_server(self, clock: VirtualClock) -> Sandbox:
        return Sandbox(clock=clock, rest_token=SECRET, rest_requests=5, rest_window_seconds=1.0)

    def refused_for_the_rate(self, server: Sandbox) -> int:
        return int(server.counts()["rest"]["status"].get("429", 0))


def webhook(client: httpx.AsyncClient, **connection: Any) -> Webhook:
    settings = {"base_url": "https://api.example", "allow_private": True, **connection}
    options = Webhook.Options.model_validate(TestReadInPages.options)
    return Webhook(WebhookConnection.model_validate(settings), PEOPLE, options, client)


@pytest.mark.parametrize(
    "connection",
    [
        {"token": SECRET},
        {"username": "ann", "password": SECRET},
        {"token_url": "/oauth/token", "client_id": "us", "client_secret": SECRET, "scope": "write"},
    ],
    ids=["bearer", "basic", "client credentials"],
)
def test_each_way_to_sign_in(sandbox: Sandbox, connection: dict[str, str]) -> None:
    async def work(secret: str) -> list[Any]:
        given = {name: secret if value == SECRET else value for name, value in connection.items()}
        if "token_url" in given:
            given["token_url"] = f"{sandbox.url}/rest/oauth/token"
        async with httpx.AsyncClient() as client:
            sent = batch(Operation.UPSERT, record("a", note="x"))
            return list(await webhook(client, base_url=f"{sandbox.url}/rest", **given).send(sent))

    sandbox.settings.change({"rest_token": SECRET})
    assert [outcome.status for outcome in asyncio.run(work(SECRET))] == ["created"]
    with pytest.raises(AuthenticationFailed):
        asyncio.run(work("another"))


def test_a_token_that_expired_is_fetched_once_more(sandbox: Sandbox) -> None:
    async def work() -> list[str]:
        async with httpx.AsyncClient() as client:
            address = f"{sandbox.url}/rest"
            found = webhook(
                client, base_url=address, token_url=f"{address}/oauth/token", client_id="us", client_secret=SECRET
            )
            sent = batch(Operation.UPSERT, record("a", note="x"))
            first = [outcome.status.value for outcome in await found.send(sent)]
            sandbox.fault("expire_token", vendor="rest", next=1)
            return first + [outcome.status.value for outcome in await found.send(sent)]

    sandbox.settings.change({"rest_token": SECRET})
    assert asyncio.run(work()) == ["created", "updated"]


def test_a_signature_of_the_body_alone() -> None:
    seen: list[httpx.Request] = []

    async def work() -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(200, json={"results": [{"id": "a", "status": "ok"}]})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            signed = webhook(client, signing_secret="s3cret", signature="sha256", signature_header="X-Signature")
            await signed.send(batch(Operation.UPSERT, record("a", note="x")))

    asyncio.run(work())
    expected = hmac.new(b"s3cret", seen[0].content, hashlib.sha256).hexdigest()
    assert seen[0].headers["X-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"token": "t", "username": "u", "password": "p"}, "2 ways to sign in, token, username; keep one"),
        ({"client_id": "c"}, "all three"),
        ({"username": "u"}, "go together"),
        ({"signing_secret": "not base64!"}, "whsec_"),
    ],
)
def test_half_a_way_to_sign_in_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as error:
        WebhookConnection.model_validate({"base_url": "https://api.example", **given})
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ({"path": "people"}, "starts with `/`"),
        ({"path": "/people/{{ key }}", "at_once": 10}, "needs `{{ keys }}`"),
        ({"path": "/people/{{ key }}", "cursor": "after"}, "name that too"),
    ],
)
def test_settings_that_do_not_fit_are_refused(read: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        Webhook.Options.model_validate({"read": read})
    assert said in str(error.value)


def test_an_unknown_placeholder_is_found_when_syncs_are_loaded() -> None:
    options = Webhook.Options.model_validate({"read": {"path": "/people/{{ kee }}"}})
    with pytest.raises(SpecError, match=r"read\.path: unknown placeholder"):
        Webhook.capabilities_for(PEOPLE, options)


def test_pages_of_another_host_and_keys_with_commas_are_not_asked_for() -> None:
    async def work() -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"records": [], "next": "https://elsewhere.example/2"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            found = webhook(client, token=SecretStr(SECRET))
            assert found.options.read is not None
            leads = found.options.model_copy(update={"read": found.options.read.model_copy(update={"cursor": None})})
            by_address = Webhook(found.connection, PEOPLE, leads, client)
            with pytest.raises(RetryLater, match="another host"):
                await by_address.read_records(["a"])
            with pytest.raises(RequestRejected, match="at_once: 1"):
                await found.read_records(["a,b"])

    asyncio.run(work())
