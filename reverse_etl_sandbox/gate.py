"""The way of every vendor call: fault, authentication, limit, handler, answer, log."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from reverse_etl_sandbox.calls import CallLog, LogLine
from reverse_etl_sandbox.faults import Fault, FaultBook
from reverse_etl_sandbox.settings import Settings
from reverse_etl_sandbox.sparse import Sparse, Thinner
from reverse_etl_sandbox.store import Table
from reverse_etl_sandbox.wire import Answer, Call, Refused, Router

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRANSPORT = "sandbox.transport"


@dataclass(slots=True)
class Context:
    """What all vendors share. ``clock`` gives seconds since 1970."""

    settings: Settings = field(default_factory=Settings)
    faults: FaultBook = field(default_factory=FaultBook)
    log: CallLog = field(default_factory=CallLog)
    clock: Callable[[], float] = time.time


Mounts = tuple[tuple[str, str], ...]
"""Where an API is, and the part of it that its own paths begin with; the first is the one to be told."""


class Vendor(Protocol):
    """One vendor's API."""

    name: str
    title: str
    mounts: Mounts
    router: Router
    tables: dict[str, Table]
    sparse: tuple[Sparse, ...]

    def is_open(self, call: Call) -> bool:
        """Whether the path needs neither a token nor counts against a limit."""

    def authenticate(self, call: Call) -> Answer | None:
        """The refusal, if the call brings no valid token."""

    def admit(self, call: Call) -> Answer | None:
        """The refusal, if a limit is used up; names the limit in ``call.limit``."""

    def headers(self, call: Call) -> dict[str, str]:
        """Headers that every answer carries."""

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        """The answer for an unknown path, or a known path with another method."""

    def failure(self, fault: Fault) -> Answer:
        """The answer for the faults ``rate_limit`` and ``server_error``."""

    def expire_tokens(self) -> None:
        """End every token issued so far."""

    def expired(self) -> Answer:
        """The answer for an ended token."""

    def reset(self) -> None:
        """Forget records, limits used and schema changes."""

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        """Write as a person. Raises KeyError (no such record) or ValueError (bad value)."""

    def add(self, table: Table, values: dict[str, Any]) -> str:
        """Create as a person and return the id. Raises ValueError (bad value)."""

    def remove(self, table: Table, record_id: str) -> None:
        """Delete as a person. Raises KeyError (no such record)."""


class Gate:
    """The ASGI endpoint of one vendor; ``prefixes`` are cut from the path before routing."""

    def __init__(self, vendor: Vendor, context: Context, prefix: str) -> None:
        self.vendor = vendor
        self.context = context
        self.prefix = prefix
        self._thinner = Thinner(vendor.sparse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        body = await _read(receive)
        if body is None:
            return
        call = _call(scope, body, self.prefix)
        is_open = self.vendor.is_open(call)
        fault = self.context.faults.pick(self.vendor.name, call.method, call.path, is_open)
        wait_ms = self.context.settings.latency_ms
        if fault is not None and fault.kind == "slow":
            wait_ms += fault.delay_ms
        if wait_ms:
            await asyncio.sleep(wait_ms / 1_000)
        answer = None if fault is not None and fault.kind == "drop_before" else self._answer(call, fault)
        if answer is None or (fault is not None and fault.kind in ("drop_after", "timeout_after")):
            self._log(call, fault, started, 0, b"")
            await _hang_up(scope, receive, fault.hold_seconds if fault and fault.kind == "timeout_after" else 0.0)
            return
        payload = answer.body()
        self._log(call, fault, started, answer.status, payload)
        await _send(send, answer, payload, call.method == "HEAD")

    def _answer(self, call: Call, fault: Fault | None) -> Answer:
        kind = fault.kind if fault is not None else ""
        if fault is not None and kind in ("rate_limit", "server_error"):
            if fault.written:
                self._handled(call)
            answer = self.vendor.failure(fault)
        elif kind == "expire_token":
            self.vendor.expire_tokens()
            answer = self.vendor.expired()
        else:
            answer = self._handled(call)
        if self.context.settings.sparse:
            answer = self._thinner.thinned(call, answer)
        answer.headers.update(self.vendor.headers(call))
        if kind == "malformed":
            whole = answer.body()
            return Answer(answer.status, whole[: len(whole) // 2] or b"{", answer.headers)
        if kind == "garbled":
            return Answer(answer.status, b"no gzip" + answer.body(), {**answer.headers, "Content-Encoding": "gzip"})
        if kind == "empty":
            return Answer(200, b"", answer.headers)
        return answer

    def _handled(self, call: Call) -> Answer:
        refusal = None
        if not self.vendor.is_open(call):
            refusal = self.vendor.authenticate(call) or self.vendor.admit(call)
        if refusal is not None:
            return refusal
        handler = self.vendor.router.find(call)
        if isinstance(handler, list):
            return self.vendor.not_found(call, handler)
        try:
            return handler(call)
        except Refused as refused:
            return refused.answer

    def _log(self, call: Call, fault: Fault | None, started: float, status: int, payload: bytes) -> None:
        self.context.log.add(
            LogLine(
                number=0,
                at=self.context.clock(),
                vendor=self.vendor.name,
                method=call.method,
                path=call.path,
                operation=call.operation,
                object=call.object,
                rows=call.rows,
                status=status,
                bytes_in=len(call.body),
                bytes_out=len(payload),
                ms=round((time.perf_counter() - started) * 1_000, 3),
                fault=fault.kind if fault is not None else "",
                limit=call.limit,
            )
        )


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None if the client left."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts: list[bytes] = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    return None


def _call(scope: Scope, body: bytes, prefix: str) -> Call:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    if headers.get("content-encoding") == "gzip":
        try:
            body = zlib.decompress(body, wbits=31)
        except zlib.error:
            body = b""
    path = scope["raw_path"].decode("ascii")
    host = headers.get("host", "127.0.0.1")
    return Call(
        method=scope["method"],
        path=path[len(prefix) :],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        base_url=f"{scope['scheme']}://{host}{prefix}",
    )


async def _send(send: Send, answer: Answer, payload: bytes, head: bool) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    if payload or answer.status != 204:
        headers.append((b"content-length", str(len(payload)).encode()))
    if payload:
        headers.append((b"content-type", answer.media.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else payload})


async def _hang_up(scope: Scope, receive: Receive, hold_seconds: float) -> None:
    """Close the connection without an answer, once the client left or ``hold_seconds`` passed."""
    with suppress(TimeoutError, asyncio.CancelledError):  # Cancelled: the server stops meanwhile.
        if hold_seconds:
            async with asyncio.timeout(hold_seconds):
                await receive()
    scope[TRANSPORT].close()
    with suppress(asyncio.CancelledError):
        # The server sends no 500 once it knows that the connection is gone.
        await receive()
