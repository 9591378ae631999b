"""What Meta's errors ask the caller to do. Pure.

Codes: "Handling Errors" of the Graph API, "Rate Limits", and the tables of "Customer File Custom Audiences" (28 April
2026) and "Custom Audience Users" (8 October 2025).
"""

import re
from typing import Any

import httpx
import msgspec

from reverse_etl_assets.destinations.base import error_by_status, retry_after
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    RequestRejected,
    RetryLater,
    TargetChanged,
)

THROTTLED = frozenset({4, 17, 32, 341, 613, *range(80_000, 80_015)})
"""Of the app, the user, the page, a custom rate, and the business use cases; 80003 is that of custom audiences."""
FINISHED = "2650/1870159"
"""The session has had its last batch before."""

_TRY_AGAIN = frozenset({2, 803})  # the service is busy; an audience just made is not known everywhere
_IN_PROGRESS = frozenset({1870145})
_TOKEN, _EXPIRED = frozenset({102, 190, 2500}), {460: "the password was changed", 463: "it has expired"}
_HASH = re.compile(r"\b[0-9a-fA-F]{64}\b")

_VERSION = frozenset({12, 2635})

# Code, or code and subcode: no later request would fare better, and this is what would mend it.
_STOPS: dict[int | tuple[int, int], str] = {
    (100, 33): "The audience is not there, or the token's user may not see it: check `object`, and that the system user"
    " has the ad account and the audience.",
    (100, 1713228): "Meta has flagged the audience: appeal in Audience Manager, or make a new one.",
    (100, 1713230): "Meta has flagged the audience: appeal in Audience Manager, or make a new one.",
    (100, 1713231): "Meta has flagged the audience: change its name or description in Audience Manager.",
    (200, 1870050): "Link the ad account to the business portfolio.",
    (200, 1870090): "Accept the Custom Audience Terms for the ad account's business, in Ads Manager.",
    (2650, 1870144): "An audience of 100 million people or more cannot be replaced: take `replace` out.",
    (2650, 1870158): "A session of batches ends 90 minutes after its first one. Meta replaces the audience with what"
    " came until then: send fewer rows, or take `replace` out.",
    3: "The app has no access to this part of the Marketing API: ask for it in App Review.",
    12: "This part of the API is gone: set `api_version` to a later one.",
    10: "The app lacks the permission `ads_management`.",
    200: "The token lacks `ads_management`, or its user the right to manage audiences of this ad account.",
    270: "The app has development access only: ask for access to the Marketing API in App Review.",
    294: "The token lacks the permission `ads_management`.",
    368: "Meta has blocked the action for a time, as against its policies: look into Account Quality.",
    2635: "This version of the API is gone: set `api_version` to a later one.",
    2655: "Accept the Custom Audience Terms for the ad account's business, in Ads Manager.",
    1487301: "The audience is not shared with this ad account.",
    1487366: "The audience was deleted: make a new one, and set `object` to its id.",
}


def request_error(response: httpx.Response, token_kind: str = "") -> DestinationError:
    """The error for an answer that is not 2xx. `token_kind` is a sentence on a token that looks like none."""
    error = _error(response)
    if error is None:
        return error_by_status(response)
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    message = _message(error, code, subcode)
    if code in THROTTLED:
        return RetryLater(message, _regained(response), hold=True)
    if code == 2500 and "unknown path" in message.lower():  # its other one is a missing token
        return TargetChanged(f"{message} Is `api_version` one that there is, and `base_url` right?")
    if code in _TOKEN or response.status_code == 401:
        why = f": {_EXPIRED[subcode]}" if subcode in _EXPIRED else ""
        return AuthenticationFailed(
            f"{message} The access token is not valid{why}. {token_kind}Make a new one for the system user."
        )
    if error.get("is_transient") is True or code in _TRY_AGAIN:
        return RetryLater(message, retry_after(response))
    if subcode in _IN_PROGRESS:
        return RetryLater(
            f"{message} The audience is being replaced; that ends 90 minutes after it began, at the latest."
        )
    of_permission = 200 if 200 <= code < 300 else code  # "API Permission (Multiple values depending on permission)"
    known = ((code, subcode), code, subcode, of_permission)
    if code in _VERSION:
        return TargetChanged(f"{message} {_STOPS[code]}")
    if mend := next((_STOPS[each] for each in known if each in _STOPS), None):
        return AuthenticationFailed(f"{message} {mend}")
    if code == 1 or response.status_code >= 500:
        return Ambiguous(message)
    return RequestRejected(message, f"{code}/{subcode}" if subcode else str(code))


def other_kind(token: str) -> str:
    """What a token is that cannot write to an audience, told by its form ("Access Tokens", Meta for Developers)."""
    if "|" in token:
        return "It is an app's own token (id|secret), which has no ad account. "
    if not token.startswith("EA"):
        return "It is no access token of a user, which begins with EA: not the app's secret, nor its id. "
    return ""


def without_hashes(text: str) -> str:
    """A hash of an address is personal data still."""
    return _HASH.sub("***", text)


def _error(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answer = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return None
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) and isinstance(error.get("code"), int) else None


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _message(error: dict[str, Any], code: int, subcode: int) -> str:
    """Meta's own words, with what its support asks for."""
    title, words = error.get("error_user_title"), error.get("error_user_msg") or error.get("message") or "no message"
    message = f"{title}: {words}" if title else str(words)
    place = f"code {code}, subcode {subcode}" if subcode else f"code {code}"
    trace = f", trace {error['fbtrace_id']}" if error.get("fbtrace_id") else ""
    return f"{without_hashes(message).rstrip('.')} ({place}{trace})."


def _regained(response: httpx.Response) -> float | None:
    """Seconds until the account may call again, from minutes in `X-Business-Use-Case-Usage` ("Rate Limits")."""
    try:
        usage = msgspec.json.decode(
            response.headers.get("X-Business-Use-Case-Usage", "{}"), type=dict[str, list[dict[str, Any]]]
        )
    except (msgspec.DecodeError, msgspec.ValidationError):
        return retry_after(response)
    minutes = [_number(each.get("estimated_time_to_regain_access")) for known in usage.values() for each in known]
    return max(minutes) * 60.0 if any(minutes) else retry_after(response)
