"""What is sent to Meta's audiences, and how it answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from reverse_etl_sandbox.meta_ads.audiences import HASHED, OPTIONS, OTHERS, Audience, Row, Upload
from reverse_etl_sandbox.wire import Answer, Call, Refused

MOST_ENTRIES = 10_000


def failure(code: int, message: str, subcode: int = 0, title: str = "", *, status: int = 400, **more: Any) -> Answer:
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, **more}
    if subcode:
        error["error_subcode"] = subcode
    if title:
        error |= {"error_user_title": title, "error_user_msg": message}
    return Answer(status, {"error": {**error, "fbtrace_id": "AsandboxTrace"}})


def in_progress() -> Answer:
    said = "You can't update a customer list custom audience while it is being replaced."
    return failure(2650, said, 1870145, "Audience Update In Progress")


def finished() -> Answer:
    said = "This replace operation is finished: a batch came with last_batch_flag."
    return failure(2650, said, 1870159, "Replace Session Finished")


def counted(audience: Audience, upload: Upload, received: int, invalid: int, session: Any) -> Answer:
    told: dict[str, Any] = {"audience_id": audience.id, "session_id": str(session), "num_received": received}
    return Answer(200, told | {"num_invalid_entries": invalid, "invalid_entry_samples": upload.samples})


def parameters(call: Call) -> dict[str, Any]:
    """Of the query, and of the body as JSON or a form; objects may be JSON texts."""
    found: dict[str, Any] = dict(call.args())
    if "json" in call.headers.get("content-type", ""):
        body = _decoded(call.body)
        found |= body if isinstance(body, dict) else {}
    elif call.body:
        found |= dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    for name in ("payload", "session"):
        if isinstance(found.get(name), str):
            found[name] = _decoded(found[name].encode())
    return found


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def session_of(sent: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """What the parameters say of the session."""
    session = sent.get("session")
    if session is None and not required:
        return {}
    if not isinstance(session, dict) or not all(
        type(session.get(name)) is int and session[name] > 0 for name in ("session_id", "batch_seq")
    ):
        raise Refused(failure(100, "session needs session_id and batch_seq, both whole numbers from 1"))
    return session


def entries(payload: Any, audience: Audience) -> tuple[list[Row], list[str]]:
    """The entries by name, and the schema's names."""
    schema, data = (payload.get("schema"), payload.get("data")) if isinstance(payload, dict) else (None, None)
    names = [schema.removesuffix("_SHA256")] if isinstance(schema, str) else schema
    names = ["MADID" if name == "MOBILE_ADVERTISER_ID" else name for name in names or []]
    if not names or not set(names) <= HASHED | OTHERS | OPTIONS or not isinstance(data, list) or not data:
        raise Refused(failure(100, "payload needs a schema of known keys, and data"))
    if len(data) > MOST_ENTRIES:
        raise Refused(failure(100, f"payload has {len(data)} entries, and {MOST_ENTRIES} is the most"))
    if ("LOOKALIKE_VALUE" in names) != audience.value_based and len(names) > 1:
        raise Refused(failure(100, "LOOKALIKE_VALUE is for value-based audiences, and for all of their entries"))
    rows = [each if isinstance(each, list) else [each] for each in data]
    if any(len(row) != len(names) for row in rows):
        raise Refused(failure(100, "Number of keys in each entry must match the schema"))
    return [dict(zip(names, row, strict=True)) for row in rows], names
