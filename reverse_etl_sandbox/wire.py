"""One HTTP call and its answer, as the vendors' handlers see them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

JSON = "application/json;charset=UTF-8"


@dataclass(slots=True)
class Call:
    """A request below a vendor's base. ``path`` is still percent-encoded; ``params`` are not.

    The last five fields are for the log; handlers and the gate fill them in.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    params: dict[str, str] = field(default_factory=dict)
    operation: str = ""
    object: str = ""
    rows: int = 0
    limit: str = ""
    known: bool = True

    def json(self) -> Any:
        """The decoded body.

        Raises:
            ValueError: the body is not JSON.
        """
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None

    def args(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def note(self, operation: str, object_name: str = "", rows: int = 0) -> None:
        """Say for the log what this call is about."""
        self.operation, self.object, self.rows = operation, object_name, rows


@dataclass(slots=True)
class Answer:
    """``content`` is encoded as JSON unless it is bytes already; None means an empty body."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    media: str = JSON

    def body(self) -> bytes:
        if self.content is None:
            return b""
        if isinstance(self.content, bytes):
            return self.content
        return msgspec.json.encode(self.content)


class Refused(Exception):
    """The whole request is refused with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer = answer


Handler = Callable[[Call], Answer]


class Router:
    """Finds the handler of a path. Patterns look like ``/jobs/ingest/{id}``; ``{v:regex}`` narrows one part."""

    def __init__(self, routes: Sequence[tuple[str, str, Handler]]) -> None:
        patterns: dict[str, dict[str, Handler]] = {}
        for methods, pattern, handler in routes:
            for method in methods.split():
                patterns.setdefault(pattern, {})[method] = handler
        self._routes = [(_compile(pattern), handlers) for pattern, handlers in patterns.items()]

    def find(self, call: Call) -> Handler | list[str]:
        """The handler (and ``call.params`` set), or the methods that this path allows (none: no such path)."""
        path = call.path.rstrip("/") or "/"
        allowed: list[str] = []
        for pattern, handlers in self._routes:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if call.method in handlers:
                call.params = {name: unquote(value) for name, value in match.groupdict().items()}
                return handlers[call.method]
            allowed.extend(handlers)
        return allowed


def _compile(pattern: str) -> re.Pattern[str]:
    def group(part: re.Match[str]) -> str:
        return f"(?P<{part['name']}>{part['regex'] or '[^/]+'})"

    return re.compile(re.sub(r"\{(?P<name>\w+)(?::(?P<regex>[^}]+))?\}", group, pattern))
