"""The exact request of every operation, and what recorded answers mean."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.intercom import Intercom
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    ConfigurationError,
    DestinationError,
    Hopeless,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

UPSERT, UPDATE, INSERT, DELETE = Operation.UPSERT, Operation.UPDATE, Operation.INSERT, Operation.DELETE
CONTACTS = target(
    "contacts",
    "external_id",
    *Operation,
    email=FieldType.TEXT,
    signed_up_at=FieldType.TIMESTAMP,
    churn=FieldType.DECIMAL,
    since=FieldType.DATE,
    traits=FieldType.JSON,
)
COMPANIES = target("companies", "company_id", UPSERT, UPDATE, DELETE, plan=FieldType.TEXT, health=FieldType.FLOAT)
TAG = target("tags/At risk", "external_id", UPSERT, DELETE)
MEMBERSHIPS = target("company_memberships", "external_id", UPSERT, DELETE)
NEW = {"role": "user", "external_id": "c-1", "email": "ann@example.com"}
NEW_ACME = {"company_id": "acme", "plan": "growth", "custom_attributes": {"health": 0.5}}
C, K = "6762f0dd1bb69f9f2193bb83", "6762f09a1bb69f9f2193bb34"
ANN = record("1", external_id="c-1", email="ann@example.com")
KNOWN = record("1", external_id="c-1", destination_id=C, email="ann@example.com")
DATED = record(
    "1",
    external_id="c-1",
    signed_up_at="2026-01-31T12:00:00.900+01:00",
    churn=Decimal("0.10"),
    since="2024-02-29",
    traits={"a": [1]},
)
ACME = record("1", external_id="acme", plan="growth", health=0.5)
LINK = record("1", external_id="c-1", destination_id=C)
AT_ACME = record("1", external_id="acme", destination_id=K, plan="free")
PAIR = record("1", external_id="c-1|acme", destination_id=f"{C}/{K}")


def intercom(to: Target = CONTACTS, **options: Any) -> Intercom:
    destination = accounts.offline(Intercom, accounts.intercom("https://api.example"), to, **options)
    if to.object.startswith("tags/"):
        destination.recall({"tag": ["81"]})
    return destination


@pytest.mark.parametrize(
    ("to", "operation", "row", "method", "path", "body"),
    [
        (CONTACTS, UPSERT, ANN, "POST", "/contacts", NEW),
        (CONTACTS, INSERT, ANN, "POST", "/contacts", NEW),
        (CONTACTS, UPSERT, KNOWN, "PUT", f"/contacts/{C}", {"external_id": "c-1", "email": "ann@example.com"}),
        (CONTACTS, UPDATE, KNOWN, "PUT", f"/contacts/{C}", {"email": "ann@example.com"}),
        (CONTACTS, DELETE, KNOWN, "POST", f"/contacts/{C}/archive", None),
        (
            CONTACTS,
            UPSERT,
            DATED,
            "POST",
            "/contacts",
            {
                "role": "user",
                "external_id": "c-1",
                "signed_up_at": 1769857200,
                "custom_attributes": {"churn": 0.1, "since": 1709164800, "traits": '{"a":[1]}'},
            },
        ),
        (
            CONTACTS,
            UPSERT,
            record("1", external_id="c-1", email=None, churn=None, traits=""),
            "POST",
            "/contacts",
            {"role": "user", "external_id": "c-1"},
        ),
        (
            CONTACTS,
            UPSERT,
            record("1", external_id="c-1", destination_id=C, email=None, churn=None, traits=""),
            "PUT",
            f"/contacts/{C}",
            {"external_id": "c-1", "email": None, "custom_attributes": {"churn": None, "traits": None}},
        ),
        (COMPANIES, UPSERT, ACME, "POST", "/companies", NEW_ACME),
        (COMPANIES, UPDATE, AT_ACME, "PUT", f"/companies/{K}", {"plan": "free"}),
        (COMPANIES, DELETE, AT_ACME, "DELETE", f"/companies/{K}", None),
        (TAG, UPSERT, LINK, "POST", f"/contacts/{C}/tags", {"id": "81"}),
        (TAG, DELETE, LINK, "DELETE", f"/contacts/{C}/tags/81", None),
        (MEMBERSHIPS, UPSERT, PAIR, "POST", f"/contacts/{C}/companies", {"id": K}),
        (MEMBERSHIPS, DELETE, PAIR, "DELETE", f"/contacts/{C}/companies/{K}", None),
    ],
)  # fmt: skip
def test_the_request(to: Target, operation: Operation, row: Record, method: str, path: str, body: Any) -> None:
    request = intercom(to).build_request(batch(operation, row))
    assert (request.method, request.url.path) == (method, f"/intercom{path}")
    assert (json.loads(request.content) if request.content else None) == body
    assert request.headers["Intercom-Version"] == "2.15"
    assert request.headers["Accept"] == "application/json"


def test_a_delete_for_good_is_asked_for() -> None:
    forgotten = intercom(replace(CONTACTS, for_good=True))
    assert forgotten.capabilities.erases
    assert forgotten.build_request(batch(DELETE, KNOWN)).method == "DELETE"
    request = intercom(delete="permanently").build_request(batch(DELETE, KNOWN))
    assert (request.method, request.url.path) == ("DELETE", f"/intercom/contacts/{C}")


# Answers as the reference shows them, version 2.15

CONTACT = {"type": "contact", "id": C, "external_id": "c-1", "role": "user", "email": "ann@example.com"}
COMPANY = {"type": "company", "id": K, "company_id": "acme", "created_at": 1734537334, "updated_at": 1734537334}
TAGGED = {"type": "tag", "id": "81", "name": "At risk", "applied_at": 1663597223}


def created(destination_id: str, *, inferred: bool = False) -> Outcome:
    return Outcome("1", Status.CREATED, destination_id=destination_id, inferred=inferred)


def updated(destination_id: str, *, inferred: bool = False) -> Outcome:
    return Outcome("1", Status.UPDATED, destination_id=destination_id, inferred=inferred)


def deleted(destination_id: str) -> Outcome:
    return Outcome("1", Status.DELETED, destination_id=destination_id)


@pytest.mark.parametrize(
    ("to", "operation", "row", "answer", "outcomes"),
    [
        (CONTACTS, UPSERT, ANN, CONTACT, [created(C)]),
        (CONTACTS, UPSERT, KNOWN, CONTACT, [updated(C)]),
        (CONTACTS, UPSERT, ANN, CONTACT | {"external_id": "c-2"}, []),
        (CONTACTS, UPSERT, KNOWN, CONTACT | {"id": "other"}, []),
        (CONTACTS, DELETE, KNOWN, {"type": "contact", "id": C, "archived": True}, [deleted(C)]),
        (CONTACTS, DELETE, KNOWN, {"type": "contact", "id": C, "deleted": True}, [deleted(C)]),
        (CONTACTS, DELETE, KNOWN, {"type": "contact", "id": C, "archived": False}, []),
        (CONTACTS, DELETE, KNOWN, {"type": "contact", "id": C}, [replace(deleted(C), inferred=True)]),
        (COMPANIES, DELETE, AT_ACME, {"id": K, "object": "company"}, [replace(deleted(K), inferred=True)]),
        (COMPANIES, UPSERT, ACME, COMPANY, [created(K, inferred=True)]),
        (COMPANIES, UPSERT, ACME, COMPANY | {"updated_at": 1734537999}, [updated(K, inferred=True)]),
        (COMPANIES, UPSERT, AT_ACME, COMPANY, [updated(K, inferred=True)]),
        (COMPANIES, UPSERT, ACME, COMPANY | {"company_id": "other"}, []),
        (COMPANIES, DELETE, AT_ACME, {"id": K, "object": "company", "deleted": True}, [deleted(K)]),
        (TAG, UPSERT, LINK, TAGGED, [created(C, inferred=True)]),
        (TAG, UPSERT, LINK, TAGGED | {"id": "82"}, []),
        (TAG, DELETE, LINK, TAGGED, [deleted(C)]),
        (MEMBERSHIPS, UPSERT, PAIR, COMPANY, [created(f"{C}/{K}", inferred=True)]),
        (MEMBERSHIPS, DELETE, PAIR, COMPANY | {"id": "other"}, []),
    ],
)  # fmt: skip
def test_an_answer(to: Target, operation: Operation, row: Record, answer: Any, outcomes: list[Outcome]) -> None:
    response = httpx.Response(200, json=answer)
    assert list(intercom(to).read_response(batch(operation, row), response)) == outcomes


def test_a_text_that_was_cut_is_no_success() -> None:
    row = record("1", external_id="c-1", note="x" * 256)
    answer = CONTACT | {"custom_attributes": {"note": "x" * 255}}
    to = target("contacts", "external_id", note=FieldType.TEXT)
    [outcome] = intercom(to).read_response(batch(UPSERT, row), httpx.Response(200, json=answer))
    assert outcome.reason is Reason.REJECTED
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.field) == ("TEXT_CUT", "note")


# Refusals

EXISTS = f"A contact matching those details already exists with id={C}"
ARCHIVED = f"An archived contact matching those details already exists with id={C}"
NOBODY, NO_COMPANY, NO_TAG = "User Not Found", "Company Not Found", "Resource Not Found"


def refusal(status: int, code: str, message: str | None, **headers: str) -> httpx.Response:
    errors = [{"code": code, "message": message}]
    body = {"type": "error.list", "request_id": "b68959ea-6328-4f70-83cb-e7913dba1542", "errors": errors}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def sent(to: Target, operation: Operation, row: Record, answer: httpx.Response, **options: Any) -> Outcome:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer)) as client:
        connection = accounts.intercom("https://api.example")
        destination = Intercom(connection, to, Intercom.Options.model_validate(options), client)
        if to is TAG:
            destination.recall({"tag": ["81"]})
        [outcome] = await destination.send(batch(operation, row))
        return outcome


def run(to: Target, operation: Operation, row: Record, answer: httpx.Response, **options: Any) -> Outcome:
    return asyncio.run(sent(to, operation, row, answer, **options))


@pytest.mark.parametrize(
    ("to", "operation", "row", "answer", "reason", "destination_id", "retry"),
    [
        (CONTACTS, UPSERT, ANN, refusal(409, "conflict", EXISTS), Reason.UNAVAILABLE, C, True),
        (CONTACTS, UPSERT, ANN, refusal(409, "conflict", ARCHIVED), Reason.UNAVAILABLE, f"archived/{C}", True),
        (CONTACTS, INSERT, ANN, refusal(409, "conflict", EXISTS), Reason.ALREADY_EXISTS, C, False),
        (CONTACTS, INSERT, ANN, refusal(409, "conflict", ARCHIVED), Reason.ALREADY_EXISTS, C, False),
        (CONTACTS, UPSERT, KNOWN, refusal(404, "not_found", NOBODY), Reason.NOT_FOUND, C, False),
        (CONTACTS, UPDATE, KNOWN, refusal(404, "not_found", NOBODY), Reason.NOT_FOUND, C, False),
        (CONTACTS, DELETE, KNOWN, refusal(404, "not_found", NOBODY), Reason.ALREADY_GONE, C, False),
        (COMPANIES, DELETE, AT_ACME, refusal(404, "company_not_found", NO_COMPANY), Reason.ALREADY_GONE, K, False),
        (COMPANIES, UPDATE, AT_ACME, refusal(404, "company_not_found", NO_COMPANY), Reason.NOT_FOUND, K, False),
        (TAG, UPSERT, LINK, refusal(404, "not_found", NOBODY), Reason.NOT_FOUND, C, False),
        (TAG, DELETE, LINK, refusal(404, "not_found", NO_TAG), Reason.ALREADY_GONE, C, False),
        (TAG, UPSERT, record("1"), refusal(500, "never", "asked"), Reason.NOT_FOUND, None, False),
        (MEMBERSHIPS, UPSERT, PAIR, refusal(404, "company_not_found", NO_COMPANY), Reason.NOT_FOUND, f"{C}/{K}", False),
    ],
)  # fmt: skip
def test_a_refusal_that_says_what_there_is(
    to: Target,
    operation: Operation,
    row: Record,
    answer: httpx.Response,
    reason: Reason,
    destination_id: str,
    retry: bool,
) -> None:
    outcome = run(to, operation, row, answer)
    assert (outcome.reason, outcome.destination_id, outcome.retry) == (reason, destination_id, retry)


def test_an_archived_contact_is_brought_back_and_then_written() -> None:
    destination = intercom()
    away = record("1", external_id="c-1", destination_id=f"archived/{C}", email="ann@example.com")
    request = destination.build_request(batch(UPSERT, away))
    assert (request.method, request.url.path, request.content) == ("POST", f"/intercom/contacts/{C}/unarchive", b"")
    answer = httpx.Response(200, json={"type": "contact", "id": C, "external_id": "c-1", "archived": False})
    [outcome] = destination.read_response(batch(UPSERT, away), answer)
    assert (outcome.status, outcome.retry, outcome.destination_id) == (Status.FAILED, True, C)


def test_an_archived_contact_may_be_left_alone() -> None:
    outcome = run(CONTACTS, UPSERT, ANN, refusal(409, "conflict", ARCHIVED), unarchive=False)
    assert (outcome.reason, outcome.retry) == (Reason.REJECTED, False)
    assert outcome.error is not None
    assert "`unarchive: true`" in outcome.error.message


RESET = "X_RateLimit_Reset"
MANY = "Multiple existing users match this email address - must be more specific using user_id"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (refusal(409, "unique_user_constraint", MANY), RequestRejected, "Multiple existing users"),
        (refusal(400, "parameter_invalid", "Custom attribute 'x' does not exist"), TargetChanged, "etl check`"),
        (refusal(400, "intercom_version_invalid", "no such version"), TargetChanged, "version 2.15, which Intercom"),
        (httpx.Response(400, json={"status": 400, "error": "Bad Request"}), RequestRejected, "Bad Request"),
        (httpx.Response(404, json={"status": 404, "error": "Not Found"}), TargetChanged, "Not Found: that is no"),
        (refusal(404, "not_found", "The requested resource does not exist"), TargetChanged, "that is no answer"),
        (httpx.Response(402, json={"error": "Payment Required"}), Hopeless, "the account's plan or an unpaid bill"),
        (httpx.Response(400, json={"error": "bad", "message": "no such tag"}), RequestRejected, "bad: no such tag"),
        (httpx.Response(400, json={"error": "bad", "info": {"description": "why"}}), RequestRejected, "bad: why"),
        (httpx.Response(401, json={"error": "no", "description": "expired"}), AuthenticationFailed, "no: expired"),
        (httpx.Response(422, json={"errors": [{"code": "c"}], "message": "too long"}), RequestRejected, "too long"),
        (httpx.Response(404, text="<html>No such host</html>"), TargetChanged, "No such host: .* Is `base_url` right"),
        (refusal(422, "data_invalid", None), RequestRejected, "data_invalid"),
        (refusal(401, "unauthorized", "Access Token Invalid"), AuthenticationFailed, "in the region of its workspace"),
        (refusal(401, "unauthorized", "Access Token Invalid"), AuthenticationFailed, "begins with `dG9rO`, and this"),
        (
            refusal(403, "api_plan_restricted", "Active subscription needed."),
            AuthenticationFailed,
            r"api_plan_restricted: Active subscription needed\. The app",
        ),
        (refusal(403, "forbidden", None), AuthenticationFailed, "`Write users and companies`"),
        (refusal(429, "rate_limit_exceeded", "Exceeded rate limit of 167 in 10_seconds"), RetryLater, "167"),
        (refusal(408, "request_timeout", "Request Timeout"), RetryLater, "Timeout"),
        (refusal(500, "server_error", "Server Error"), Ambiguous, "Server Error"),
        (refusal(503, "service_unavailable", "later"), RetryLater, "later"),
        (httpx.Response(502, text="<html>"), Ambiguous, "502"),
        (httpx.Response(200, text="<html>"), Ambiguous, "JSON"),
    ],
)  # fmt: skip
def test_an_error(answer: httpx.Response, error: type[DestinationError], said: str) -> None:
    with pytest.raises(error, match=said):
        run(CONTACTS, UPSERT, ANN, answer)


def test_several_users_of_an_address_count_as_possible_duplicates() -> None:
    with pytest.raises(RequestRejected) as caught:
        run(CONTACTS, UPSERT, ANN, refusal(409, "unique_user_constraint", MANY))
    assert caught.value.code in intercom().capabilities.several_records


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"Retry_After": "7"}, 7.0), ({RESET: "1"}, 1.0), ({RESET: "99999999999"}, 10.0), ({}, 10.0)],
)
def test_a_rate_limit_holds_until_the_window_starts_anew(headers: dict[str, str], wait: float) -> None:
    with pytest.raises(RetryLater) as caught:
        run(CONTACTS, UPSERT, ANN, refusal(429, "rate_limit_exceeded", "Exceeded", **headers))
    assert (caught.value.after, caught.value.hold) == (wait, True)


def test_a_tag_that_was_deleted_stops_the_run() -> None:
    with pytest.raises(ConfigurationError, match="Tag `At risk` is gone"):
        run(TAG, UPSERT, LINK, refusal(404, "not_found", NO_TAG))


def test_the_field_that_intercom_names_is_told() -> None:
    answer = httpx.Response(400, json={"errors": [{"code": "parameter_invalid", "message": "bad", "field": "email"}]})
    with pytest.raises(RequestRejected) as caught:
        run(CONTACTS, UPSERT, ANN, answer)
    assert caught.value.field == "email"
