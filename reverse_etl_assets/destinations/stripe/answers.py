"""What Stripe's answers mean ("Errors", "Idempotent requests", API reference; "Rate limits", docs.stripe.com)."""

import re
from typing import Any

import httpx
import msgspec

from reverse_etl_assets.destinations.base import error_by_status, retry_after, status_words
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.errors import AuthenticationFailed, DestinationError, RequestRejected, RetryLater, TargetChanged
from reverse_etl_assets.records import Batch, Operation, Outcome, Reason

_KEY = re.compile(r"\b([sr]k_(?:live|test)_)[\w*]+")
_OTHER_MODE = re.compile(r"a similar object exists in (?:live|test) mode")
MISSING = "resource_missing"
_NO_SUCH = "No such "  # of a record; a path that is not there is "Unrecognized request URL"
_VERSION = re.compile(r"Invalid Stripe API version|not supported on api version", re.IGNORECASE)
"""As others have met them (stripe-java, issue 682; stripe-cli, issue 1201; read 2026-11-30)."""
_DUPLICATE = "An event already exists with identifier"
IDEMPOTENCY = "idempotency_error"
_KEPT = (
    "(An earlier request made this record of the same values in another form, as another version of the mapping had it."
    " Stripe keeps its answer for a day; after that, or once search shows the record, the row is written.)"
)


def request_error(response: httpx.Response, mode: str) -> DestinationError:
    """The error of an answer that is not 2xx; `mode` is that of the key."""
    error = _error(response)
    status, code = response.status_code, str(error.get("code") or error.get("type") or response.status_code)
    if not error:
        return error_by_status(response)
    message = _KEY.sub(r"\1***", str(error.get("message") or status_words(response)))
    if status == 404 and not error.get("code") and message.startswith(_NO_SUCH):
        code = MISSING
    if status == 429 or code == "rate_limit":
        # one customer that is in use elsewhere holds nobody else up
        return RetryLater(message, retry_after(response), hold=code != "lock_timeout")
    if status == 401:
        return AuthenticationFailed(
            f"Stripe does not take the key, in {mode} mode: {bare(message)}. Was it rolled,"
            " deleted or ended? A restricted key is made in Stripe (Developers, API keys)."
        )
    if status == 403:
        return AuthenticationFailed(f"the key, of {mode} mode, lacks a permission: {message}")
    if _OTHER_MODE.search(message):
        return AuthenticationFailed(f"the key is of {mode} mode, and the records that are known are not: {message}")
    if status == 400 and _VERSION.search(message):
        return TargetChanged(f"{bare(message)}. Set `api_version` to one that Stripe has, or leave it out.")
    if status == 409 or (status < 500 and response.headers.get("Stripe-Should-Retry") == "true"):
        return RetryLater(message, retry_after(response))
    if status >= 500 or status < 400:
        return error_by_status(response, message)
    if error.get("type") == IDEMPOTENCY:
        return RequestRejected(f"{message} {_KEPT}", IDEMPOTENCY)
    return RequestRejected(message, code, error.get("param"))


def _error(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return {}
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def settled(batch: Batch, error: RequestRejected) -> Outcome | None:
    """What a refusal says of the batch's one row, if it says more than no."""
    record, message, operation = batch.records[0], str(error), batch.operation
    addressed = operation in (Operation.UPDATE, Operation.DELETE) or (
        operation is Operation.UPSERT and record.destination_id
    )
    if addressed and error.code == MISSING and error.field in ("id", "customer", None):
        gone = operation is Operation.DELETE
        return Outcome.skipped(record.key, Reason.ALREADY_GONE if gone else Reason.NOT_FOUND, message)
    if operation is Operation.INSERT and message.startswith(_DUPLICATE):
        return Outcome.skipped(record.key, Reason.ALREADY_EXISTS, message, record.external_id)
    return None
