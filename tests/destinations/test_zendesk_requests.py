"""The exact requests to Zendesk."""

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.base import JobState
from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.destinations.zendesk.options import ZendeskConnection
from reverse_etl_assets.records import Batch, FieldType, Operation, Reason, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts
from tests.limited import jobs_from

USERS = target("users", "external_id", *Operation, name=FieldType.TEXT, **{"user_fields.tier": FieldType.TEXT})
ORGANIZATIONS = target("organizations", "external_id", name=FieldType.TEXT)
TICKETS = target("tickets", "id", Operation.UPDATE, **{"custom_fields.36001": FieldType.TEXT})
ROW: dict[str, Any] = {"name": "Ann", "user_fields.tier": "gold", "user_fields.value": Decimal("0.10")}
SENT = '"name":"Ann","user_fields":{"tier":"gold","value":0.10}'


def zendesk(to: Target = USERS, **options: Any) -> Zendesk:
    return accounts.offline(Zendesk, accounts.zendesk("https://shop.example"), to, **options)


@pytest.mark.parametrize(
    ("to", "sent", "method", "path", "body"),
    [
        (
            USERS,
            batch(Operation.UPSERT, record("C1", **ROW)),
            "POST",
            "users/create_or_update",
            f'{{"user":{{{SENT},"external_id":"C1","skip_verify_email":true}}}}',
        ),
        (
            USERS,
            batch(Operation.UPDATE, record("C1", destination_id="7", **ROW)),
            "PUT",
            "users/7",
            f'{{"user":{{{SENT}}}}}',
        ),
        (USERS, batch(Operation.DELETE, record("C1", destination_id="7")), "DELETE", "users/7", ""),
        (
            ORGANIZATIONS,
            batch(Operation.UPSERT, record("A", name="Acme")),
            "POST",
            "organizations/create_or_update",
            '{"organization":{"name":"Acme","external_id":"A"}}',
        ),
        (
            TICKETS,
            batch(Operation.UPDATE, record("35", destination_id="35", **{"custom_fields.36001": "gold"})),
            "PUT",
            "tickets/35",
            '{"ticket":{"custom_fields":[{"id":36001,"value":"gold"}]}}',
        ),
    ],
)
def test_one_record(to: Target, sent: Batch, method: str, path: str, body: str) -> None:
    request = zendesk(to).build_request(sent)
    assert (request.method, str(request.url)) == (method, f"https://shop.example/zendesk/api/v2/{path}")
    assert request.content.decode() == body
    assert request.headers.get("Content-Type") == ("application/json" if body else None)


def test_a_verification_mail_is_sent_only_if_asked_for() -> None:
    request = zendesk(verify_email=True).build_request(batch(Operation.UPSERT, record("C1", name="Ann")))
    assert json.loads(request.content) == {"user": {"name": "Ann", "external_id": "C1"}}


class Recorder(httpx.AsyncBaseTransport):
    """Takes every job, and has the fields of `USERS`, which are asked for before the first one."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("_fields"):
            options = [{"value": each} for each in ("gold", "silver")]
            tier = {"key": "tier", "type": "dropdown", "custom_field_options": options}
            return httpx.Response(200, json={"user_fields": [tier, {"key": "value", "type": "decimal"}]})
        self.sent.append(request)
        return httpx.Response(200, json={"job_status": {"id": "82de0b", "status": "queued"}})


def open_job(sent: Batch, recalled: dict[str, list[str]] | None = None) -> tuple[Zendesk, str, list[httpx.Request]]:
    recorder = Recorder()
    connection = accounts.zendesk_by_token("https://shop.example")
    destination = Zendesk(connection, USERS, Zendesk.Options(), httpx.AsyncClient(transport=recorder))
    destination.recall(recalled or {})
    return destination, asyncio.run(destination.open_job(sent)), recorder.sent


@pytest.mark.parametrize(
    ("operation", "method", "url", "body"),
    [
        (
            Operation.UPSERT,
            "POST",
            "users/create_or_update_many",
            {"users": [{"name": n, "external_id": n, "skip_verify_email": True} for n in ("a", "b")]},
        ),
        (
            Operation.UPDATE,
            "PUT",
            "users/update_many",
            {"users": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]},
        ),
        (Operation.DELETE, "DELETE", "users/destroy_many?ids=1%2C2", None),
    ],
)
def test_a_job(operation: Operation, method: str, url: str, body: Any) -> None:
    rows = [record("a", name="a", destination_id="1"), record("b", name="b", destination_id="2")]
    _, job, [request] = open_job(batch(operation, *rows))
    assert (request.method, str(request.url)) == (method, f"https://shop.example/zendesk/api/v2/{url}")
    assert (json.loads(request.content) if request.content else None) == body
    assert job == "82de0b"


def test_rows_that_zendesk_would_keep_only_in_part_are_not_sent() -> None:
    rows = [record(key, **{"user_fields.tier": tier}) for key, tier in (("a", "gold"), ("b", "wood"), ("c", None))]
    rows.append(record("d,e", name="-"))
    destination, job, [request] = open_job(batch(Operation.UPSERT, *rows), {"user_fields.tier": ["gold", "silver"]})
    assert [user["external_id"] for user in json.loads(request.content)["users"]] == ["a", "c"]
    assert job == "82de0b;1,3"  # what a later run needs, if this one ends here
    [outcome] = asyncio.run(destination.send(batch(Operation.UPSERT, rows[1])))
    assert (outcome.reason, outcome.error and outcome.error.field) == (Reason.INVALID, "user_fields.tier")
    assert outcome.error is not None
    assert "gold, silver" in outcome.error.message
    assert "wood" not in outcome.error.message


def test_a_job_without_any_row_that_can_be_sent_is_no_request() -> None:
    rows = batch(Operation.UPSERT, *(record(f"{key},") for key in "abc"))
    destination, job, requests = open_job(rows)
    assert requests == []
    assert asyncio.run(destination.poll(job)) is JobState.DONE
    assert [outcome.reason for outcome in asyncio.run(destination.collect(job, rows))] == [Reason.INVALID] * 3


@pytest.mark.parametrize(
    ("email", "header"),
    [
        ("ann@shop.example", f"Basic {base64.b64encode(b'ann@shop.example/token:secret').decode()}"),
        (None, "Bearer secret"),
    ],
)
def test_an_api_token_signs_in_with_an_address_and_an_oauth_token_without(email: str | None, header: str) -> None:
    connection = ZendeskConnection(base_url="https://shop.example", token="secret", email=email)
    recorder = Recorder()
    destination = Zendesk(connection, USERS, Zendesk.Options(), httpx.AsyncClient(transport=recorder))
    asyncio.run(destination.open_job(batch(Operation.UPSERT, record("a", name="a"))))
    assert recorder.sent[0].headers["Authorization"] == header


def test_where_jobs_are_used() -> None:
    assert jobs_from(zendesk()) == 5
    assert jobs_from(zendesk(bulk=False)) is None
    assert jobs_from(zendesk(ORGANIZATIONS)) is None  # there is no job that upserts them
    assert jobs_from(zendesk(TICKETS)) == 5


def test_where_a_record_is_seen() -> None:
    assert Zendesk.record_link("https://a.zendesk.com/", USERS, "7", {}) == "https://a.zendesk.com/agent/users/7"
