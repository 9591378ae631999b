"""What Zendesk's answers say: of one record, of a job's rows, and why a request was refused. All pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from reverse_etl_assets.destinations.base import decode_json, error_by_status, retry_after, status_words
from reverse_etl_assets.destinations.status_errors import bare, words_in
from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.errors import (
    Ambiguous,
    AuthenticationFailed,
    DestinationError,
    RequestRejected,
    RetryLater,
    TargetChanged,
)
from reverse_etl_assets.records import Operation, Outcome, Reason, Record, RowError, Status

NO_FREE_JOB = 15.0
"""Seconds until a place for a job may be free, if a refusal does not say; a job of 100 rows takes some seconds."""
_SAID = {"created": Status.CREATED, "updated": Status.UPDATED, "deleted": Status.DELETED}
_DONE = {Operation.UPDATE: Status.UPDATED, Operation.DELETE: Status.DELETED}
_GONE = {Operation.UPDATE: Reason.NOT_FOUND, Operation.DELETE: Reason.ALREADY_GONE}


class Forbidden(AuthenticationFailed):
    """The account or the user may not do this (403)."""


def request_error(response: httpx.Response, on_401: str = "") -> DestinationError:
    """The error of a request that was not taken; `error` is a word or an object, `details` name fields."""
    body = _object(response)
    code, message, field = _words(response, body)
    status, text = response.status_code, message or status_words(response)
    if code and message and code not in message:
        text = f"{code}: {message}"
    if status == 429 and code == "TooManyJobs":
        after = retry_after(response)
        return RetryLater(message or code, NO_FREE_JOB if after is None else after)
    if status == 409:  # DatabaseConflict: two writes met
        return RetryLater(text, retry_after(response))
    if status == 401:
        return AuthenticationFailed(f"{bare(text)}: {on_401}")
    if status == 403:
        return Forbidden(
            f"{bare(text)}: the token's user has to be an admin, or an agent whose role may manage users and"
            " organizations; an OAuth token needs the scopes `read` and `write`."
        )
    if status == 410 or (status == 404 and code == "InvalidEndpoint"):
        return TargetChanged(f"{bare(text)}: this Zendesk account does not have this part of the API.")
    if status in (400, 404, 422) and code:
        return RequestRejected(message or code, code, field)
    return error_by_status(response, text if message else None, code)


def refusal(record: Record, choices: Mapping[str, Sequence[str]]) -> Outcome | None:
    """The outcome of a row that Zendesk would take and keep only in part; it is not sent."""
    if "," in record.external_id:
        error = RowError("Zendesk takes lists of external ids with commas between, so an id cannot have one")
        return Outcome(record.key, Status.FAILED, Reason.INVALID, error)
    for name, known in choices.items():
        value = record.fields.get(name)
        chosen = value if isinstance(value, list) else [value]
        if value is not None and not {plain_text(each) for each in chosen} <= {*known, ""}:
            message = f"the value is no option of `{name}`, and Zendesk would drop it: {', '.join(known)}"
            return Outcome(record.key, Status.FAILED, Reason.INVALID, RowError(message, field=name))
    return None


def gone(operation: Operation, record: Record, error: RequestRejected) -> Outcome | None:
    """The outcome of an update or delete whose record is not there any more."""
    reason = _GONE.get(operation)
    if reason and error.code == "RecordNotFound":
        return Outcome.skipped(record.key, reason, str(error), record.destination_id)
    return None


def written(
    operation: Operation, record: Record, one: str, response: httpx.Response, group: str = ""
) -> Outcome | None:
    """What became of a record that was sent alone; None if the answer is about another one.

    A record is told with all fields of its `group`: one that was sent and is not there was dropped.
    """
    if operation is Operation.DELETE and not response.content:  # 204 of an organization, whose id is in the address
        confirmed = response.status_code == 204
        return Outcome(record.key, Status.DELETED, destination_id=record.destination_id, inferred=not confirmed)
    answer = decode_json(response)
    held = answer.get(one) if isinstance(answer, dict) else None
    if not isinstance(held, dict) or not held.get("id"):
        raise Ambiguous(f"the answer has no {one}")
    if dropped := _dropped(record, held, group):
        return dropped
    if operation is not Operation.UPSERT:
        same = str(held["id"]) == record.destination_id
        return Outcome(record.key, _DONE[operation], destination_id=record.destination_id) if same else None
    if str(held.get("external_id")).lower() != record.external_id.lower():
        return None
    status = Status.CREATED if response.status_code == 201 else Status.UPDATED
    return Outcome(record.key, status, destination_id=str(held["id"]))


def _dropped(record: Record, held: Mapping[str, Any], group: str) -> Outcome | None:
    own = held.get(group)
    if isinstance(own, list):
        own = {str(each.get("id")): each.get("value") for each in own if isinstance(each, dict)}
    if not isinstance(own, dict):
        return None
    for name, value in record.fields.items():
        if value is not None and name.startswith(f"{group}.") and name.removeprefix(f"{group}.") not in own:
            message = f"Zendesk has no field `{name}` any more, and dropped its value: `reverse-etl check` names it"
            return Outcome.rejected(record.key, RowError(message, field=name))
    return None


def job_outcomes(operation: Operation, sent: Sequence[Record], job: Mapping[str, Any]) -> Iterator[Outcome]:
    """One outcome for each row that a finished job's results name.

    Results stand in the order of the request ("Create or Update Many Users response specifications", an answer of
    Zendesk's developer advocacy of August 2021); some carry an `index`, and those of an update or delete an `id`.
    """
    results, ended = job.get("results"), job.get("status") == "completed"
    results = results if isinstance(results, list) else []
    if ended and len(results) != len(sent) and not (results and all("index" in each for each in results)):
        raise Ambiguous("the job's results do not have one entry for each row")
    waiting = dict(enumerate(sent))
    by_id = {} if operation is Operation.UPSERT else {record.destination_id: at for at, record in waiting.items()}
    for at, result in enumerate(results):
        place = by_id.get(str(result.get("id")), result.get("index", at))
        if (record := waiting.pop(place, None)) and (outcome := _job_outcome(operation, record, result)):
            yield outcome
    if not ended:  # the job failed or was killed: every write of ours may be repeated
        message = str(job.get("message") or f"the job ended as {job.get('status')} before this row was processed")
        for record in waiting.values():
            yield Outcome.rejected(record.key, RowError(message), retry=True)


def _job_outcome(operation: Operation, record: Record, result: Mapping[str, Any]) -> Outcome | None:
    external_id = str(result.get("external_id") or record.external_id)
    if operation is Operation.UPSERT and external_id.lower() != record.external_id.lower():
        return None
    word, success = str(result.get("status") or "").lower(), result.get("success")
    status = _SAID.get(word) or (_DONE.get(operation) if success is True else None)
    if status:
        return Outcome(record.key, status, destination_id=str(result["id"]) if result.get("id") else None)
    if word != "failed" and success is not False:
        return None
    code = str(result.get("error") or "") or None
    message = str(result.get("details") or code or "refused without a reason")
    return gone(operation, record, RequestRejected(message, code)) or Outcome.rejected(
        record.key, RowError(message, code)
    )


def _object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _words(response: httpx.Response, body: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Code, message and field of an error."""
    error = body.get("error")
    description = body.get("description") or body.get("error_description") or body.get("message")
    if isinstance(error, dict):
        title = str(error.get("title") or "")
        return title or None, str(error.get("message") or "") or words_in(response, body, but=title), None
    code = str(error) if error else None
    details = body.get("details")
    for field, found in details.items() if isinstance(details, dict) else ():
        first = found[0] if isinstance(found, list) and found else found
        if isinstance(first, dict):
            return str(first.get("error") or code), str(first.get("description") or description), str(field)
    return code, str(description) if description else words_in(response, body, but=code or "") or code, None
