"""Customers: one a request, metadata, lists by email, and a search that lags behind.

Sources: "Customers", "Metadata" (Stripe API reference), "Search" and "Metadata" (docs.stripe.com).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reverse_etl_sandbox.faults import lost
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.store import INTEGRATION, Entry, Table
from reverse_etl_sandbox.stripe.requests import JSON_MEDIA, form_of, missing, refuse
from reverse_etl_sandbox.wire import Answer, Call, Handler

_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"), 5_000)
_SHAPE: Mapping[str, Any] = {
    "name": 256,
    "email": 512,
    "phone": 20,
    "description": 5_000,
    "business_name": 150,
    "individual_name": 150,
    "invoice_prefix": 12,
    "balance": int,
    "next_invoice_sequence": int,
    "preferred_locales": list,
    "tax_exempt": ["none", "exempt", "reverse"],
    "metadata": dict,
    "address": _ADDRESS,
    "shipping": {"name": 5_000, "phone": 5_000, "address": _ADDRESS},
    "invoice_settings": {"footer": 5_000, "default_payment_method": 5_000},
    "tax": {"ip_address": 64},
}
_LIST: Mapping[str, Any] = {"email": 512, "limit": int, "starting_after": 5_000, "ending_before": 5_000}
_SEARCH: Mapping[str, Any] = {"query": 5_000, "limit": int, "page": 5_000}
_NEVER_CLEARED = ("balance", "next_invoice_sequence", "invoice_prefix")
CLAUSES = 10

_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_CLAUSE = re.compile(rf"(-?)(?:metadata\[({_QUOTED})\]|(email|name|phone))\s*(:|~)\s*({_QUOTED}|null)", re.DOTALL)
_BETWEEN = re.compile(r"\s+(?:(AND|OR)\s+)?", re.IGNORECASE)


class Customers:
    """The records, and what a form may do to them."""

    def __init__(self, context: Context, table: Table) -> None:
        self._context = context
        self.table = table
        self.modes: dict[str, str] = {}  # of the key that made a customer
        self.subscriptions: dict[str, int] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/v1/customers/search", self._search),
            ("GET", "/v1/customers", self._list),
            ("POST", "/v1/customers", self._create),
            ("GET", "/v1/customers/{id}", self._read),
            ("POST", "/v1/customers/{id}", self._update),
            ("DELETE", "/v1/customers/{id}", self._delete),
        ]

    def clear(self) -> None:
        self.table.clear()
        self.modes.clear()

    def save(self, entry: Entry | None, given: Mapping[str, Any], mode: str, who: str = INTEGRATION) -> Entry:
        """Write checked values; refused with the reason."""
        values = _written(entry.values if entry else {}, given)
        now = self._context.clock()
        if entry is None:
            entry = self.table.insert(values, now, who)
            self.modes[entry.id] = mode
        else:
            self.table.update(entry, values, now, who)
        return entry

    def _create(self, call: Call) -> Answer:
        call.note("insert", "customers", 1)
        given = form_of(call, _SHAPE)
        metadata = given.get("metadata")
        self._by_fault(call, *(metadata.values() if isinstance(metadata, dict) else ()))
        return self._shown(self.save(None, given, mode_of(call)))

    def _update(self, call: Call) -> Answer:
        call.note("update", "customers", 1)
        entry, given = self._found(call), form_of(call, _SHAPE)
        self._by_fault(call, entry.id)
        if lost(self._context.faults.for_rows("stripe", call.method, call.path), entry.id):
            return self._shown(entry)
        return self._shown(self.save(entry, given, mode_of(call)))

    def _delete(self, call: Call) -> Answer:
        call.note("delete", "customers", 1)
        entry = self._found(call)
        self.table.archive(entry, self._context.clock())
        return Answer(200, {"id": entry.id, "object": "customer", "deleted": True}, media=JSON_MEDIA)

    def _read(self, call: Call) -> Answer:
        call.note("read", "customers", 1)
        entry = self.table.entries.get(call.params["id"])
        if entry is not None and entry.archived:
            return Answer(200, {"id": entry.id, "object": "customer", "deleted": True}, media=JSON_MEDIA)
        return self._shown(self._found(call))

    def _found(self, call: Call) -> Entry:
        record_id, mode = call.params["id"], mode_of(call)
        entry = self.table.get(record_id)
        if entry is None:
            raise missing("customer", record_id)
        if (other := self.modes.get(record_id, mode)) != mode:
            told = f"; a similar object exists in {other} mode, but a {mode} mode key was used to make this request."
            raise refuse(404, f"No such customer: '{record_id}'{told}", "resource_missing", "id")
        return entry

    def _list(self, call: Call) -> Answer:
        call.note("read", "customers")
        asked = form_of(call, _LIST)
        found = [each for each in reversed(self._of_mode(call)) if asked.get("email") in (None, each.values["email"])]
        if after := asked.get("starting_after"):
            ids = [each.id for each in found]
            found = found[ids.index(after) + 1 :] if after in ids else []
        page = found[: _limit(asked)]
        told = {"object": "list", "url": "/v1/customers", "has_more": len(found) > len(page)}
        return Answer(200, {**told, "data": [self.shown(each) for each in page]}, media=JSON_MEDIA)

    def _search(self, call: Call) -> Answer:
        call.note("search", "customers")
        asked = form_of(call, _SEARCH)
        clauses, either = _clauses(asked.get("query", ""))
        some = any if either else all
        found = [each for each in self._indexed(call) if some(_matches(each[1], clause) for clause in clauses)]
        start = int(asked.get("page") or 0)
        page = found[start : start + _limit(asked)]
        more = len(found) > start + len(page)
        told: dict[str, Any] = {"object": "search_result", "url": "/v1/customers/search", "has_more": more}
        told |= {"next_page": str(start + len(page)) if more else None, "data": [self.shown(e) for e, _ in page]}
        return Answer(200, told, media=JSON_MEDIA)

    def _indexed(self, call: Call) -> list[tuple[Entry, dict[str, Any]]]:
        """What search knows: records as they were a while ago."""
        edge = self._context.clock() - self._context.settings.stripe_search_lag_seconds
        known = [each for each in self._of_mode(call) if each.created_at <= edge]
        return [(e, e.values if e.updated_at <= edge else e.previous or e.values) for e in known]

    def _of_mode(self, call: Call) -> list[Entry]:
        return [each for each in self.table.live() if self.modes.get(each.id) == mode_of(call)]

    def _by_fault(self, call: Call, *keys: object) -> None:
        for fault in self._context.faults.for_rows("stripe", call.method, call.path):
            if fault.kind == "refuse_rows" and any(fault.hits_row(key) for key in keys):
                self.table.counters.refused += 1
                raise refuse(400, "Refused by a rule of the sandbox", "refused")

    def _shown(self, entry: Entry) -> Answer:
        return Answer(200, self.shown(entry), media=JSON_MEDIA)

    def shown(self, entry: Entry) -> dict[str, Any]:
        nothing = dict.fromkeys(("currency", "default_source", "discount", "test_clock"))
        live = self.modes.get(entry.id) == "live"
        told = {"id": entry.id, "object": "customer", "created": int(entry.created_at), "livemode": live}
        return {**told, **nothing, "delinquent": False, **entry.values}


def mode_of(call: Call) -> str:
    return "live" if "k_live_" in call.headers.get("authorization", "") else "test"


def _limit(asked: Mapping[str, Any]) -> int:
    limit = int(asked.get("limit", 10))
    if not 1 <= limit <= 100:
        raise refuse(400, "Invalid integer: limit must be between 1 and 100", "parameter_invalid_integer", "limit")
    return limit


def _written(held: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """All values after a write. An empty text clears; of a nested object the parts that are not given are cleared."""
    values: dict[str, Any] = dict(held) or {
        **dict.fromkeys(name for name in _SHAPE if name not in ("metadata", "preferred_locales")),
        "metadata": {},
        "preferred_locales": [],
        "balance": 0,
        "next_invoice_sequence": 1,
        "tax_exempt": "none",
    }
    email = given.get("email")
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
        raise refuse(400, f"Invalid email address: {email}", "email_invalid", "email")
    for name, value in given.items():
        if name == "metadata":
            values[name] = _metadata(values["metadata"], value)
        elif value == "" and name in _NEVER_CLEARED:
            told = (
                f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter"
            )
            raise refuse(400, f"{told}; however '{name}' cannot be unset.", "parameter_invalid_empty", name)
        elif isinstance(value, dict):
            values[name] = {part: each or None for part, each in {**dict.fromkeys(_SHAPE[name]), **value}.items()}
        else:
            values[name] = None if value == "" else value
    return values


def _metadata(held: Mapping[str, str], given: Any) -> dict[str, str]:
    """Keys merge; an empty value takes a key off, an empty ``metadata`` all of them."""
    if given == "":
        return {}
    for key, value in given.items():
        if len(key) > 40:
            told = f"Metadata keys can have up to 40 characters, but you passed in a key that is {len(key)} characters."
            raise refuse(400, f"{told} Invalid key: {key}", "", "metadata")
        if len(value) > 500:
            told = f"Metadata values can have up to 500 characters, but you passed in a value that is {len(value)}"
            raise refuse(400, f"{told} characters. Invalid value: {value}", "", f"metadata[{key}]")
    merged = {key: value for key, value in {**held, **given}.items() if value != ""}
    if len(merged) > 50:
        raise refuse(400, "You can have up to 50 metadata keys.", "", "metadata")
    return merged


Clause = tuple[bool, str, str, str, str]


def _clauses(query: str) -> tuple[list[Clause], bool]:
    """The clauses of a search (negated, metadata key, field, operator, value), and whether one is enough."""
    clauses: list[Clause] = []
    words: set[str] = set()
    place = 0
    while True:
        match = _CLAUSE.match(query, place)
        if match is None:
            raise refuse(400, "We were unable to parse your search query.", "", "query")
        value = "" if match[5] == "null" else _unquoted(match[5])
        clauses.append((bool(match[1]), _unquoted(match[2] or '""'), match[3] or "", match[4], value))
        place = match.end()
        if not query[place:].strip():
            break
        between = _BETWEEN.match(query, place)
        if between is None:
            raise refuse(400, "We were unable to parse your search query.", "", "query")
        words.add((between[1] or "AND").upper())
        place = between.end()
    if len(words) > 1:
        raise refuse(400, "You cannot combine AND and OR in one search query.", "", "query")
    if len(clauses) > CLAUSES:
        raise refuse(400, f"A search query can have up to {CLAUSES} clauses.", "", "query")
    return clauses, words == {"OR"}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _matches(values: Mapping[str, Any], clause: Clause) -> bool:
    negated, key, field, operator, value = clause
    held = str((values["metadata"].get(key) if key else values.get(field)) or "").casefold()
    found = value.casefold() in held if operator == "~" and not key else held == value.casefold()
    return found is not negated
