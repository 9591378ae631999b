"""What HubSpot's refusals of a whole request mean, and what it says of the account's day.

Error bodies and statuses: "Error handling" of HubSpot's developer documentation (2026).
"""

import re
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from reverse_etl_assets.destinations.base import error_by_status, retry_after, status_words
from reverse_etl_assets.destinations.hubspot.answers import IT_WAS_THERE, NO_PROPERTY, listed, no_property, row_error
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.errors import (
    AuthenticationFailed,
    DestinationError,
    QuotaExhausted,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import Quota

_SCOPES = ("requiredGranularScopes", "requiredScopes", "missingScopes")
_ADD_SCOPES = "A service key gets scopes in HubSpot (Development, Keys, Service keys)."
NEVER_ARRIVED = frozenset({521, 522, 523, 525})
"""Cloudflare, which stands before HubSpot, did not reach it ("Cloudflare 5xx errors", its documentation, 2026)."""
WAIT_BY_POLICY = {"TEN_SECONDLY_ROLLING": 10.0, "SECONDLY": 1.0}
"""Seconds, for a 429 without Retry-After: limits are per 10 seconds, those of search per second ("API usage guidelines
and limits", 2026)."""

_COUNT = re.compile(r"\d{1,18}", re.ASCII)


def quota(response: httpx.Response) -> Quota | None:
    """The calls of the account's day ("API usage guidelines and limits", 2026); search and OAuth apps are not told."""
    limit = response.headers.get("X-HubSpot-RateLimit-Daily", "")
    remaining = response.headers.get("X-HubSpot-RateLimit-Daily-Remaining", "")
    if not (_COUNT.fullmatch(limit) and _COUNT.fullmatch(remaining)) or not int(remaining) <= int(limit) > 0:
        return None
    return Quota(int(limit) - int(remaining), int(limit))


def category(response: httpx.Response) -> str | None:
    """HubSpot's word for what kind of error an answer is."""
    return _body(response).get("category")


def request_error(response: httpx.Response, *, writes: bool = False) -> DestinationError:
    """The error for an answer that is not 2xx; `writes` says that it is to a batch of rows."""
    body = _body(response)
    problem = row_error(body)
    message = problem.message or status_words(response)
    message = f"{problem.code}: {message}" if problem.code else message
    status = response.status_code
    if status in (404, 410) and writes:  # rows that are not there are named in a 207
        return TargetChanged(f"{bare(message)}: {IT_WAS_THERE}")
    if problem.code == NO_PROPERTY:
        return no_property(problem)
    if status == 429:
        return _rate_limit(response, body, message)
    if status == 423:  # locks last for 2 seconds
        return RetryLater(message, max(2.0, retry_after(response) or 0.0), hold=True)
    if status == 477:  # the account is moved to another data centre, for up to 24 hours
        return RetryLater(message, retry_after(response) or 60.0, hold=True)
    if status in NEVER_ARRIVED:
        return RetryLater(message, retry_after(response))
    if status == 403:
        return AuthenticationFailed(f"{bare(message)}.{_missing_scopes(body)}")
    error = error_by_status(response, message, problem.code)
    if isinstance(error, RequestRejected):
        error.field = problem.field
    return error


def _rate_limit(response: httpx.Response, body: Mapping[str, Any], message: str) -> DestinationError:
    policy = body.get("policyName")
    if policy == "DAILY":
        return QuotaExhausted(f"{message} It starts anew at midnight in the account's time zone.")
    after = retry_after(response)
    return RetryLater(message, WAIT_BY_POLICY.get(str(policy)) if after is None else after, hold=True)


def _missing_scopes(body: Mapping[str, Any]) -> str:
    contexts = [body, body.get("context"), *(error.get("context") for error in listed(body, "errors"))]
    named = [scope for each in contexts if isinstance(each, dict) for name in _SCOPES for scope in listed(each, name)]
    scopes = ", ".join(dict.fromkeys(str(scope) for scope in named))
    return f" Scopes that are needed: {scopes}. {_ADD_SCOPES}" if scopes else f" {_ADD_SCOPES}"


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
