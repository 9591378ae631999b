"""Reading Salesforce requests: object, key field, body; and the errors that refuse a whole request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.salesforce.schema import OBJECTS, Field, ObjectType
from reverse_etl_sandbox.salesforce.values import RowError
from reverse_etl_sandbox.store import Entry
from reverse_etl_sandbox.wire import Answer, Call, Refused


def failure(status: int, code: str, message: str) -> Answer:
    return Answer(status, [{"message": message, "errorCode": code}])


def not_found() -> Answer:
    return failure(404, "NOT_FOUND", "The requested resource does not exist")


def object_of(call: Call) -> ObjectType:
    """The object named in the path; 404 if there is none."""
    wanted = call.params["object"].casefold()
    kind = next((kind for name, kind in OBJECTS.items() if name.casefold() == wanted), None)
    if kind is None:
        raise Refused(not_found())
    return kind


def key_of(kind: ObjectType, name: str) -> Field:
    """A field that can find a record for an upsert; 404 if it cannot."""
    part = kind.field(name)
    if part is None or not (part.external_id or part.id_lookup):
        text = f"Provided external ID field does not exist or is not accessible: {name}"
        raise Refused(failure(404, "NOT_FOUND", text))
    return part


def field_of(kind: ObjectType, name: str) -> Field:
    """A field to read; 400 if it does not exist."""
    part = kind.field(name.strip())
    if part is None:
        text = f"No such column '{name.strip()}' on sobject of type {kind.name}"
        raise Refused(failure(400, "INVALID_FIELD", text))
    return part


def body_of(call: Call) -> Any:
    try:
        return call.json()
    except ValueError as error:
        raise Refused(failure(400, "JSON_PARSER_ERROR", str(error))) from None


def body_object(call: Call) -> dict[str, Any]:
    body = body_of(call)
    if not isinstance(body, dict):
        raise Refused(failure(400, "JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object"))
    return body


def version_root(call: Call) -> str:
    """``/services/data/v60.0`` of this call."""
    return f"/services/data/v{call.params['version']}"


def attributes(call: Call, kind: ObjectType, entry: Entry) -> dict[str, str]:
    return {"type": kind.name, "url": f"{version_root(call)}/sobjects/{kind.name}/{entry.id}"}


def refuse_by_fault(faults: Sequence[Fault], key: object) -> None:
    """Refuse this row if a row fault hits it.

    Raises:
        RowError: UNABLE_TO_LOCK_ROW, or a validation rule's error.
    """
    for fault in faults:
        if fault.kind in ("omit_rows", "lose_writes") or not fault.hits_row(key):
            continue
        if fault.kind == "lock_rows":
            raise RowError("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        raise RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Refused by a validation rule of the sandbox")
