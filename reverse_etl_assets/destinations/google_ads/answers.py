"""What the Data Manager API says of a request: at once, and later of what became of it. All pure.

Sources: "Understand API errors", "Send audience members" and "Diagnostics" (Data Manager API guides, 2026-02-17),
`ErrorReason`, `ProcessingErrorReason` and `RequestStatusPerDestination` (API reference v1).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx

from reverse_etl_assets.destinations.base import JobState, decode_json, error_by_status, retry_after, status_words
from reverse_etl_assets.destinations.google_ads.people import Member, packed
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import Operation, Outcome, Reason, Record, RowError, Status

SCOPE = "https://www.googleapis.com/auth/datamanager"

_ROW = re.compile(r"audience_?members\[(\d+)\]", re.IGNORECASE)
"""In the path of a field; the guide shows `audience_members.audience_members[0]`, the API also says
`audience_members[0]`."""

_UNUSABLE = {
    "INVALID_USER_LIST_ID": "there is no such audience in this account, or it was deleted",
    "INVALID_USER_LIST_TYPE": "it is no Customer Match audience of contact information",
    "INVALID_DESTINATION": "the account does not have it",
    "NOT_FOUND": "there is no such audience in this account, or it was deleted",
    "TERMS_AND_CONDITIONS_NOT_SIGNED": "the account has not accepted the Customer Match terms in Google Ads",
    "DESTINATION_ACCOUNT_TYPE_MISMATCH": "`customer_id` is no Google Ads account",
    "NOT_ALLOWLISTED": "the account may not use Customer Match; see its policy status in Google Ads",
    "SENSITIVE_USER_LIST_IMMUTABLE": "Google has closed it",
    "USER_LIST_MUTATION_NOT_SUPPORTED": "nobody can change its members",
    "OWNERSHIP_REQUIRED_FOR_UPDATE": "another account owns it",
    "ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA": "the account may not use lists of uploaded data; see its policy"
    " status in Google Ads",
    "ADVERTISER_TOS_NOT_ACCEPTED": "the account has not accepted the terms in Google Ads",
    "USER_LIST_TYPE_NOT_SUPPORTED_FOR_ACCOUNT": "the account cannot have audiences of this type",
    "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES": "it was made for other keys, such as mobile ids: make one of contact"
    " information",
    "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH": "`login_customer_id` has to be left out, or be the account itself",
    "REQUIRED_PREREQUISITE_LINK_MISSING": "accounts have to be linked in Google Ads first",
    "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED": "the account has to declare whether it advertises for politics",
}
"""Reasons that are about the audience or the account, even where Google names a member (`audience_members[0]`)."""
_OF_THE_ACCOUNT = re.compile("ALLOWLISTED|_TOS_|TERMS|ACCOUNT|PARTNER|LICENSE|USER_LIST|LINK_MISSING|NOT_ENABLED")
"""In reasons that the list above does not have: the enum has more, and is not frozen ("ErrorReason", API reference v1,
read 2026-11-30). None that is about a member's own values has one of these words."""

_STATES = {"PROCESSING": JobState.RUNNING, "REQUEST_STATUS_UNKNOWN": JobState.RUNNING}
NO_WARNINGS: Mapping[str, RowError] = {}
_PASSING = "PROCESSING_ERROR_REASON_INTERNAL_ERROR"


class AudienceUnusable(AuthenticationFailed):
    """The audience is not there, or may not be written to: no later batch would fare better."""


class RowsRefused(RequestRejected):
    """Nothing of the request was taken, because of these rows of it, by their place in it."""

    def __init__(self, message: str, code: str | None, rows: Mapping[int, RowError]) -> None:
        super().__init__(message, code)
        self.rows = rows


def request_error(response: httpx.Response, audience: str) -> DestinationError:
    """The error for an answer that is not 2xx. `audience` names audience and account for people."""
    error = _error(response)
    info = _detail(error, "ErrorInfo")
    violations = [each for each in _detail(error, "BadRequest").get("fieldViolations", ()) if isinstance(each, dict)]
    reasons = [str(each["reason"]) for each in violations if each.get("reason")]
    code = next(iter(reasons), None) or info.get("reason") or error.get("status")
    message = _message(response, error, violations)
    match response.status_code:
        case 400 | 404 | 409 | 412 if unusable := _unusable([*reasons, str(code)]):
            return AudienceUnusable(f"{audience} cannot be used: {unusable} ({message}).")
        case 400 if rows := _rows(violations):
            return RowsRefused(message, code, rows)
        case 403 if known := next((_UNUSABLE[each] for each in (*reasons, str(code)) if each in _UNUSABLE), None):
            return AudienceUnusable(f"{audience} cannot be used: {known} ({message}).")
        case 403:
            return AuthenticationFailed(_not_permitted(info, audience, message))
        case 409:  # ABORTED: another request changes the same audience ("Understand API errors")
            return RetryLater(message)
        case 429 if "day" in str(_metadata(info).get("quota_limit", "")).lower():
            return QuotaExhausted(f"the Google Cloud project's requests of the day are used up: {message}")
        case 429:
            return RetryLater(message, retry_after(response), hold=True)
    return error_by_status(response, message, code)


def _unusable(reasons: list[str]) -> str | None:
    """Why no request to the audience would fare better, if one of the reasons says so."""
    for each in reasons:
        if each in _UNUSABLE:
            return _UNUSABLE[each]
        if _OF_THE_ACCOUNT.search(each):
            return f"Google says {each}, which is about the account or the audience, not about its members"
    return None


def request_id(response: httpx.Response) -> str:
    """The id of a request that was taken. Raises Ambiguous for an answer without one."""
    answer = decode_json(response)
    found = answer.get("requestId") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not found:
        raise Ambiguous("the answer has no requestId")
    return found


def warnings(response: httpx.Response) -> dict[int, RowError]:
    """What a request that was taken says of fields that were left out, by the place of the member.

    A member is processed without such a field; the path is that of a violation ("FieldWarning", API reference v1.8 of
    2026-07-30, read 2026-11-30).
    """
    answer = decode_json(response)
    listed = answer.get("fieldWarnings") if isinstance(answer, dict) else None
    rows = _rows([each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else [])
    return {
        at: replace(row, message=f"Google took the row and ignored a field: {row.message}") for at, row in rows.items()
    }


def request_status(answer: Any) -> dict[str, Any]:
    """What became of a request at its one destination. Raises RetryLater for an answer that does not say."""
    statuses = answer.get("requestStatusPerDestination") if isinstance(answer, dict) else None
    if not isinstance(statuses, list) or not statuses or not isinstance(statuses[0], dict):
        raise RetryLater("the answer has no requestStatusPerDestination")
    status: dict[str, Any] = statuses[0]
    return status


def job_state(status: Mapping[str, Any]) -> JobState:
    return _STATES.get(str(status.get("requestStatus", "REQUEST_STATUS_UNKNOWN")), JobState.DONE)


def is_failed(status: Mapping[str, Any]) -> bool:
    """None of the members was taken."""
    return status.get("requestStatus") == "FAILED"


def outcomes(
    operation: Operation,
    members: list[tuple[Record, Member]],
    status: Mapping[str, Any] | None,
    warned: Mapping[str, RowError] = NO_WARNINGS,
) -> Iterator[Outcome]:
    """An outcome for each member of a request that has been processed; without `status`, that was taken.

    `warned` is what was said of members when the request was taken, by key.

    Google tells counts, never members: every success is inferred from the request's.
    """
    errors = _error_counts(status or {})
    reasons = ", ".join(f"{reason}: {count}" for reason, count in errors.items())
    if status and is_failed(status):
        message = f"Google took none of the {len(members)} members of this request ({reasons or 'it gives no reason'})"
        error = RowError(message, next(iter(errors), None))
        yield from (Outcome.rejected(each.key, error, retry=set(errors) == {_PASSING}) for each, _ in members)
        return
    error_or_none = None
    if status and status.get("requestStatus") == "PARTIAL_SUCCESS":
        refused = sum(errors.values())
        message = f"Google refused {refused} of {len(members)} members of this request without saying which ({reasons})"
        error_or_none = RowError(message, next(iter(errors), None))
    for record, member in members:
        remark = error_or_none or warned.get(record.key)
        done = Outcome(record.key, _status(operation, record), error=remark, inferred=True)
        yield done if operation is Operation.DELETE else _with_id(done, packed(record, member))


def unfit(record: Record, message: str, field: str | None) -> Outcome:
    return Outcome(record.key, Status.FAILED, Reason.INVALID, RowError(message, field=field))


def _with_id(outcome: Outcome, destination_id: str) -> Outcome:
    return Outcome(outcome.key, outcome.status, error=outcome.error, destination_id=destination_id, inferred=True)


def _status(operation: Operation, record: Record) -> Status:
    if operation is Operation.DELETE:
        return Status.DELETED
    return Status.UPDATED if record.destination_id else Status.CREATED


def _error_counts(status: Mapping[str, Any]) -> dict[str, int]:
    """Members by the reason for which they were refused. Counts are 64 bit, and so texts in JSON."""
    counts = (status.get("errorInfo") or {}).get("errorCounts") or []
    return {str(each.get("reason", "no reason")): int(each.get("recordCount", 0)) for each in counts}


def _error(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _detail(error: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The standard payload of a kind (google.rpc.ErrorInfo, google.rpc.BadRequest); empty if there is none."""
    details = error.get("details") or []
    found = [each for each in details if isinstance(each, dict) and str(each.get("@type", "")).endswith(f".{kind}")]
    return found[0] if found else {}


def _metadata(info: Mapping[str, Any]) -> Mapping[str, Any]:
    found = info.get("metadata")
    return found if isinstance(found, dict) else {}


def _rows(violations: list[dict[str, Any]]) -> dict[int, RowError]:
    rows = {}
    for each in violations:
        path, reason = str(each.get("field", "")), str(each.get("reason") or "refused")
        if match := _ROW.search(path):
            field = re.sub(r"\[\d+\]", "", path[match.end() :].rpartition(".")[2])
            rows[int(match[1])] = RowError(str(each.get("description") or reason), reason, field or None)
    return rows


def _message(response: httpx.Response, error: Mapping[str, Any], violations: list[dict[str, Any]]) -> str:
    message = str(error.get("message") or status_words(response))
    more = [f"{each.get('field')}: {each.get('description') or each.get('reason')}" for each in violations[:3]]
    return " ".join([message, *more])


def _not_permitted(info: Mapping[str, Any], audience: str, message: str) -> str:
    match info.get("reason"):
        case "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
            return f"the sign-in lacks the scope {SCOPE}: consent to it anew, or add it ({message})."
        case "SERVICE_DISABLED":
            where = _metadata(info).get("activationUrl") or "the Google Cloud console"
            return f"the Data Manager API is not enabled in the Google Cloud project: enable it at {where} ({message})."
    return (
        f"{audience} is not there for this sign-in: give it access to the account in Google Ads, with"
        f" `login_customer_id` if that is through a manager account, or mend the audience's id ({message})."
    )
