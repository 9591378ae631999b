"""What Salesforce's answers mean, row by row and for a whole request.

Codes: "Status Codes and Error Responses" of the REST API Developer Guide, "Core Data Types Used in API Calls:
StatusCode" of the SOAP API Developer Guide.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import msgspec

from reverse_etl_assets.destinations.base import error_by_status, status_words
from reverse_etl_assets.destinations.salesforce import recycle_bin
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.errors import (
    AuthenticationFailed,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import Operation, Outcome, Quota, Reason, Record, RowError, Status, Target

RETRY_ROW = frozenset(
    {
        "UNABLE_TO_LOCK_ROW",
        "SERVER_UNAVAILABLE",
        "UNKNOWN_EXCEPTION",
        "QUERY_TIMEOUT",
        "REQUEST_RUNNING_TOO_LONG",
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "REQUEST_LIMIT_EXCEEDED",
    }
)
RETRY_REQUEST = frozenset({"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT"})
_NOT_A_CHOICE = frozenset({"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "INVALID_CROSS_REFERENCE_KEY"})
_SHOWN = 20  # values of a picklist in a message
_NO_API = frozenset(
    {
        "API_CURRENTLY_DISABLED",
        "API_DISABLED_FOR_ORG",
        "CLIENT_NOT_ACCESSIBLE_FOR_USER",
        "CLIENT_REQUIRE_UPDATE_FOR_USER",
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        "ORG_LOCKED",
        "PASSWORD_LOCKOUT",
        "TRIAL_EXPIRED",
    }
)
"""Of the org or the user, whatever the status says (ExceptionCode of the Partner WSDL; `API_DISABLED_FOR_ORG` as others
have met it: restforce, issue 219; read 2026-11-30)."""
_NO_BULK = frozenset({"FUNCTIONALITY_NOT_ENABLED", "FEATURENOTENABLED"})
_OF_THE_TARGET = frozenset({"404", "NOT_FOUND", "INVALID_TYPE", "INVALIDENTITY"})
"""A 404 without a code is a page, such as "URL No Longer Exists"."""
_NO_FIELD = ("No such column", "Didn't understand relationship")
_USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d{1,18})/(\d{1,18})(?!\d)", re.ASCII)
_DUPLICATE = re.compile(r"duplicate value found: (?P<field>\w+) duplicates value on record with id: (?P<id>\w+)")


Choices = Mapping[str, Sequence[str]]
"""The values that a field takes, where it takes no others."""
NO_CHOICES: Choices = {}


def collection_outcome(
    target: Target, operation: Operation, record: Record, result: Any, choices: Choices = NO_CHOICES
) -> Outcome | None:
    """The outcome of one row of an sObject Collections answer; None if the answer does not settle it."""
    if not isinstance(result, dict):
        return None
    if result.get("success") is True:
        return succeeded(operation, record, result.get("id"), result.get("created"))
    errors = result.get("errors")
    if result.get("success") is not False or not errors:
        return None
    return refused(target, operation, record, row_error(errors), choices)


def succeeded(operation: Operation, record: Record, destination_id: str | None, created: bool | None) -> Outcome:
    """Only an upsert says whether it created; the other operations cannot have done anything else."""
    destination_id = destination_id or record.destination_id
    match operation:
        case Operation.UPSERT:
            status = Status.CREATED if created else Status.UPDATED
            return Outcome(record.key, status, destination_id=destination_id, inferred=created is None)
        case Operation.INSERT:
            return Outcome(record.key, Status.CREATED, destination_id=destination_id)
        case Operation.UPDATE:
            return Outcome(record.key, Status.UPDATED, destination_id=destination_id)
    return Outcome(record.key, Status.DELETED, destination_id=destination_id)


def refused(
    target: Target, operation: Operation, record: Record, error: RowError, choices: Choices = NO_CHOICES
) -> Outcome:
    """The outcome of a row that Salesforce refused."""
    if error.code in _NOT_A_CHOICE and (known := choices.get(error.field or "")):
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        error = replace(error, message=f"{error.message} ({error.field} takes {shown})")
    if error.code == "ENTITY_IS_DELETED" and error.field in (None, "Id"):  # not a record that it looks up
        if operation is Operation.DELETE:
            return Outcome.skipped(record.key, Reason.ALREADY_GONE, error.message, record.destination_id)
        if operation is Operation.UPDATE:
            return Outcome.skipped(record.key, Reason.NOT_FOUND, error.message, record.destination_id)
    if error.code == "DUPLICATE_VALUE" and operation is Operation.INSERT:
        held = _DUPLICATE.match(error.message)
        if held and held["field"].lower() == target.external_id.lower():
            return Outcome.skipped(record.key, Reason.ALREADY_EXISTS, error.message, held["id"])
    return Outcome.rejected(record.key, error, retry=error.code in RETRY_ROW)


def row_error(errors: Iterable[Mapping[str, Any]]) -> RowError:
    """One of a row's errors: one that sending again does not mend comes before one that it may."""
    error = min(errors, key=lambda one: one.get("statusCode") in RETRY_ROW)
    fields = error.get("fields") or ()
    return RowError(str(error.get("message", "")), error.get("statusCode"), fields[0] if fields else None)


def quota(response: httpx.Response) -> Quota | None:
    """The calls of a rolling 24 hours, from `Sforce-Limit-Info` ("API Usage Headers", REST API Developer Guide)."""
    found = _USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
    return Quota(int(found[1]), int(found[2])) if found and int(found[2]) else None


def request_error(response: httpx.Response) -> DestinationError:
    """The error for an answer that refuses the whole request (`errorCode`, not `statusCode`)."""
    code, message, field = _request_code(response)
    message = message or status_words(response)
    text = f"{code}: {message}" if code else None
    if code == "REQUEST_LIMIT_EXCEEDED":
        # One code, two limits: requests that run at the same time, and requests in 24 hours.
        if "concurrent" in message.lower():
            return RetryLater(f"{code}: {message}", hold=True)
        return QuotaExhausted(f"{code}: {message}")
    if code == "INVALID_SESSION_ID":
        return AuthenticationFailed(f"{code}: {message}")
    if code in _NO_API:
        return AuthenticationFailed(
            f"{bare(text)}: this org or user may not use the API (an edition that has it, the permission `API Enabled`)"
        )
    if code in _NO_BULK:
        return AuthenticationFailed(
            f"{bare(text)}: this org or user has no Bulk API; set `bulk_threshold: null` in options"
        )
    if code == "UNSUPPORTED_API_VERSION" or response.status_code == 410:
        return TargetChanged(f"{bare(text or status_words(response))}: set `api_version` to one that this org has.")
    if code in RETRY_REQUEST:
        return RetryLater(f"{code}: {message}")
    if code and response.status_code == 500 and code not in RETRY_ROW and recycle_bin.fault(response.text):
        return RequestRejected(f"{code}: {message}", code)  # SOAP says so of every refusal
    error = error_by_status(response, text, code)
    if isinstance(error, RequestRejected):
        error.field = field
    return error


def of_the_target(error: RequestRejected) -> DestinationError:
    """The error itself; or TargetChanged for a refusal of a write or a query that has nothing to do with its rows.

    No resource, no object, no external id field, no column ("Status Codes and Error Responses", REST API Developer
    Guide): the same would be said of every batch.
    """
    text = str(error)
    if error.code in _OF_THE_TARGET or (error.code == "INVALID_FIELD" and any(each in text for each in _NO_FIELD)):
        return TargetChanged(
            f"{bare(text)}. Object, field or API version was there at the last check: was it renamed or taken away, or"
            " may the user see it no more? `reverse-etl check` names it."
        )
    return error


def of_the_rows(outcomes: Sequence[Outcome | None]) -> None:
    """Raises TargetChanged if each row was refused for a column that the object does not have."""
    errors = [each.error for each in outcomes if each and each.error and each.error.code == "INVALID_FIELD"]
    if errors and len(errors) == len(outcomes):
        changed = [of_the_target(RequestRejected(f"{each.code}: {each.message}", each.code)) for each in errors]
        if all(isinstance(each, TargetChanged) for each in changed):
            raise changed[0]


def _request_code(response: httpx.Response) -> tuple[str | None, str, str | None]:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return (*(recycle_bin.fault(response.text) or (None, "")), None)
    first = body[0] if isinstance(body, list) and body else body
    if not isinstance(first, dict) or "errorCode" not in first:
        return None, "", None
    fields = first.get("fields") or ()
    return str(first["errorCode"]), str(first.get("message", "")), fields[0] if fields else None
