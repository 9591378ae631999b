"""One answer for each kind of outcome, as Stripe words it, and what is refused before it is sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.destinations.stripe.answers import request_error, settled
from reverse_etl_assets.destinations.stripe.fields import too_long
from reverse_etl_assets.destinations.stripe.meters import not_taken
from reverse_etl_assets.destinations.stripe.stream import Handover, Refusals
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, DestinationError, RequestRejected, RetryLater
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Record, RowError, Status, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

CUSTOMERS = target("customers", "metadata.customer_id", Operation.UPSERT, **{"metadata.plan": FieldType.TEXT})
EVENTS = target("meter_events", "identifier", Operation.INSERT, **{"payload.value": FieldType.INTEGER})
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEW, KNOWN = record("c1"), Record("c1", "c1", {}, "cus_1")
CUSTOMER = {"id": "cus_1", "object": "customer", "metadata": {"customer_id": "c1"}}


def read(operation: Operation, row: Record, body: Any, of: Target = CUSTOMERS, **headers: str) -> list[Outcome]:
    stripe = accounts.offline(Stripe, accounts.stripe("https://stripe.test"), of, delete=True)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return list(stripe.read_response(batch(operation, row), httpx.Response(200, json=body, headers=named)))


@pytest.mark.parametrize(
    ("operation", "row", "body", "status"),
    [
        (Operation.UPSERT, NEW, CUSTOMER, Status.CREATED),
        (Operation.UPSERT, KNOWN, CUSTOMER, Status.UPDATED),
        (Operation.UPDATE, KNOWN, CUSTOMER, Status.UPDATED),
        (Operation.DELETE, KNOWN, {"id": "cus_1", "object": "customer", "deleted": True}, Status.DELETED),
    ],
)
def test_a_customer_in_the_answer_settles_its_row(operation: Operation, row: Record, body: Any, status: Status) -> None:
    assert read(operation, row, body) == [Outcome("c1", status, destination_id="cus_1")]


@pytest.mark.parametrize(
    ("operation", "row", "body"),
    [
        (Operation.UPSERT, NEW, {**CUSTOMER, "metadata": {"customer_id": "c2"}}),
        (Operation.UPSERT, KNOWN, {**CUSTOMER, "id": "cus_2"}),
        (Operation.UPDATE, KNOWN, {"id": "cus_1", "object": "customer", "deleted": True}),
        (Operation.DELETE, KNOWN, CUSTOMER),
    ],
)
def test_an_answer_about_another_customer_settles_nothing(operation: Operation, row: Record, body: Any) -> None:
    assert read(operation, row, body) == []


def test_a_repeated_answer_is_followed_by_an_update_of_the_customer_that_it_names() -> None:
    [outcome] = read(Operation.UPSERT, NEW, CUSTOMER, Idempotent_Replayed="true")
    assert (outcome.status, outcome.retry, outcome.destination_id) == (Status.FAILED, True, "cus_1")


def test_a_meter_event_is_told_by_its_identifier() -> None:
    told = {"object": "billing.meter_event", "identifier": "u1"}
    assert read(Operation.INSERT, record("u1"), told, EVENTS) == [Outcome("u1", Status.CREATED, destination_id="u1")]
    assert read(Operation.INSERT, record("u2"), told, EVENTS) == []


# Refusals, word for word


def answer(status: int, message: str, code: str = "", param: str = "", **more: str) -> httpx.Response:
    error = {"message": message, "type": more.pop("type", "invalid_request_error")}
    error |= {name: value for name, value in (("code", code), ("param", param)) if value}
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return httpx.Response(status, json={"error": error}, headers=headers)


LIVE_KEY = "rk_live_************************only"
PERMISSION = (
    f"The provided key '{LIVE_KEY}' does not have the required permissions for this endpoint on account 'acct_1'."
    " Having the 'rak_customer_write' permission would allow this request to continue."
)
LOCKED = "This object cannot be accessed right now because another API request or Stripe process is accessing it."
OTHER_MODE = (
    "No such customer: 'cus_1'; a similar object exists in live mode,"
    " but a test mode key was used to make this request."
)


@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        (answer(401, "Invalid API Key provided: sk_test_*********1234"), AuthenticationFailed, "in test mode"),
        (answer(403, PERMISSION), AuthenticationFailed, "'rak_customer_write' permission"),
        (answer(404, OTHER_MODE, "resource_missing", "id"), AuthenticationFailed, "the key is of test mode"),
        (answer(429, "Request rate limit exceeded.", "rate_limit"), RetryLater, "rate limit"),
        (answer(429, LOCKED, "lock_timeout"), RetryLater, "cannot be accessed"),
        (answer(409, "in-progress", "idempotency_key_in_use", type="idempotency_error"), RetryLater, "in-progress"),
        (answer(424, "A partner failed.", Stripe_Should_Retry="true"), RetryLater, "partner"),
        (answer(500, "An unknown error occurred", type="api_error"), Ambiguous, "unknown error"),
        (answer(400, "Keys for idempotent requests", type="idempotency_error"), RequestRejected, "for a day"),
        (answer(400, "Received unknown parameter: foo", "parameter_unknown", "foo"), RequestRejected, "foo"),
        (httpx.Response(502, content=b"<html>"), Ambiguous, "502"),
    ],
)
def test_what_a_refused_request_means(response: httpx.Response, kind: type[DestinationError], said: str) -> None:
    error = request_error(response, "test")
    assert type(error) is kind
    assert said in str(error)
    assert LIVE_KEY not in str(error)


def test_only_a_rate_holds_the_account() -> None:
    rate, lock = (request_error(answer(429, "no", code), "live") for code in ("rate_limit", "lock_timeout"))
    assert isinstance(rate, RetryLater)
    assert isinstance(lock, RetryLater)
    assert (rate.hold, lock.hold) == (True, False)


GONE = RequestRejected("No such customer: 'cus_1'", "resource_missing", "id")
TWICE = RequestRejected("An event already exists with identifier u1.", "invalid_request_error")


@pytest.mark.parametrize(
    ("operation", "row", "error", "reason"),
    [
        (Operation.UPSERT, KNOWN, GONE, Reason.NOT_FOUND),
        (Operation.UPDATE, KNOWN, GONE, Reason.NOT_FOUND),
        (Operation.DELETE, KNOWN, GONE, Reason.ALREADY_GONE),
        (Operation.INSERT, record("u1"), TWICE, Reason.ALREADY_EXISTS),
        (Operation.UPSERT, NEW, GONE, None),
        (Operation.UPSERT, KNOWN, RequestRejected("No such PaymentMethod", "resource_missing", "payment_method"), None),
        (Operation.INSERT, record("u1"), RequestRejected("No such customer", "resource_missing"), None),
    ],
)
def test_refusals_that_are_no_failure(operation: Operation, row: Record, error: RequestRejected, reason: Any) -> None:
    outcome = settled(batch(operation, row), error)
    assert (outcome and outcome.reason) == reason


# What we refuse ourselves


def test_metadata_that_is_too_long_is_named() -> None:
    long = too_long(record("c1", **{"metadata.note": "x" * 501}), "metadata.customer_id")
    assert long == RowError("`metadata.note` has 501 characters; a metadata value has up to 500", field="metadata.note")
    assert too_long(record("k" * 501), "metadata.customer_id") is not None
    assert too_long(record("c1", **{"metadata.note": "x" * 500, "description": "x" * 600}), "metadata.k") is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (record("u" * 101), "identifier has 101 characters"),
        (record("u1", **{"payload.value": None}), "`payload.value` is empty"),
        (record("u1", **{"payload.note": "x" * 101}), "more than 100 characters"),
        (record("u1", timestamp="soon"), "no time"),
        (record("u1", timestamp=(NOW - timedelta(days=35, seconds=1)).isoformat()), "last 35 days"),
        (record("u1", timestamp=int((NOW + timedelta(minutes=6)).timestamp())), "5 minutes ahead"),
        (record("u1", timestamp="2026-11-22"), None),
        (record("u1", {"payload.value": 0, "timestamp": None}), None),
    ],
)
def test_events_that_no_meter_takes_are_not_sent(row: Record, said: str | None) -> None:
    problem = not_taken(row, NOW)
    assert (said in problem.message) if problem and said else not (problem or said)


# What the stream reports later


def report(meter: str | None, code: str, count: int, *identifiers: str) -> dict[str, Any]:
    samples = [{"error_message": f"{code}!", "request": {"identifier": each}} for each in identifiers]
    kinds = [{"code": code, "error_count": count, "sample_errors": samples}]
    return {"related_object": {"id": meter} if meter else {}, "data": {"reason": {"error_types": kinds}}}


def test_events_that_a_report_names_are_rejected_and_the_rest_is_inferred() -> None:
    reports = [report("mtr_1", "archived_meter", 1, "u1"), report(None, "no_meter", 5, "u2"), report("mtr_9", "x", 7)]
    rows = [record(key) for key in ("u1", "u2", "u3")]
    found = {each.key: each for each in Refusals.of(reports, "mtr_1").outcomes(batch(Operation.INSERT, *rows), NOW)}
    assert found["u1"] == Outcome.rejected("u1", RowError("archived_meter!", "archived_meter"))
    assert found["u2"].error == RowError("no_meter!", "no_meter")
    assert found["u3"] == Outcome("u3", Status.CREATED, destination_id="u3", inferred=True)


def test_refusals_without_a_name_are_said_with_every_row_that_they_may_be() -> None:
    reports = [report("mtr_1", "timestamp_in_future", 12, "other")]
    [outcome] = Refusals.of(reports, "mtr_1").outcomes(batch(Operation.INSERT, record("u1")), NOW)
    assert (outcome.status, outcome.inferred) == (Status.CREATED, True)
    assert outcome.error is not None
    assert "refused 11 events" in outcome.error.message
    assert outcome.error.code == "timestamp_in_future"


def test_a_handover_is_known_by_its_time() -> None:
    job = Handover(NOW).job(batch(Operation.INSERT, record("u1")))
    assert Handover.of(job) == Handover(NOW)
    assert Handover.of("750000000000000AAA") is None
    assert Handover(NOW).reports()["created[gte]"] == "2026-11-22T11:59:50.000Z"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (404, {"type": "invalid_request_error", "message": "No such customer: 'cus_1'"}, "resource_missing"),
        (404, {"type": "invalid_request_error", "message": "Unrecognized request URL"}, "invalid_request_error"),
        (400, {"type": "invalid_request_error", "code": "email_invalid"}, "email_invalid"),
        (402, {"type": "card_error"}, "card_error"),
    ],
)
def test_what_an_error_does_not_have_is_not_missed(status: int, error: dict[str, str], code: str) -> None:
    """All but its type is optional."""
    answer = httpx.Response(status, json={"error": error}, request=httpx.Request("POST", "https://api.example"))
    found = request_error(answer, "test")
    assert isinstance(found, RequestRejected)
    assert found.code == code
    assert str(found)
