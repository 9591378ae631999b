"""Single sObject records, by id or by external id.

Source: REST API Developer Guide (sObject Rows, sObject Rows by External ID, status codes and error responses).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.salesforce.records import Records, shown
from reverse_etl_sandbox.salesforce.requests import (
    attributes,
    body_object,
    failure,
    field_of,
    key_of,
    not_found,
    object_of,
    refuse_by_fault,
)
from reverse_etl_sandbox.salesforce.schema import Field, ObjectType
from reverse_etl_sandbox.salesforce.values import RowError
from reverse_etl_sandbox.store import Entry
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused


class Single:
    def __init__(self, context: Context, records: Records) -> None:
        self._faults = context.faults
        self._records = records

    def routes(self, one: str) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", one, self._with_object(self._create)),
            ("GET", f"{one}/{{id}}", self._with_record(self._read)),
            ("PATCH", f"{one}/{{id}}", self._with_record(self._update)),
            ("DELETE", f"{one}/{{id}}", self._with_record(self._delete)),
            ("GET", f"{one}/{{key}}/{{value}}", self._with_key(self._read)),
            ("PATCH", f"{one}/{{key}}/{{value}}", self._upsert),
            ("DELETE", f"{one}/{{key}}/{{value}}", self._with_key(self._delete)),
        ]

    def _create(self, call: Call, kind: ObjectType) -> Answer:
        call.note("insert", kind.name, 1)
        row = body_object(call)
        self._refuse_by_fault(call, row.get("External_Id__c", ""))
        saved = self._records.insert(kind, row)
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
        self._records.update(kind, entry, body_object(call))
        return Answer(204)

    def _delete(self, call: Call, kind: ObjectType, entry: Entry) -> Answer:
        call.note("delete", kind.name, 1)
        self._refuse_by_fault(call, entry.id)
        self._records.delete(kind, entry.id)
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
        found = self._found(call, kind, key, value)
        if found is None and call.args().get("updateOnly") == "true":
            return not_found()
        try:
            self._refuse_by_fault(call, value)
            saved = self._records.upsert(kind, key, {**row, key.name: value})
        except RowError as error:
            return Answer(400, [error.as_request()])
        body = {"id": saved.entry.id, "success": True, "errors": [], "created": saved.created}
        return Answer(201 if saved.created else 200, body)

    def _found(self, call: Call, kind: ObjectType, key: Field, value: str) -> Entry | None:
        """The one record with this key; several are answered with 300 and their URLs."""
        if key.name == "Id":
            return self._records.tables[kind.name].get(value)
        found = self._records.tables[kind.name].find(key.name, value)
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
                entry = self._records.by_id(kind, call.params["id"])
            except RowError as error:
                if error.code == "INVALID_CROSS_REFERENCE_KEY":
                    return not_found()
                return Answer(404 if error.code == "ENTITY_IS_DELETED" else 400, [error.as_request()])
            return handler(call, kind, entry)

        return self._with_object(handle)

    def _with_key(self, handler: Callable[[Call, ObjectType, Entry], Answer]) -> Handler:
        def handle(call: Call, kind: ObjectType) -> Answer:
            key = key_of(kind, call.params["key"])
            entry = self._found(call, kind, key, call.params["value"])
            return not_found() if entry is None else handler(call, kind, entry)

        return self._with_object(handle)

    def _refuse_by_fault(self, call: Call, key: object) -> None:
        refuse_by_fault(self._faults.for_rows("salesforce", call.method, call.path), key)
