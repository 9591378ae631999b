"""A workspace of Attio on this machine, in memory: the part of the REST API v2 that the destination uses, as documented
on docs.attio.com (read 2026-11-22). It shares no code with the destination."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

READS, WRITES = 100, 25  # requests in a second of the clock
TIERS = ("Free", "Team", "Enterprise")
TYPES = {
    "user_ref": "text",
    "notes": "text",
    "score": "number",
    "mrr": "currency",
    "seen_at": "timestamp",
    "signed_on": "date",
    "vip": "checkbox",
    "tier": "select",
    "tags": "select",
    "name": "personal-name",
    "email_addresses": "email-address",
    "strongest_connection": "text",
}
FILLED = "strongest_connection"  # by Attio alone
UNIQUE, SEVERAL = frozenset({"user_ref", "email_addresses"}), frozenset({"tags", "email_addresses"})
Values = dict[str, list[dict[str, Any]]]


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"status_code": status, "type": kind, "code": code, "message": message}


class AttioServer:
    """`with AttioServer() as server:` is up at `server.url`; `people` holds its records by id."""

    def __init__(self, clock: Callable[[], float] = time.time, *, limited: bool = True) -> None:
        self.token = "attio-secret-token"
        self.scope = "record_permission:read-write object_configuration:read"
        self.people: dict[str, Values] = {}
        self.log: list[str] = []
        self.refused_for_the_rate = 0
        self._clock, self._limited = clock, limited
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

    def stored(self) -> list[tuple[str, dict[str, Any]]]:
        """`user_ref` and plain values of each person, as somebody would see them."""
        with self._lock:
            return [(_plain(held["user_ref"][0]), _seen(held)) for held in self.people.values()]

    def answer(self, method: str, target: str, token: str, body: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
        with self._lock:
            try:
                return 200, {}, self._do(method, target, token, body)
            except Refused as refused:
                headers = {}
                if refused.status == 429:
                    self.refused_for_the_rate += 1
                    headers["Retry-After"] = formatdate(int(self._clock()) + 1, usegmt=True)
                return refused.status, headers, refused.body

    def _do(self, method: str, target: str, token: str, body: bytes) -> dict[str, Any]:
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        self.log.append(f"{method} {url.path}")
        self._count("read" if method == "GET" or parts[-1] == "query" else "write")
        if parts == ["v2", "self"]:
            known = token == f"Bearer {self.token}"
            return {"active": True, "scope": self.scope, "workspace_slug": "acme"} if known else {"active": False}
        if token != f"Bearer {self.token}":
            raise Refused(401, "unauthorized", "The access token is not valid.", "auth_error")
        if parts[:2] != ["v2", "objects"] or parts[2] != "people":
            raise Refused(404, "not_found", f'Object with slug/ID "{parts[2]}" was not found.')
        sent = json.loads(body) if body else {}
        match method, parts[3:]:
            case "GET", ["attributes"]:
                return {"data": [_attribute(slug) for slug in TYPES]}
            case "POST", ["records", "query"]:
                return {"data": self._query(sent)}
            case "GET", ["records", record_id]:
                return {"data": _record(self._known(record_id), self.people[record_id])}
        if "record_permission:read-write" not in self.scope:
            raise Refused(403, "unauthorized", "You do not have the necessary permissions.", "auth_error")
        match method, parts[3:]:
            case "PUT", ["records"]:
                return self._assert(parse_qs(url.query).get("matching_attribute", [""])[0], sent["data"]["values"])
            case "PUT", ["records", record_id]:
                return self._write(self._known(record_id), _coerced(sent["data"]["values"]))
            case "DELETE", ["records", record_id]:
                del self.people[self._known(record_id)]
                return {}
        raise Refused(404, "not_found", "No such endpoint.")

    def _count(self, kind: str) -> None:
        if self._second != int(self._clock()):
            self._second, self._used = int(self._clock()), {"read": 0, "write": 0}
        if self._limited and self._used[kind] >= {"read": READS, "write": WRITES}[kind]:
            raise Refused(429, "rate_limit_exceeded", "Rate limit exceeded, please try again later", "rate_limit_error")
        self._used[kind] += 1

    def _known(self, record_id: str) -> str:
        if record_id not in self.people:
            raise Refused(404, "not_found", f'Record with ID "{record_id}" was not found.')
        return record_id

    def _assert(self, matching: str, values: Mapping[str, Any]) -> dict[str, Any]:
        if matching not in TYPES:
            raise Refused(400, "value_not_found", f'No attribute was found for matching_attribute "{matching}".')
        if matching not in UNIQUE:
            raise Refused(400, "matching_attribute_definition_not_unique", f'"{matching}" is not a unique attribute.')
        coerced = _coerced(values)
        if not coerced.get(matching):
            raise Refused(400, "missing_value", f'A value for "{matching}" is needed to match by.')
        found = [each for each, held in self.people.items() if _meet(held.get(matching, []), coerced[matching])]
        if len(found) > 1:
            raise Refused(400, "multiple_match_results", f"{len(found)} records match: {', '.join(found)}.")
        if found and matching in SEVERAL:  # new values are added, existing ones are not deleted
            there = self.people[found[0]][matching]
            coerced[matching] = [*there, *(each for each in coerced[matching] if not _meet(there, [each]))]
        return self._write(found[0] if found else str(uuid.uuid4()), coerced)

    def _write(self, record_id: str, values: Values) -> dict[str, Any]:
        held = self.people.setdefault(record_id, {})
        for slug, each in values.items():
            # A value that stays keeps its age.
            held[slug] = held.get(slug, []) if _seen({slug: each}) == _seen({slug: held.get(slug, [])}) else each
        return {"data": _record(record_id, held)}

    def _query(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        asked = body.get("filter", {}).get("$or")
        found = [
            _record(record_id, held)
            for record_id, held in self.people.items()
            if asked is None
            or any(_meet(held.get(slug, []), [_value(slug, key)]) for each in asked for slug, key in each.items())
        ]
        return found[: body.get("limit", 500)]


def _attribute(slug: str) -> dict[str, Any]:
    own = {"is_writable": slug != FILLED, "is_unique": slug in UNIQUE, "is_multiselect": slug in SEVERAL}
    return {"api_slug": slug, "title": slug, "type": TYPES[slug], "is_required": False, **own}


def _record(record_id: str, held: Values) -> dict[str, Any]:
    ids = {"workspace_id": "w", "object_id": "o", "record_id": record_id}
    return {"id": ids, "web_url": f"https://app.attio.com/acme/person/{record_id}", "values": held}


def _coerced(values: Mapping[str, Any]) -> Values:
    for slug, given in values.items():
        if slug not in TYPES or slug == FILLED:
            raise Refused(400, "value_not_found", f'Cannot find attribute with slug/ID "{slug}" that can be written.')
        if not isinstance(given, list) or (len(given) > 1 and slug not in SEVERAL):
            raise Refused(400, "validation_type", f'"{slug}" takes {"a list" if slug in SEVERAL else "one value"}.')
    return {slug: [_value(slug, each) for each in given] for slug, given in values.items()}


def _value(slug: str, given: Any) -> dict[str, Any]:
    kind = TYPES[slug]
    try:
        parts = _PARTS[kind](given)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(400, "validation_type", f'"{given}" is no {kind} for attribute "{slug}".') from error
    now = datetime.now(UTC).isoformat()
    return {"active_from": now, "active_until": None, "attribute_type": kind, **parts}


def _text(given: Any) -> dict[str, Any]:
    if not isinstance(given, str):
        raise TypeError
    return {"value": given}


def _number(given: Any) -> float:
    if isinstance(given, bool | str):
        raise TypeError
    return float(given)


def _moment(given: str) -> dict[str, Any]:
    moment = datetime.fromisoformat(given)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return {"value": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond * 1000:09}Z"}


def _flag(given: Any) -> dict[str, Any]:
    return {"value": {"true": True, "false": False}[str(given).lower()]}


def _option(given: str) -> dict[str, Any]:
    if given not in TIERS:
        raise Refused(400, "value_not_found", f'Cannot find select option "{given}".')
    return {"option": {"id": {"option_id": given.lower()}, "title": given}}


def _address(given: str) -> dict[str, Any]:
    local, domain = given.lower().split("@")
    parts = {"email_domain": domain, "email_root_domain": domain, "email_local_specifier": local}
    return {"email_address": given.lower(), "original_email_address": given, **parts}


_PARTS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "text": _text,
    "number": lambda given: {"value": _number(given)},
    "currency": lambda given: {"currency_value": round(_number(given), 4), "currency_code": "EUR"},
    "timestamp": _moment,
    "date": lambda given: {"value": datetime.fromisoformat(given).date().isoformat()},
    "checkbox": _flag,
    "select": _option,
    "personal-name": lambda given: {name: given[name] for name in ("first_name", "last_name", "full_name")},
    "email-address": _address,
}


def _plain(value: Mapping[str, Any]) -> Any:
    return next(iter(_bare(value).values()))


def _bare(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in ("active_from", "active_until", "attribute_type")}


def _seen(held: Values) -> dict[str, Any]:
    return {
        slug: [_bare(each) for each in values] if slug in SEVERAL or slug == "name" else _plain(values[0])
        for slug, values in held.items()
        if values
    }


def _meet(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return any(_plain(each) == _plain(there) for each in one for there in other)


def _handler(server: AttioServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "")
            status, headers, text = server.answer(self.command, self.path, token, body)
            content = json.dumps(text).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(content)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    return Handler
