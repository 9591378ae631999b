"""A plain REST sink: any path below ``/rest/{collection}``.

- ``POST|PUT|PATCH /rest/{collection}``: one record (object) or a batch (list, ``{"records": [...]}`` or NDJSON);
  records with a known key are updated, others created.
- ``PUT|PATCH /rest/{collection}/{key}``: one record; PATCH of an unknown key is 404.
- ``GET /rest/{collection}``: how many there are; ``GET /rest/{collection}/{key}``: one record; ``GET
  /rest/{collection}?keys=a,b``: those of these keys, with ``limit=`` to a page and ``next`` to the one after it.
- ``POST /rest/oauth/token``: a token for client credentials, whose secret is the sink's token.
- ``DELETE /rest/{collection}/{key}``: 204, or 404. ``DELETE /rest/{collection}`` and ``POST
  /rest/{collection}/delete`` take a batch of records or of bare keys.

``?key=`` names the field that holds the key (default ``id``). ``?results=`` says what a batch answers: ``key``
(default: one result a row by key, in no order), ``index`` (by position), ``counts``, ``nothing`` (204), or ``errors``:
only what was refused, in the list ``?list=`` (default ``errors``) by position and key, or bare keys with ``?bare=1``,
under the status ``?status=`` (default 201). With ``?whole=1`` one refused row refuses them all.
In the last four a row without a key is stored under a number. A repeated
``Idempotency-Key`` gets the first answer again; with another body 422 (IETF draft "The Idempotency-Key HTTP Header
Field").
"""

from __future__ import annotations

import base64
import random
from typing import Any
from urllib.parse import parse_qs

import msgspec

from reverse_etl_sandbox.faults import Fault, lost, omitted
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.limits import RollingWindow
from reverse_etl_sandbox.replays import Replays
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Table
from reverse_etl_sandbox.wire import Answer, Call, Refused, Router

RESULTS = ("key", "index", "counts", "nothing", "errors")
JSON_MEDIA = "application/json"
Row = dict[str, Any]


def failure(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}}, media=JSON_MEDIA)


SPARSE = (
    Sparse(r"(POST|PUT|PATCH) /(?!oauth)[^/]+/[^/]+$", ("status",)),
    Sparse(r"POST /oauth/token", ("expires_in", "scope")),
)
"""An API of which nothing is known but what a sync's options say: statuses are among them, so they stay."""


class Rest:
    """The sink and its records, by collection and key."""

    name = "rest"
    title = "REST sink"
    mounts: Mounts = (("/rest", "/rest"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tables: dict[str, Table] = {}
        settings = context.settings
        self.window = RollingWindow(lambda: settings.rest_requests, lambda: settings.rest_window_seconds, context.clock)
        self._replays = Replays()
        self._issued: list[str] = []
        self._random = random.Random()  # noqa: S311 - an order, no secret
        self.router = Router(
            [
                ("POST", "/oauth/token", self._issue),
                ("POST", "/{collection}/delete", self._delete_batch),
                ("DELETE", "/{collection}", self._delete_batch),
                ("GET", "/{collection}", self._total),
                ("POST PUT PATCH", "/{collection}", self._write),
                ("GET", "/{collection}/{key:.+}", self._read),
                ("POST PUT PATCH", "/{collection}/{key:.+}", self._write),
                ("DELETE", "/{collection}/{key:.+}", self._delete),
            ]
        )

    def is_open(self, call: Call) -> bool:
        return call.path == "/oauth/token"

    def authenticate(self, call: Call) -> Answer | None:
        """The sink's token is taken as it is, as the password of anybody, and as the secret of a client."""
        token = self.context.settings.rest_token
        kind, _, said = call.headers.get("authorization", "").partition(" ")
        if not token or (kind == "Bearer" and said in (token, *self._issued)):
            return None
        if kind == "Basic" and _password(said) == token:
            return None
        return self.expired()

    def _issue(self, call: Call) -> Answer:
        form = {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"}, media=JSON_MEDIA)
        if form.get("client_secret") != self.context.settings.rest_token:
            return Answer(401, {"error": "invalid_client"}, media=JSON_MEDIA)
        self._issued.append(f"issued-{len(self._issued) + 1}")
        return Answer(200, {"access_token": self._issued[-1], "token_type": "Bearer"}, media=JSON_MEDIA)

    def admit(self, call: Call) -> Answer | None:
        if not self.context.settings.rest_requests or self.window.admit():
            return None
        call.limit = "window"
        answer = failure(429, "too_many_requests", "Too many requests")
        answer.headers["Retry-After"] = str(self.window.wait())
        return answer

    def headers(self, call: Call) -> dict[str, str]:
        settings = self.context.settings
        if not settings.rest_requests:
            return {}
        return {
            "RateLimit-Limit": str(settings.rest_requests),
            "RateLimit-Remaining": str(self.window.remaining()),
            "RateLimit-Reset": str(self.window.wait()),
        }

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        if allowed:
            answer = failure(405, "method_not_allowed", f"Allowed: {', '.join(sorted(set(allowed)))}")
            answer.headers["Allow"] = ", ".join(sorted(set(allowed)))
            return answer
        return failure(404, "not_found", "No such path")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            answer = failure(429, "too_many_requests", "Too many requests")
        else:
            answer = failure(fault.status, "server_error", "The server failed")
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def expire_tokens(self) -> None:
        """Those that were issued; the token of the sink is a setting, and stays valid."""
        self._issued.clear()

    def expired(self) -> Answer:
        return failure(401, "unauthorized", "The bearer token is missing or not valid")

    def reset(self) -> None:
        self.tables.clear()
        self._replays.clear()
        self.window.clear()
        self._random.seed(self.context.settings.seed)

    def edit(self, table: Table, record_id: str, values: Row) -> None:
        table.update(_must(table, record_id), values, self.context.clock(), PERSON)

    def add(self, table: Table, values: Row) -> str:
        key = str(values.get("id", ""))
        if not key:
            raise ValueError("a record of the REST sink needs an id")
        if table.get(key) is not None:
            raise ValueError(f"there is a record {key!r} already")
        self._put(table, key, values, PERSON)
        return key

    def remove(self, table: Table, record_id: str) -> None:
        self._remove(table, record_id)

    def table(self, collection: str) -> Table:
        """The table of a collection; made when first asked for."""
        table = self.tables.get(collection)
        if table is None:
            table = self.tables[collection] = Table(collection, str)
        return table

    def _write(self, call: Call) -> Answer:
        return self._replays.once(call, self._written)

    def _delete_batch(self, call: Call) -> Answer:
        return self._replays.once(call, self._deleted)

    def _written(self, call: Call) -> Answer:
        table = self.table(call.params["collection"])
        if "key" in call.params:
            return self._write_one(call, table, _body_object(call), call.params["key"])
        rows = _decoded(call)
        if isinstance(rows, dict):
            return self._write_one(call, table, rows, None)
        self._check_size(rows)
        call.note("upsert", table.name, len(rows))
        return self._batch(call, table, rows, delete=False)

    def _write_one(self, call: Call, table: Table, row: Row, key: str | None) -> Answer:
        call.note("upsert", table.name, 1)
        name = call.args().get("key", "id")
        if key is None:
            key = _key(row, name) or f"#{table.sequence + 1}"
        elif call.method == "PATCH" and table.get(key) is None:
            return failure(404, "not_found", f"There is no record with {name} {key}")
        if self._refused(call, key):
            table.counters.refused += 1
            return failure(422, "refused", "Refused by a rule of the sandbox")
        created = self._put(table, key, row)
        if call.args().get("results") == "nothing":
            return Answer(204)
        status = "created" if created else "updated"
        return Answer(201 if created else 200, {"id": key, "status": status}, media=JSON_MEDIA)

    def _deleted(self, call: Call) -> Answer:
        table = self.table(call.params["collection"])
        rows = _decoded(call)
        if isinstance(rows, dict):
            raise Refused(failure(400, "bad_request", "Give a list of records or keys"))
        self._check_size(rows)
        call.note("delete", table.name, len(rows))
        return self._batch(call, table, rows, delete=True)

    def _batch(self, call: Call, table: Table, rows: list[Any], delete: bool) -> Answer:
        args = call.args()
        mode, name = args.get("results", "key"), args.get("key", "id")
        if mode not in RESULTS:
            raise Refused(failure(400, "bad_request", f"results must be one of {', '.join(RESULTS)}"))
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        results: list[Row] = []
        counts = {"created": 0, "updated": 0, "deleted": 0, "error": 0}
        refused: list[Any] = []
        if args.get("whole") and (bad := [i for i, row in enumerate(rows) if self._refused(call, _key(row, name))]):
            said = [{"index": i, name: _key(rows[i], name), "code": "refused", "message": "Refused"} for i in bad]
            return Answer(int(args.get("status", "400")), {args.get("list", "errors"): said}, media=JSON_MEDIA)
        for index, row in enumerate(rows):
            key = _key(row, name) if isinstance(row, dict) else (str(row) if delete and row is not None else "")
            if not key and not delete and mode != "key" and isinstance(row, dict):
                key = f"#{table.sequence + 1}"
            status, error = self._one(table, key, row, name, faults, delete)
            counts[status] += 1
            if error:
                refused.append(key if args.get("bare") else {"index": index, name: key, **error})
            if mode in ("key", "index") and not omitted(faults, key):
                told: Row = {"index": index, "status": status} if mode == "index" else {name: key, "status": status}
                results.append(told | {"error": error} if error else told)
        table.counters.refused += counts["error"]
        if mode == "nothing":
            return Answer(204)
        if mode == "errors":
            told = {"inserted": len(rows) - len(refused), args.get("list", "errors"): refused}
            return Answer(int(args.get("status", "201")) if refused else 201, told, media=JSON_MEDIA)
        if mode == "counts":
            return Answer(200, counts, media=JSON_MEDIA)
        if mode == "key":
            self._random.shuffle(results)
        return Answer(207 if counts["error"] else 200, {"results": results}, media=JSON_MEDIA)

    def _one(
        self, table: Table, key: str, row: Any, name: str, faults: list[Fault], delete: bool
    ) -> tuple[str, dict[str, str] | None]:
        if not key or not (delete or isinstance(row, dict)):
            return "error", {"code": "bad_record", "message": f"A record must be an object with a {name}"}
        for fault in faults:
            if fault.kind == "refuse_rows" and fault.hits_row(key):
                return "error", {"code": "refused", "message": "Refused by a rule of the sandbox"}
        if not delete and lost(faults, key):
            return ("created" if table.get(key) is None else "updated"), None
        if not delete:
            return ("created" if self._put(table, key, row) else "updated"), None
        if table.get(key) is None:
            return "error", {"code": "not_found", "message": f"There is no record with this {name}"}
        if not lost(faults, key):
            self._remove(table, key)
        return "deleted", None

    def _put(self, table: Table, key: str, row: Row, who: str = "integration") -> bool:
        """Store a record; True if it is new."""
        if not self.context.settings.store_records:
            table.counters.created += 1
            return True
        entry = table.get(key)
        if entry is not None:
            table.update(entry, row, self.context.clock(), who)
            return False
        table.insert(row, self.context.clock(), who, record_id=key)
        return True

    def _remove(self, table: Table, key: str) -> None:
        table.purge(_must(table, key))
        table.counters.deleted += 1

    def _total(self, call: Call) -> Answer:
        call.note("read", call.params["collection"])
        table = self.tables.get(call.params["collection"])
        if "keys" in call.args():
            return self._page(call, self.table(call.params["collection"]))
        return Answer(200, {"total": len(table.entries) if table else 0}, media=JSON_MEDIA)

    def _page(self, call: Call, table: Table) -> Answer:
        args = call.args()
        found = [entry.values for key in dict.fromkeys(args["keys"].split(",")) if (entry := table.get(key))]
        call.note("read", table.name, len(found))
        start, limit = int(args.get("after", "0")), int(args.get("limit", "100"))
        end = start + limit
        following = str(end) if end < len(found) else None
        return Answer(200, {"records": found[start:end], "next": following}, media=JSON_MEDIA)

    def _read(self, call: Call) -> Answer:
        table, key = self.table(call.params["collection"]), call.params["key"]
        call.note("read", table.name, 1)
        entry = table.get(key)
        return self.not_found(call, []) if entry is None else Answer(200, entry.values, media=JSON_MEDIA)

    def _delete(self, call: Call) -> Answer:
        table, key = self.table(call.params["collection"]), call.params["key"]
        call.note("delete", table.name, 1)
        if table.get(key) is None:
            return self.not_found(call, [])
        if self._refused(call, key):
            table.counters.refused += 1
            return failure(422, "refused", "Refused by a rule of the sandbox")
        self._remove(table, key)
        return Answer(204)

    def _refused(self, call: Call, key: str) -> bool:
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        return any(fault.kind == "refuse_rows" and fault.hits_row(key) for fault in faults)

    def _check_size(self, rows: list[Any]) -> None:
        most = self.context.settings.rest_max_rows
        if len(rows) > most:
            raise Refused(failure(413, "too_many_rows", f"At most {most} rows in one request"))


def _password(basic: str) -> str:
    try:
        return base64.b64decode(basic, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _key(row: Row, name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _decoded(call: Call) -> Row | list[Any]:
    """One record, or the rows of a batch."""
    try:
        if "ndjson" in call.headers.get("content-type", ""):
            return [msgspec.json.decode(line) for line in call.body.splitlines() if line.strip()]
        body = call.json()
    except (ValueError, msgspec.DecodeError) as error:
        raise Refused(failure(400, "bad_json", str(error))) from None
    if isinstance(body, dict) and isinstance(body.get("records"), list):
        body = body["records"]
    if not isinstance(body, (dict, list)):
        raise Refused(failure(400, "bad_request", "The body must be a record or a list of records"))
    return body


def _body_object(call: Call) -> Row:
    body = _decoded(call)
    if isinstance(body, list):
        raise Refused(failure(400, "bad_request", "This path takes one record"))
    return body


def _must(table: Table, key: str) -> Any:
    entry = table.get(key)
    if entry is None:
        raise KeyError(key)
    return entry
