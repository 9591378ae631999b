"""How the Data Manager API refuses: google.rpc.Status with the standard payloads (AIP-193, google.api.ErrorReason)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reverse_etl_sandbox.wire import Answer, Refused

Json = dict[str, Any]

SERVICE = "datamanager.googleapis.com"
MEDIA = "application/json; charset=UTF-8"
_STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


@dataclass(frozen=True)
class Violation:
    """A field that is wrong, by its path."""

    field: str
    reason: str
    description: str = ""

    def json(self) -> Json:
        told = {"field": self.field, "reason": self.reason}
        return {**told, "description": self.description} if self.description else told


def failure(status: int, message: str, reason: str, found: list[Violation] | None = None, **metadata: str) -> Answer:
    """An error with the standard payloads."""
    domain = SERVICE if found is not None else "googleapis.com"
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain}
    details: list[Json] = [{**info, "metadata": metadata}]
    if found:
        told = [each.json() for each in found]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": told})
    named = _STATUS.get(status, "INVALID_ARGUMENT" if status < 500 else "UNAVAILABLE" if status == 503 else "INTERNAL")
    return Answer(
        status, {"error": {"code": status, "message": message, "status": named, "details": details}}, media=MEDIA
    )


def invalid(*found: Violation) -> Refused:
    return Refused(failure(400, "There was a problem with the request.", "INVALID_ARGUMENT", list(found)))


def exhausted(limit: str) -> Answer:
    message = f"Quota exceeded for quota metric and limit '{limit}' of service '{SERVICE}'."
    return failure(429, message, "RATE_LIMIT_EXCEEDED", quota_limit=limit, service=SERVICE)
