"""A CRM of leads, in memory: it has no upsert, takes the same reference twice, and tells a busy second from a used-up
day. It shares no code with the library."""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

CITIES = ("", None, "Basel", "Bern", "Chur")


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class LeadsServer:
    """`with LeadsServer() as server:` is up at `server.url`; `leads` holds its records by id.

    - `GET /leads?ref=a&ref=b` lists those that carry one of the references; `GET /leads/{id}` is one
    - `POST /leads` makes one, `PATCH /leads/{id}` changes the fields it names, `DELETE /leads/{id}` removes it

    `a_second` and `a_day` are the requests that it takes, 0 any number; `reads_a_second` those that only read, where
    they are counted apart.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, *, a_second: int = 0, a_day: int = 0, reads_a_second: int = 0
    ) -> None:
        self.key = "leads-secret-key"
        self.leads: dict[str, dict[str, Any]] = {}
        self.refused_for_the_rate = 0
        self.log: list[str] = []
        self._clock, self._most, self._reads, self._day = clock, a_second, reads_a_second, a_day
        self._second, self._used = 0, {"read": 0, "write": 0}
        self._lock = Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, address: str, key: str, body: bytes) -> tuple[int, dict[str, str], Any]:
        with self._lock:
            self.log.append(f"{method} {urlsplit(address).path}")
            try:
                if key != self.key:
                    raise Refused(401, "unauthorized", "The key is not known.")
                self._count("read" if method == "GET" and self._reads else "write")
                return self._do(method, address, json.loads(body) if body else {})
            except Refused as refused:
                headers = {"Retry-After": "1"} if refused.code == "rate_limit" else {}
                return refused.status, headers, {"error": {"code": refused.code, "message": str(refused)}}

    def _count(self, kind: str) -> None:
        if self._second != int(self._clock()):
            self._second, self._used = int(self._clock()), {"read": 0, "write": 0}
        most = self._reads if kind == "read" else self._most
        if self._day and len(self.log) > self._day:
            raise Refused(429, "daily_limit", "The day's requests are used up.")
        if most and self._used[kind] >= most:
            self.refused_for_the_rate += 1
            raise Refused(429, "rate_limit", "Too many requests in this second.")
        self._used[kind] += 1

    def _do(self, method: str, address: str, sent: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        url = urlsplit(address)
        lead_id = url.path.removeprefix("/leads").strip("/")
        if method == "GET" and not lead_id:
            refs = parse_qs(url.query, keep_blank_values=True).get("ref", [])
            return 200, {}, {"leads": [lead for lead in self.leads.values() if lead["ref"] in refs]}
        if method == "POST" and not lead_id:
            lead_id = str(1_000 + len(self.log))
            return 201, {}, {"lead": self._put(lead_id, {"note": None, "city": None}, sent)}
        if lead_id not in self.leads:
            raise Refused(404, "not_found", f"There is no lead {lead_id}.")
        if method == "DELETE":
            return 200, {}, {"lead": self.leads.pop(lead_id)}
        return 200, {}, {"lead": self._put(lead_id, self.leads[lead_id], sent) if sent else self.leads[lead_id]}

    def _put(self, lead_id: str, before: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        if not sent.get("ref") or sent.get("city") not in CITIES:
            raise Refused(422, "invalid", "A lead needs a `ref`, and `city` has to be a city.")
        self.leads[lead_id] = {**before, **sent, "id": lead_id}
        return self.leads[lead_id]


def _handler(server: LeadsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = server.answer(self.command, self.path, self.headers.get("X-Api-Key", ""), body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
