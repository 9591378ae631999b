"""Recorded answers of Zendesk, one for each kind of outcome and error."""

from typing import Any

import httpx
import pytest

from reverse_etl_assets.destinations.zendesk import Zendesk
from reverse_etl_assets.destinations.zendesk.answers import job_outcomes, request_error
from reverse_etl_assets.errors import Ambiguous, AuthenticationFailed, RequestRejected, RetryLater, TargetChanged
from reverse_etl_assets.records import FieldType, Operation, Outcome, Reason, Status
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

USERS = target("users", "external_id", *Operation, name=FieldType.TEXT)
ANN = {"id": 35436, "external_id": "cust-1", "name": "Ann"}


def read(operation: Operation, status: int, body: Any, destination_id: str | None = "35436") -> list[Outcome]:
    zendesk = accounts.offline(Zendesk, accounts.zendesk("https://shop.example"), USERS)
    row = record("k", external_id="CUST-1", destination_id=destination_id)
    response = httpx.Response(status, json=body) if body is not None else httpx.Response(status)
    return list(zendesk.read_response(batch(operation, row), response))


@pytest.mark.parametrize(
    ("operation", "http", "body", "status"),
    [
        (Operation.UPSERT, 201, {"user": ANN}, Status.CREATED),
        (Operation.UPSERT, 200, {"user": ANN}, Status.UPDATED),
        (Operation.UPDATE, 200, {"user": ANN}, Status.UPDATED),
        (Operation.DELETE, 200, {"user": {**ANN, "active": False}}, Status.DELETED),
        (Operation.DELETE, 204, None, Status.DELETED),
    ],
)
def test_one_record(operation: Operation, http: int, body: Any, status: Status) -> None:
    assert read(operation, http, body) == [Outcome("k", status, destination_id="35436")]


@pytest.mark.parametrize("status", [200, 202])
def test_a_delete_that_is_answered_without_a_body_is_inferred(status: int) -> None:
    """Documented is 204, for organizations."""
    assert read(Operation.DELETE, status, None) == [Outcome("k", Status.DELETED, destination_id="35436", inferred=True)]


@pytest.mark.parametrize("operation", [Operation.UPSERT, Operation.UPDATE])
def test_an_answer_about_another_record_settles_nothing(operation: Operation) -> None:
    assert read(operation, 200, {"user": {"id": 1, "external_id": "cust-2"}}) == []


JOB = {
    "id": "82de0b",
    "job_type": "Bulk Create User",
    "total": 3,
    "progress": 3,
    "status": "completed",
    "message": None,
}
ROWS = [record(f"k{at}", destination_id=str(at), name="-") for at in range(3)]


def test_results_of_an_upsert_stand_in_the_order_of_the_request() -> None:
    """As in "Create or Update Many Users response specifications"; `id` of a failed row is no record's id."""
    results = [
        {"id": 1900233268488, "status": "Created", "email": "success_created@example.com"},
        {"id": 902860577023, "status": "Updated", "email": "success_modified@example.com"},
        {
            "id": 2,
            "error": "UserUpdateError",
            "details": "Name: Email: e@ is not properly formatted",
            "status": "Failed",
        },
    ]
    created, updated, failed = job_outcomes(Operation.UPSERT, ROWS, {**JOB, "results": results})
    assert (created.key, created.status, created.destination_id) == ("k0", Status.CREATED, "1900233268488")
    assert (updated.key, updated.status, updated.destination_id) == ("k1", Status.UPDATED, "902860577023")
    assert (failed.key, failed.reason, failed.destination_id) == ("k2", Reason.REJECTED, None)
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("UserUpdateError", results[2]["details"])


def test_results_with_an_index_are_matched_by_it() -> None:
    results = [{"index": 2, "id": 12, "status": "Created"}, {"index": 0, "id": 10, "status": "Updated"}]
    found = list(job_outcomes(Operation.UPSERT, ROWS, {**JOB, "results": results}))
    assert {outcome.key: outcome.status for outcome in found} == {"k2": Status.CREATED, "k0": Status.UPDATED}


def test_results_of_an_update_are_matched_by_the_id() -> None:
    results = [
        {"id": 2, "action": "update", "status": "Updated", "success": True},
        {
            "id": 0,
            "action": "update",
            "error": "RecordNotFound",
            "details": "Gone",
            "success": False,
            "status": "Failed",
        },
        {"id": 1, "action": "update", "success": True},
    ]
    found = {each.key: each for each in job_outcomes(Operation.UPDATE, ROWS, {**JOB, "results": results})}
    assert found["k2"].status is found["k1"].status is Status.UPDATED
    assert (found["k0"].status, found["k0"].reason) == (Status.SKIPPED, Reason.NOT_FOUND)


def test_results_of_a_delete() -> None:
    results = [
        {"index": 0, "id": 0, "action": "destroy", "status": "Deleted", "success": True},
        {"index": 1, "id": 1, "error": "RecordNotFound", "details": "Not found", "success": False, "status": "Failed"},
        {"index": 2, "id": 2, "error": "UserDeleteError", "details": "has open tickets", "status": "Failed"},
    ]
    gone, was, kept = job_outcomes(Operation.DELETE, ROWS, {**JOB, "results": results})
    assert (gone.status, was.reason, kept.reason) == (Status.DELETED, Reason.ALREADY_GONE, Reason.REJECTED)


@pytest.mark.parametrize("results", [None, [], {"success": True}, [{"id": 1, "status": "Created"}]])
def test_a_completed_job_that_does_not_name_each_row_settles_nothing(results: Any) -> None:
    with pytest.raises(Ambiguous):
        list(job_outcomes(Operation.UPSERT, ROWS, {**JOB, "results": results}))


@pytest.mark.parametrize(("state", "results"), [("failed", None), ("killed", [{"id": 9, "status": "Created"}])])
def test_rows_of_a_job_that_broke_off_are_sent_again(state: str, results: Any) -> None:
    job = {**JOB, "status": state, "message": "the worker was restarted", "results": results}
    outcomes = {each.key: each for each in job_outcomes(Operation.UPSERT, ROWS, job)}
    assert len(outcomes) == 3
    assert [each.retry for each in outcomes.values()].count(False) == len(results or ())
    assert outcomes["k2"].error is not None
    assert outcomes["k2"].error.message == "the worker was restarted"


def test_a_result_of_an_unknown_word_or_another_key_is_no_success() -> None:
    results = [{"id": 1, "status": "Pondered"}, {"id": 2, "status": "Updated", "external_id": "other"}, {"id": 3}]
    assert list(job_outcomes(Operation.UPSERT, ROWS, {**JOB, "results": results})) == []


DUPLICATE = {
    "error": "RecordInvalid",
    "description": "Record validation errors",
    "details": {
        "email": [{"description": "Email: e is already being used by another user", "error": "DuplicateValue"}]
    },
}
FORBIDDEN = {"error": {"title": "Forbidden", "message": "You do not have access to this page."}}
IMPORTS = {"error": "Forbidden", "message": "Data imports are not enabled"}
TAGS = {"error": {"title": "Invalid attribute", "message": "You passed an invalid value for the user.tags attribute."}}


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, {"error": "Couldn't authenticate you"}, AuthenticationFailed, "Couldn't authenticate you"),
        (403, FORBIDDEN, AuthenticationFailed, "scopes `read` and `write`"),
        (403, IMPORTS, AuthenticationFailed, "Data imports are not enabled"),
        (404, {"error": "RecordNotFound", "description": "Not found"}, RequestRejected, "Not found"),
        (404, {"error": "InvalidEndpoint", "description": "Not found"}, TargetChanged, "does not have this part"),
        (422, DUPLICATE, RequestRejected, "already being used"),
        (400, TAGS, RequestRejected, "user.tags"),
        (409, {"error": "DatabaseConflict", "description": "Try again"}, RetryLater, "Try again"),
        (500, {"status": 500, "error": "Internal Server Error"}, Ambiguous, "Internal Server Error"),
        (422, {"error": "Invalid", "details": "the name is taken"}, RequestRejected, "the name is taken"),
        (422, {"error": "Invalid", "details": {"name": ["is taken"]}}, RequestRejected, "is taken"),
        (400, {"error": "Invalid", "errors": [{"code": 7, "detail": "no such tag"}]}, RequestRejected, "no such tag"),
        (
            403,
            {"error": "Forbidden", "info": {"message": "seats are used up"}},
            AuthenticationFailed,
            "seats are used up",
        ),
        (403, {"error": "Forbidden", "info": {"message": "seats"}}, AuthenticationFailed, "Forbidden: seats"),
        (500, {"error": "Boom", "reason": "a disk is full"}, Ambiguous, "Boom: a disk is full"),
        (503, b"<html>", RetryLater, "503"),
        (404, b"No help desk at shop.zendesk.com", RequestRejected, "404"),
    ],
)
def test_errors(status: int, body: Any, error: type[Exception], said: str) -> None:
    content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    found = request_error(httpx.Response(status, **content))
    assert isinstance(found, error)
    assert said in str(found)


def test_the_field_of_a_refused_row_is_told() -> None:
    found = request_error(httpx.Response(422, json=DUPLICATE))
    assert isinstance(found, RequestRejected)
    assert (found.code, found.field) == ("DuplicateValue", "email")


def test_a_rate_limit_holds_the_account_and_a_full_list_of_jobs_does_not() -> None:
    limited = {"error": "APIRateLimitExceeded", "description": "Number of allowed API requests per minute exceeded"}
    found = request_error(httpx.Response(429, json=limited, headers={"Retry-After": "93"}))
    assert isinstance(found, RetryLater)
    assert (found.after, found.hold) == (93.0, True)
    full = request_error(httpx.Response(429, json={"error": "TooManyJobs", "description": "Too many jobs"}))
    assert isinstance(full, RetryLater)
    assert (full.after, full.hold) == (15.0, False)
