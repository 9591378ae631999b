"""The arguments of a call, in the ways that Slack takes them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from reverse_etl_sandbox.wire import Call

_JSON_ARGUMENTS = frozenset({"blocks", "attachments", "metadata"})
_READS = frozenset({"conversations.info", "conversations.list", "users.lookupByEmail"})


def arguments(call: Call) -> dict[str, Any]:
    """Of the query, and of the body as a form or, where the method takes it, as JSON."""
    args: dict[str, Any] = dict(call.args())
    media = call.headers.get("content-type", "").partition(";")[0]
    if media == "application/json" and call.path.strip("/") not in _READS:
        try:
            body = call.json()
        except ValueError:
            return args
        return {**args, **body} if isinstance(body, dict) else args
    if media == "application/x-www-form-urlencoded":
        for name, value in parse_qsl(call.body.decode(), keep_blank_values=True):
            args[name] = _decoded(value) if name in _JSON_ARGUMENTS else value
    return args


def _decoded(value: str) -> Any:
    try:
        return msgspec.json.decode(value.encode())
    except msgspec.DecodeError:
        return value
