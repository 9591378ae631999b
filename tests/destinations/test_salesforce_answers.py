"""Recorded answers of Salesforce, one for each kind of outcome."""

from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.destinations.salesforce.answers import of_the_target, request_error
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, RowError, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

TARGET = target("Contact", "External_Id__c", *Operation, LastName=FieldType.TEXT)
ID = "0035g00000ABCdeAAH"


def read(operation: Operation, *results: Any) -> list[Outcome]:
    rows = [
        record(f"k{n}", destination_id=ID if operation in ("update", "delete") else None) for n, _ in enumerate(results)
    ]
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    return list(destination.read_response(batch(operation, *rows), httpx.Response(200, json=list(results))))


def failure(code: str, message: str, *fields: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def test_mixed_answer_of_an_upsert() -> None:
    assert read(
        Operation.UPSERT,
        {"id": ID, "success": True, "errors": [], "created": True},
        failure("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "LastName"),
        {"id": ID, "success": True, "errors": [], "created": False},
        failure("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"),
    ) == [
        Outcome("k0", Status.CREATED, destination_id=ID),
        Outcome.rejected(
            "k1", RowError("Required fields are missing: [LastName]", "REQUIRED_FIELD_MISSING", "LastName")
        ),
        Outcome("k2", Status.UPDATED, destination_id=ID),
        Outcome(
            "k3",
            Status.FAILED,
            Reason.UNAVAILABLE,
            RowError("unable to obtain exclusive access to this record", "UNABLE_TO_LOCK_ROW"),
            retry=True,
        ),
    ]


def test_a_failure_counts_even_if_it_says_created_false() -> None:
    [outcome] = read(Operation.UPSERT, failure("STRING_TOO_LONG", "too long", "LastName") | {"created": False})
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.REJECTED)


@pytest.mark.parametrize(
    "code",
    [
        "UNABLE_TO_LOCK_ROW",
        "SERVER_UNAVAILABLE",
        "UNKNOWN_EXCEPTION",
        "QUERY_TIMEOUT",
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    ],
)
def test_rows_that_may_be_sent_again(code: str) -> None:
    assert [outcome.retry for outcome in read(Operation.UPSERT, failure(code, "-"))] == [True]


@pytest.mark.parametrize("code", ["FIELD_CUSTOM_VALIDATION_EXCEPTION", "DUPLICATES_DETECTED", "SOMETHING_NEW"])
def test_rows_that_are_refused_for_good(code: str) -> None:
    assert [outcome.reason for outcome in read(Operation.UPSERT, failure(code, "-"))] == [Reason.REJECTED]


def test_of_several_errors_the_one_that_lasts_decides() -> None:
    result = {
        "success": False,
        "errors": [
            {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked"},
            {"statusCode": "INVALID_EMAIL_ADDRESS", "message": "no address", "fields": ["Email"]},
        ],
    }
    [outcome] = read(Operation.UPSERT, result)
    assert outcome == Outcome.rejected("k0", RowError("no address", "INVALID_EMAIL_ADDRESS", "Email"))


DUPLICATE = "duplicate value found: External_Id__c duplicates value on record with id: 0035g00000ABCde"


def test_an_insert_of_what_is_there_is_skipped_with_the_record_it_met() -> None:
    [outcome] = read(Operation.INSERT, failure("DUPLICATE_VALUE", DUPLICATE))
    assert outcome == Outcome.skipped("k0", Reason.ALREADY_EXISTS, DUPLICATE, "0035g00000ABCde")


def test_a_duplicate_in_another_field_is_an_error() -> None:
    other = DUPLICATE.replace("External_Id__c", "Email__c")
    assert [each.reason for each in read(Operation.INSERT, failure("DUPLICATE_VALUE", other))] == [Reason.REJECTED]
    assert [each.reason for each in read(Operation.UPSERT, failure("DUPLICATE_VALUE", DUPLICATE))] == [Reason.REJECTED]


def test_insert_update_delete_answers_do_not_say_created() -> None:
    done = {"id": ID, "success": True, "errors": []}
    assert [each.status for each in read(Operation.INSERT, done)] == [Status.CREATED]
    assert [each.status for each in read(Operation.UPDATE, done)] == [Status.UPDATED]
    assert read(Operation.DELETE, done) == [Outcome("k0", Status.DELETED, destination_id=ID)]


def test_a_record_in_the_recycle_bin() -> None:
    gone = failure("ENTITY_IS_DELETED", "entity is deleted")
    assert [each.reason for each in read(Operation.DELETE, gone)] == [Reason.ALREADY_GONE]
    assert [each.reason for each in read(Operation.UPDATE, gone)] == [Reason.NOT_FOUND]
    assert [each.reason for each in read(Operation.UPSERT, gone)] == [Reason.REJECTED]


@pytest.mark.parametrize("result", [{}, None, {"success": None}, {"success": "true"}, {"success": False}])
def test_a_result_that_settles_nothing_leaves_its_row_out(result: Any) -> None:
    assert read(Operation.UPSERT, result) == []


def test_an_answer_of_another_length_settles_nothing() -> None:
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    answer = httpx.Response(200, json=[{"id": ID, "success": True, "created": True}])
    with pytest.raises(Ambiguous):
        list(destination.read_response(batch(Operation.UPSERT, record("k0"), record("k1")), answer))


def test_a_column_that_every_row_is_refused_for_is_not_about_rows() -> None:
    lost = failure("INVALID_FIELD", "No such column 'Title' on sobject of type Contact")
    parent = failure("INVALID_FIELD", "Foreign key external ID: a not found for field Key__c in entity Account")
    with pytest.raises(TargetChanged, match="No such column 'Title'"):
        read(Operation.UPSERT, lost, lost)
    for other in (parent, {"id": ID, "success": True}):
        first, _ = read(Operation.UPSERT, lost, other)
        assert first.reason is Reason.REJECTED


def test_a_page_in_place_of_an_answer_is_not_about_rows() -> None:
    """As an instance sends that an org has left, or an address that is none of the API."""
    refused = request_error(httpx.Response(404, text="<html>URL No Longer Exists</html>"))
    assert isinstance(refused, RequestRejected)
    changed = of_the_target(refused)
    assert isinstance(changed, TargetChanged)
    assert "URL No Longer Exists" in str(changed)


@pytest.mark.parametrize(
    ("status", "code", "message", "error"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", QuotaExhausted),
        (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", RetryLater),
        (401, "INVALID_SESSION_ID", "Session expired or invalid", AuthenticationFailed),
        (403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization", AuthenticationFailed),
        (400, "JSON_PARSER_ERROR", "Unexpected character", RequestRejected),
        (404, "NOT_FOUND", "The requested resource does not exist", RequestRejected),
        (500, "UNKNOWN_EXCEPTION", "An unexpected error occurred", Ambiguous),
        (503, "SERVER_UNAVAILABLE", "The server is busy", RetryLater),
        (400, "QUERY_TIMEOUT", "Your query request was running for too long", RetryLater),
    ],
)
def test_errors_of_the_whole_request(status: int, code: str, message: str, error: type[DestinationError]) -> None:
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    found = destination.error_for(httpx.Response(status, json=[{"message": message, "errorCode": code}]))
    assert type(found) is error
    assert str(found).startswith(f"{code}: {message}")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("INVALID_SESSION_ID", AuthenticationFailed),
        ("API_DISABLED_FOR_ORG", AuthenticationFailed),
        ("ENTITY_IS_DELETED", RequestRejected),
        ("UNKNOWN_EXCEPTION", Ambiguous),
        ("REQUEST_LIMIT_EXCEEDED", QuotaExhausted),
    ],
)
def test_faults_of_soap(code: str, error: type[DestinationError]) -> None:
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    told = f"<faultcode>sf:{code}</faultcode><faultstring>{code}: in words</faultstring>"
    found = destination.error_for(httpx.Response(500, text=f"<Envelope><Body><Fault>{told}</Fault></Body></Envelope>"))
    assert type(found) is error
    assert str(found).startswith(f"{code}: in words")


def test_too_many_requests_at_once_hold_the_account() -> None:
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    body = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}]
    found = destination.error_for(httpx.Response(403, json=body))
    assert isinstance(found, RetryLater)
    assert found.hold


def test_a_refused_request_keeps_code_and_field() -> None:
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    body = [{"message": "bad", "errorCode": "INVALID_FIELD", "fields": ["Email"]}]
    found = destination.error_for(httpx.Response(400, json=body))
    assert isinstance(found, RequestRejected)
    assert (found.code, found.field) == ("INVALID_FIELD", "Email")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"text"', b"[1]"])
def test_errors_without_a_body_go_by_their_status(body: bytes) -> None:
    destination = accounts.offline(Salesforce, accounts.salesforce("https://acme.example"), TARGET)
    assert type(destination.error_for(httpx.Response(400, content=body))) is RequestRejected
    assert type(destination.error_for(httpx.Response(502, content=body))) is Ambiguous
