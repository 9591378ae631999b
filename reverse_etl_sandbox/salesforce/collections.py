"""sObject Collections: up to 200 records in one call, answered in the order of the request.

Source: REST API Developer Guide, sObject Collections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from reverse_etl_sandbox.faults import lost, omitted
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.salesforce.ids import normal_id
from reverse_etl_sandbox.salesforce.records import Records, Saved, shown
from reverse_etl_sandbox.salesforce.requests import (
    attributes,
    body_object,
    failure,
    field_of,
    key_of,
    object_of,
    refuse_by_fault,
)
from reverse_etl_sandbox.salesforce.schema import OBJECTS, ObjectType
from reverse_etl_sandbox.salesforce.values import RowError
from reverse_etl_sandbox.store import Undo, fold
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

MOST = 200
NO_COLUMN = "No such column"
MOST_READ = 2_000
Row = dict[str, Any]
ROLLED_BACK = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


class Collections:
    def __init__(self, context: Context, records: Records) -> None:
        self._faults = context.faults
        self._records = records

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", root, self._insert),
            ("PATCH", root, self._update),
            ("DELETE", root, self._delete),
            ("POST", f"{root}/{{object}}", self._read),
            ("PATCH", f"{root}/{{object}}/{{key}}", self._upsert),
        ]

    def _insert(self, call: Call) -> Answer:
        rows, all_or_none = _rows(call)
        kinds = [_type(row) for row in rows]
        call.note("insert", _joined(kinds), len(rows))

        def write(index: int) -> Saved:
            return self._records.insert(kinds[index], rows[index])

        keys = [row.get("External_Id__c", index) for index, row in enumerate(rows)]
        return self._each(call, keys, write, all_or_none, kinds)

    def _update(self, call: Call) -> Answer:
        rows, all_or_none = _rows(call)
        kinds = [_type(row) for row in rows]
        call.note("update", _joined(kinds), len(rows))
        ids = [next((value for name, value in row.items() if name.casefold() == "id"), None) for row in rows]
        twice = _twice(_long(record_id) for record_id in ids if record_id)

        def write(index: int) -> Saved:
            record_id = ids[index]
            if not record_id:
                raise RowError("MISSING_ARGUMENT", "Id not specified in an update call")
            if _long(record_id) in twice:
                raise RowError("DUPLICATE_VALUE", f"Duplicate id specified: {record_id}")
            rest = {name: value for name, value in rows[index].items() if name.casefold() != "id"}
            return self._records.update(kinds[index], self._records.by_id(kinds[index], record_id), rest)

        return self._each(call, ids, write, all_or_none, kinds)

    def _upsert(self, call: Call) -> Answer:
        kind = object_of(call)
        key = key_of(kind, call.params["key"])
        rows, all_or_none = _rows(call)
        call.note("upsert", kind.name, len(rows))
        for row in rows:
            if _type(row) is not kind:
                raise Refused(failure(400, "INVALID_TYPE", f"All records must be of type {kind.name}"))
        lowered = key.name.casefold()
        values = [next((value for name, value in row.items() if name.casefold() == lowered), None) for row in rows]
        twice = _twice(fold(value) for value in values if value not in (None, ""))

        def write(index: int) -> Saved:
            row, value = rows[index], values[index]
            if key.name != "Id" and any(name.casefold() == "id" for name in row):
                raise RowError("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
            if value is not None and fold(value) in twice:
                raise RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", (key.name,))
            return self._records.upsert(kind, key, row)

        return self._each(call, values, write, all_or_none, [kind], say_created=True)

    def _delete(self, call: Call) -> Answer:
        args = call.args()
        ids = [part for part in args.get("ids", "").split(",") if part]
        _check_size(len(ids))
        call.note("delete", "", len(ids))
        by_prefix = {kind.prefix: kind for kind in OBJECTS.values()}
        twice = _twice(_long(record_id) for record_id in ids)

        def write(index: int) -> Saved:
            kind = by_prefix.get(ids[index][:3])
            if kind is None or normal_id(ids[index]) is None:
                raise RowError("MALFORMED_ID", f"malformed id {ids[index]}")
            if _long(ids[index]) in twice:
                raise RowError("DUPLICATE_VALUE", f"Duplicate id specified: {ids[index]}")
            return self._records.delete(kind, ids[index])

        kinds = [by_prefix[record_id[:3]] for record_id in ids if record_id[:3] in by_prefix]
        call.object = _joined(kinds)
        return self._each(call, ids, write, args.get("allOrNone") == "true", kinds)

    def _read(self, call: Call) -> Answer:
        kind = object_of(call)
        body = body_object(call)
        ids, names = body.get("ids"), body.get("fields")
        if not isinstance(ids, list) or not isinstance(names, list) or not ids or not names:
            raise Refused(failure(400, "MISSING_ARGUMENT", "ids and fields must both be lists with at least one item"))
        if len(ids) > MOST_READ:
            raise Refused(_too_many(MOST_READ))
        call.note("read", kind.name, len(ids))
        parts = [field_of(kind, str(name)) for name in names]
        listed: list[Row | None] = []
        for record_id in ids:
            entry = self._records.tables[kind.name].get(_long(record_id))
            if entry is None:
                listed.append(None)
                continue
            row: Row = {"attributes": attributes(call, kind, entry)}
            listed.append(row | {part.name: shown(kind, entry, part) for part in parts})
        return Answer(200, listed)

    def _heed(self, call: Call) -> None:
        said = call.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
        self._records.saves_duplicates = "allowsave=true" in said

    def _each(
        self,
        call: Call,
        keys: Sequence[Any],
        write: Callable[[int], Saved],
        all_or_none: bool,
        kinds: Sequence[ObjectType],
        say_created: bool = False,
    ) -> Answer:
        """Write row by row; with ``all_or_none`` take everything back if one row is refused."""
        faults = self._faults.for_rows("salesforce", call.method, call.path)
        self._heed(call)
        results: list[Row] = []
        undos: list[Undo] = []
        refused = 0
        for index, key in enumerate(keys):
            try:
                refuse_by_fault(faults, key)
                saved = write(index)
            except RowError as error:
                if error.message.startswith(NO_COLUMN):  # met while the body is read, before any row is written
                    for undo in reversed(undos):
                        undo()
                    raise Refused(Answer(400, [error.as_request()])) from None
                refused += 1
                results.append({"success": False, "errors": [error.as_row()]})
                continue
            if lost(faults, key):
                saved.undo()
            else:
                undos.append(saved.undo)
            if omitted(faults, key):
                continue
            results.append({"id": saved.entry.id, "success": True, "errors": []})
            if say_created:
                results[-1]["created"] = saved.created
        if refused:
            self._records.tables[kinds[0].name if kinds else "Contact"].counters.refused += refused
        if refused and all_or_none:
            for undo in reversed(undos):
                undo()
            rolled = {"success": False, "errors": [ROLLED_BACK.as_row()]}
            results = [rolled if result["success"] else result for result in results]
        return Answer(200, results)


def _rows(call: Call) -> tuple[list[Row], bool]:
    body = body_object(call)
    rows = body.get("records")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(failure(400, "JSON_PARSER_ERROR", "records must be a list of objects"))
    _check_size(len(rows))
    return rows, body.get("allOrNone") is True


def _check_size(count: int) -> None:
    if count == 0:
        raise Refused(failure(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required"))
    if count > MOST:
        raise Refused(_too_many(MOST))


def _too_many(most: int) -> Answer:
    text = f"record limit reached. cannot submit more than {most} records into this call"
    return failure(400, "EXCEEDED_ID_LIMIT", text)


def _type(row: Row) -> ObjectType:
    told = row.get("attributes")
    name = told.get("type") if isinstance(told, dict) else None
    kind = next((kind for kind in OBJECTS.values() if kind.name.casefold() == str(name).casefold()), None)
    if kind is None:
        raise Refused(failure(400, "INVALID_TYPE", f"sObject type '{name}' is not supported."))
    return kind


def _joined(kinds: Sequence[ObjectType]) -> str:
    return ",".join(dict.fromkeys(kind.name for kind in kinds))


def _long(record_id: Any) -> str:
    return normal_id(str(record_id)) or str(record_id)


def _twice(keys: Any) -> set[str]:
    return {key for key, count in Counter(keys).items() if count > 1}
