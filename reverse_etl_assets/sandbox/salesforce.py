"""Salesforce REST API: token, limits, describe, single records. Collections, SOQL and bulk jobs have their own files.

Sources: REST API Developer Guide (resources, status codes and error responses, API usage headers); OAuth 2.0 client
credentials flow.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from reverse_etl_assets.sandbox.faults import Fault
from reverse_etl_assets.sandbox.gate import Context
from reverse_etl_assets.sandbox.limits import DailyAllowance
from reverse_etl_assets.sandbox.salesforce_bulk import BulkJobs
from reverse_etl_assets.sandbox.salesforce_collections import Collections
from reverse_etl_assets.sandbox.salesforce_describe import describe, summary
from reverse_etl_assets.sandbox.salesforce_records import Records, Saved, shown
from reverse_etl_assets.sandbox.salesforce_requests import (
    attributes,
    body_object,
    failure,
    field_of,
    key_of,
    object_of,
    refuse_by_fault,
    version_root,
)
from reverse_etl_assets.sandbox.salesforce_schema import OBJECTS, Field, ObjectType
from reverse_etl_assets.sandbox.salesforce_soql import Soql
from reverse_etl_assets.sandbox.salesforce_values import RowError
from reverse_etl_assets.sandbox.store import PERSON, Entry, Table
from reverse_etl_assets.sandbox.wire import Answer, Call, Handler, Refused, Router

CLIENT_ID = "sandbox"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - a published value of the sandbox
FIRST_VERSION, LAST_VERSION = 46, 67
_DATA = "/services/data/v{version}"
_VERSION = re.compile(r"/services/data/v(\d+)\.0(/|$)")


class Salesforce:
    """The API and its records. Tokens come from the token endpoint or ``issue_token``."""

    name = "salesforce"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.records = Records(context.clock)
        self.tables: dict[str, Table] = self.records.tables
        self.daily = DailyAllowance(lambda: context.settings.salesforce_daily_requests, context.clock)
        self.bulk = BulkJobs(context, self.records)
        self.soql = Soql(self.records)
        self._tokens: set[str] = set()
        collections = Collections(context, self.records)
        one = f"{_DATA}/sobjects/{{object}}"
        self.router = Router(
            [
                ("POST", "/services/oauth2/token", self._token),
                ("GET", "/services/data", self._versions),
                ("GET", f"{_DATA}/limits", self._limits),
                ("GET", f"{_DATA}/sobjects", self._objects),
                ("GET", f"{one}/describe", self._describe),
                ("POST", one, self._with_object(self._create)),
                ("GET", f"{one}/{{id}}", self._with_record(self._read)),
                ("PATCH", f"{one}/{{id}}", self._with_record(self._update)),
                ("DELETE", f"{one}/{{id}}", self._with_record(self._delete)),
                ("GET", f"{one}/{{key}}/{{value}}", self._with_key(self._read)),
                ("PATCH", f"{one}/{{key}}/{{value}}", self._upsert),
                ("DELETE", f"{one}/{{key}}/{{value}}", self._with_key(self._delete)),
                *collections.routes(f"{_DATA}/composite/sobjects"),
                *self.soql.routes(_DATA),
                *self.bulk.routes(f"{_DATA}/jobs/ingest"),
            ]
        )

    def issue_token(self) -> str:
        """A new valid access token."""
        token = f"00D5g000000sandbox!{secrets.token_urlsafe(24)}"
        self._tokens.add(token)
        return token

    def is_open(self, call: Call) -> bool:
        return call.path.rstrip("/") in ("/services/oauth2/token", "/services/data")

    def authenticate(self, call: Call) -> Answer | None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        return None if scheme in ("Bearer", "OAuth") and token in self._tokens else self.expired()

    def admit(self, call: Call) -> Answer | None:
        version = _VERSION.match(call.path)
        if version and not FIRST_VERSION <= int(version[1]) <= LAST_VERSION:
            return self.not_found(call, [])
        if self.daily.admit():
            return None
        call.limit = "daily"
        return _limit_exceeded("TotalRequests Limit exceeded.")

    def headers(self, call: Call) -> dict[str, str]:
        if self.is_open(call):
            return {}
        return {"Sforce-Limit-Info": f"api-usage={self.daily.used}/{self.context.settings.salesforce_daily_requests}"}

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        if allowed:
            known = ",".join(sorted(allowed))
            text = f"HTTP Method '{call.method}' not allowed. Allowed are {known}"
            return failure(405, "METHOD_NOT_ALLOWED", text)
        return failure(404, "NOT_FOUND", "The requested resource does not exist")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            kind = "TotalRequests" if fault.daily else "ConcurrentRequests (Concurrent API Requests)"
            answer = _limit_exceeded(f"{kind} Limit exceeded.")
        elif fault.status == 503:
            answer = failure(503, "SERVER_UNAVAILABLE", "The server is unavailable. Try again later.")
        else:
            answer = failure(fault.status, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def expired(self) -> Answer:
        return failure(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def reset(self) -> None:
        for table in self.tables.values():
            table.clear()
        self.daily.clear()
        self.bulk.jobs.clear()
        self.soql.cursors.clear()

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        _as_person(lambda: self.records.update(OBJECTS[table.name], entry, values, who=PERSON))

    def add(self, table: Table, values: dict[str, Any]) -> str:
        return _as_person(lambda: self.records.insert(OBJECTS[table.name], values, who=PERSON)).entry.id

    def _token(self, call: Call) -> Answer:
        call.note("token")
        form = {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return _token_error("unsupported_grant_type", "grant type not supported")
        if form.get("client_id") != CLIENT_ID:
            return _token_error("invalid_client_id", "client identifier invalid")
        if form.get("client_secret") != CLIENT_SECRET:
            return _token_error("invalid_client", "invalid client credentials")
        base = call.base_url
        return Answer(
            200,
            {
                "access_token": self.issue_token(),
                "signature": secrets.token_urlsafe(32),
                "token_format": "opaque",
                "instance_url": base,
                "id": f"{base}/id/00D5g000000sandboxAAA/0055g000000sandboxAAA",
                "token_type": "Bearer",
                "issued_at": str(int(self.context.clock() * 1_000)),
            },
        )

    def _versions(self, call: Call) -> Answer:
        call.note("versions")
        versions = range(FIRST_VERSION, LAST_VERSION + 1)
        return Answer(200, [{"label": f"v{v}", "url": f"/services/data/v{v}.0", "version": f"{v}.0"} for v in versions])

    def _limits(self, call: Call) -> Answer:
        call.note("limits")
        most = self.context.settings.salesforce_daily_requests
        batches = self.bulk.batches()
        return Answer(
            200,
            {
                "DailyApiRequests": {"Max": most, "Remaining": self.daily.remaining()},
                "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000 - batches},
                "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            },
        )

    def _objects(self, call: Call) -> Answer:
        call.note("describe")
        base = version_root(call)
        listed = [summary(kind, base) for kind in OBJECTS.values()]
        return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    def _describe(self, call: Call) -> Answer:
        kind = object_of(call)
        call.note("describe", kind.name)
        return Answer(200, describe(kind, version_root(call)))

    def _create(self, call: Call, kind: ObjectType) -> Answer:
        call.note("insert", kind.name, 1)
        row = body_object(call)
        self._refuse_by_fault(call, row.get("External_Id__c", ""))
        saved = self.records.insert(kind, row)
        return Answer(201, {"id": saved.entry.id, "success": True, "errors": []})

    def _read(self, call: Call, kind: ObjectType, entry: Entry) -> Answer:
        call.note("read", kind.name, 1)
        asked = call.args().get("fields")
        parts = [field_of(kind, name) for name in asked.split(",")] if asked else list(kind.fields)
        body: dict[str, Any] = {"attributes": attributes(call, kind, entry)}
        return Answer(200, body | {part.name: shown(kind, entry, part) for part in parts})

    def _update(self, call: Call, kind: ObjectType, entry: Entry) -> Answer:
        call.note("update", kind.name, 1)
        self._refuse_by_fault(call, entry.id)
        self.records.update(kind, entry, body_object(call))
        return Answer(204)

    def _delete(self, call: Call, kind: ObjectType, entry: Entry) -> Answer:
        call.note("delete", kind.name, 1)
        self._refuse_by_fault(call, entry.id)
        self.records.delete(kind, entry.id)
        return Answer(204)

    def _upsert(self, call: Call) -> Answer:
        kind = object_of(call)
        key, value = key_of(kind, call.params["key"]), call.params["value"]
        call.note("upsert", kind.name, 1)
        row = body_object(call)
        for name in row:
            if name.casefold() in ("id", key.name.casefold()):
                text = f"The {name} field should not be specified in the sobject data."
                return failure(400, "INVALID_FIELD", text)
        self._refuse_by_fault(call, value)
        found = self._found(call, kind, key, value)
        if found is None and call.args().get("updateOnly") == "true":
            return self.not_found(call, [])
        try:
            saved = self.records.upsert(kind, key, {**row, key.name: value})
        except RowError as error:
            return Answer(400, [error.as_request()])
        body = {"id": saved.entry.id, "success": True, "errors": [], "created": saved.created}
        return Answer(201 if saved.created else 200, body)

    def _found(self, call: Call, kind: ObjectType, key: Field, value: str) -> Entry | None:
        """The one record with this key; several are answered with 300 and their URLs."""
        if key.name == "Id":
            return self.tables[kind.name].get(value)
        found = self.tables[kind.name].find(key.name, value)
        if len(found) > 1:
            raise Refused(Answer(300, [attributes(call, kind, entry)["url"] for entry in found]))
        return found[0] if found else None

    def _with_object(self, handler: Callable[[Call, ObjectType], Answer]) -> Handler:
        def handle(call: Call) -> Answer:
            try:
                return handler(call, object_of(call))
            except RowError as error:
                return Answer(400, [error.as_request()])

        return handle

    def _with_record(self, handler: Callable[[Call, ObjectType, Entry], Answer]) -> Handler:
        def handle(call: Call, kind: ObjectType) -> Answer:
            try:
                entry = self.records.by_id(kind, call.params["id"])
            except RowError as error:
                if error.code == "INVALID_CROSS_REFERENCE_KEY":
                    return self.not_found(call, [])
                return Answer(404 if error.code == "ENTITY_IS_DELETED" else 400, [error.as_request()])
            return handler(call, kind, entry)

        return self._with_object(handle)

    def _with_key(self, handler: Callable[[Call, ObjectType, Entry], Answer]) -> Handler:
        def handle(call: Call, kind: ObjectType) -> Answer:
            key = key_of(kind, call.params["key"])
            entry = self._found(call, kind, key, call.params["value"])
            return self.not_found(call, []) if entry is None else handler(call, kind, entry)

        return self._with_object(handle)

    def _refuse_by_fault(self, call: Call, key: object) -> None:
        refuse_by_fault(self.context.faults.for_rows(self.name, call.method, call.path), key)


def _limit_exceeded(text: str) -> Answer:
    return failure(403, "REQUEST_LIMIT_EXCEEDED", text)


def _token_error(code: str, text: str) -> Answer:
    return Answer(400, {"error": code, "error_description": text})


def _as_person(write: Callable[[], Saved]) -> Saved:
    try:
        return write()
    except RowError as error:
        raise ValueError(error.message) from None
