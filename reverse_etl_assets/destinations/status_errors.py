"""What an answer that is not 2xx means by the HTTP standard, when its body says nothing better."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from reverse_etl_assets.destinations.first_words import first_words, masked
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    Hopeless,
    RequestRejected,
    RetryLater,
)


def error_by_status(response: httpx.Response, message: str | None = None, code: str | None = None) -> DestinationError:
    """What a status code means by the HTTP standard when the body says nothing better.

    Not taken: 429 (RFC 6585, 4), 425 ("unwilling to risk processing", RFC 8470, 5.2), 423 (RFC 4918, 11.3), and 401,
    403, 407. A 408 or 503 (RFC 9110, 15.5.9 and 15.6.4) and a redirect may come once the request was carried out: from
    a proxy that waited for its server, or to show the result (303).
    """
    status = response.status_code
    message = message or status_words(response)
    if status in (429, 503, 408, 423, 425):
        return RetryLater(message, retry_after(response), hold=status == 429, perhaps_done=status in (503, 408))
    if status in (401, 403, 407):
        return AuthenticationFailed(message)
    if status >= 500 or status < 400:
        return Ambiguous(message)
    if status == 402:  # of the account, not of a row: its plan or its bill (RFC 9110, 15.5.3, leaves it open)
        return Hopeless(f"{bare(message)}: the account's plan or an unpaid bill is in the way.")
    return RequestRejected(message, code or str(status), whole=status in _OF_THE_REQUEST)


def status_words(response: httpx.Response) -> str:
    """What an answer says whose body an adapter does not know: its status, and the first words of the body, masked."""
    status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    words = first_words(response)
    return f"{status}: {words}" if words else status


def bare(text: object) -> str:
    """A vendor's words, or an error with them, without their full stop: more words follow in the same sentence."""
    return str(text).rstrip(" .\n")


_OF_THE_REQUEST = frozenset({405, 411, 413, 414, 415, 417, 421, 431})
"""Refusals of the request as such, before anybody looks at rows: its method, length, address, format or header (RFC
9110, 15.5; RFC 6585, 5)."""


def retry_after(response: httpx.Response) -> float | None:
    """Seconds until a retry is welcome, from `Retry-After` (RFC 9110: delta seconds or an HTTP date).

    A date is one of the server's clock, so it is compared with the answer's own `Date`, and with ours if it has none.
    """
    value: str | None = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _http_date(value)
        return max(0.0, until.timestamp() - answered_at(response)) if until else None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def answered_at(response: httpx.Response) -> float:
    """When the answer was made, by the server's own clock if it says so; seconds since 1970."""
    return (_http_date(response.headers.get("Date")) or datetime.now(UTC)).timestamp()


def _http_date(value: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_SAYING = ("error_description", "description", "message", "messages", "detail", "details", "reason", "title")
_SENTENCES, _DEEP = 3, 4
_BARE = frozenset({"ok", "error", "errors", "code", "status", "type", "request_id", "response_metadata"})


def words_in(response: httpx.Response, body: Any, *, but: str = "") -> str | None:
    """What the body of a refusal says in words wherever a sentence may stand in it; None if there is none `but` the one
    that is known already. For an answer that has its word in one place (`error`) and the reason in another. As nobody
    knows what stands there, it is masked as first words are."""
    found = [each for each in dict.fromkeys(_sentences(body, in_words=False, deep=_DEEP)) if each != but]
    if but and not found and isinstance(body, dict) and body.keys() - _BARE:
        return status_words(response)
    return masked("; ".join(found[:_SENTENCES]), response) or None


def _sentences(part: Any, *, in_words: bool, deep: int) -> Iterator[str]:
    if isinstance(part, str):
        if in_words and part.strip():
            yield part.strip()
    elif deep and isinstance(part, list):
        for each in part:
            yield from _sentences(each, in_words=in_words, deep=deep - 1)
    elif deep and isinstance(part, dict):
        for name in sorted(part, key=lambda each: _SAYING.index(each) if each in _SAYING else len(_SAYING)):
            inside = in_words and isinstance(part[name], list | dict)  # `details: {email: [...]}`
            yield from _sentences(part[name], in_words=name in _SAYING or inside, deep=deep - 1)
