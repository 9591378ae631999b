"""Zendesk's errors, and what requests carry."""

from __future__ import annotations

from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.wire import Answer, Call, Refused
from reverse_etl_sandbox.zendesk.records import RowRefused, Values

MOST_ROWS = 100


def failure(status: int, error: Any, description: str = "", **more: Any) -> Answer:
    """An error as Zendesk words it: `error` is a word with a description, or an object."""
    return Answer(status, {"error": error, **({"description": description} if description else {}), **more})


def forbidden() -> Answer:
    text = "You do not have access to this page. Please contact the account owner of this help desk for further help."
    return failure(403, {"title": "Forbidden", "message": text})


def body_part(call: Call, name: str, wanted: type = dict) -> Any:
    try:
        body = call.json()
    except ValueError:
        raise Refused(failure(400, "InvalidJSON", "The body is not JSON")) from None
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, wanted):
        raise Refused(failure(400, "ParameterMissing", f"Parameter {name} is required"))
    return found


def listed(args: Values, name: str) -> list[str]:
    found = [each.strip() for each in args.get(name, "").split(",") if each.strip()]
    if len(found) > MOST_ROWS:
        raise Refused(failure(400, "BadRequest", f"{name}: at most {MOST_ROWS}"))
    return found


def refuse_by_fault(faults: list[Fault], key: str) -> None:
    for fault in faults:
        if fault.kind == "refuse_rows" and fault.hits_row(key):
            raise RowRefused("RecordInvalid", "Refused by a rule of the sandbox")
