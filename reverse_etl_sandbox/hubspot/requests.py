"""Reading HubSpot requests, and the errors that refuse a whole request."""

from __future__ import annotations

import uuid
from typing import Any

from reverse_etl_sandbox.hubspot.records import Records
from reverse_etl_sandbox.hubspot.schema import ObjectType
from reverse_etl_sandbox.hubspot.values import RowRefused
from reverse_etl_sandbox.wire import Answer, Call, Refused


def failure(status: int, message: str, category: str = "VALIDATION_ERROR", **more: Any) -> Answer:
    told = {"status": "error", "message": message, "correlationId": str(uuid.uuid4()), "category": category}
    return Answer(status, told | more)


def refusal(refused: RowRefused) -> Answer:
    """A row's refusal as the answer to the whole request."""
    return Answer(refused.status, refused.error() | {"correlationId": str(uuid.uuid4())})


def object_of(records: Records, call: Call) -> ObjectType:
    """The object named in the path; 400 if there is none."""
    name = call.params["object"]
    kind = records.object(name)
    if kind is None:
        raise Refused(failure(400, f"Unable to infer object type from: {name}"))
    return kind


def body_object(call: Call) -> dict[str, Any]:
    try:
        body = call.json()
    except ValueError as error:
        raise Refused(failure(400, f"Invalid input JSON: {error}")) from None
    if not isinstance(body, dict):
        raise Refused(failure(400, "Invalid input JSON: the body must be an object"))
    return body
