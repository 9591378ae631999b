"""Forms with nested brackets, Stripe's errors, and the answers it keeps by Idempotency-Key.

Sources: "Errors", "Idempotent requests" (Stripe API reference); recorded refusals of the real API.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

JSON_MEDIA = "application/json"
KEPT_SECONDS = 86_400.0
Shape = Mapping[str, Any]
"""Allowed names: a number for a text's longest length, ``int``, ``list``, ``dict`` for free keys, a list for a choice,
or a Shape."""
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def failure(status: int, message: str, code: str = "", param: str = "", kind: str = "invalid_request_error") -> Answer:
    error: dict[str, Any] = {"message": message, "type": kind}
    if code:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param:
        error["param"] = param
    return Answer(status, {"error": error}, media=JSON_MEDIA)


def refuse(status: int, message: str, code: str = "", param: str = "") -> Refused:
    return Refused(failure(status, message, code, param))


def missing(kind: str, record_id: str, param: str = "id") -> Refused:
    return refuse(404, f"No such {kind}: '{record_id}'", "resource_missing", param)


def form_of(call: Call, shape: Shape) -> dict[str, Any]:
    """The nested values of a form, or of a query; refused if a name is not in the shape or a value does not fit."""
    text = call.query if call.method == "GET" else call.body.decode()
    pairs = parse_qsl(text, keep_blank_values=True)
    values: dict[str, Any] = {}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise refuse(400, f"Invalid parameter name: {name}", "parameter_unknown", name)
        place = values
        *parents, last = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        for parent in parents:
            below = place.setdefault(parent, {})
            if not isinstance(below, dict):
                raise refuse(400, "Invalid object", "", parent)
            place = below
        place[last or str(len(place))] = value
    return _checked(values, shape, "")


def _checked(values: Mapping[str, Any], shape: Shape, path: str) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in values.items():
        param = f"{path}[{name}]" if path else name
        if name not in shape:
            if name == "expand":
                continue
            raise refuse(400, f"Received unknown parameter: {param}", "parameter_unknown", param)
        checked[name] = _fitting(value, shape[name], param)
    return checked


def _fitting(value: Any, allowed: Any, param: str) -> Any:
    match allowed:
        case dict():
            return value if value == "" else _checked(_object(value, param), allowed, param)
        case type() if allowed is dict:
            return value if value == "" else _object(value, param)
        case type() if allowed is list:
            return [] if value == "" else list(_object(value, param).values())
        case type() if allowed is int:
            if value == "":
                return value
            if not re.fullmatch(r"-?\d+", str(value)):
                raise refuse(400, f"Invalid integer: {value}", "parameter_invalid_integer", param)
            return int(value)
        case list() if value not in ("", *allowed):
            raise refuse(400, f"Invalid {param}: must be one of {', '.join(allowed)}", "", param)
        case int() if len(value) > allowed:
            raise refuse(400, f"Invalid string: {value[:20]}...; must be at most {allowed} characters", "", param)
    if not isinstance(value, str):
        raise refuse(400, f"Invalid string: {value}", "", param)
    return value


def _object(value: Any, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refuse(400, "Invalid object", "", param)
    return value


@dataclass(slots=True)
class _Kept:
    digest: bytes
    answer: Answer
    at: float


class KeptAnswers:
    """A POST with an Idempotency-Key is carried out once; a repetition gets the first answer again, for a day.

    Nothing is kept of requests that did not begin: those with parameters that do not fit, and those over a limit.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def once(self, call: Call, handler: Handler) -> Answer:
        key = call.headers.get("idempotency-key")
        if not key:
            return handler(call)
        if len(key) > 255:
            return failure(400, "Idempotency keys can be up to 255 characters long.")
        digest = hashlib.blake2b(call.path.encode() + b"\n" + call.body).digest()
        known = self._kept.get(key)
        if known is None or self._clock() - known.at >= KEPT_SECONDS:
            answer = handler(call)  # a refusal is raised, and not kept
            self._kept[key] = _Kept(digest, Answer(answer.status, answer.body(), {}, answer.media), self._clock())
            return answer
        call.note("replay")
        if known.digest != digest:
            told = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with."
                f" Try using a key other than '{key}' if you meant to execute a different request."
            )
            return failure(400, told, kind="idempotency_error")
        first = known.answer
        return Answer(first.status, first.content, {"Idempotent-Replayed": "true"}, first.media)

    def clear(self) -> None:
        self._kept.clear()
