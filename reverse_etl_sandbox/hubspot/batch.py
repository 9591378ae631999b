"""HubSpot batch endpoints: up to 100 inputs, answered in no particular order.

Sources: HubSpot CRM objects guide (batch endpoints, upsert, objectWriteTraceId), HubSpot error handling guide
(multi-status responses: errors carry the trace id of their input, results do not), "Create or update a batch of objects
by unique property values" (2026-09 reference, read 2026-11-30: of a result only `id`, `properties`, `createdAt`,
`updatedAt`, `archived` and `new` are promised). A result tells the properties that were written, and no others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from reverse_etl_sandbox.faults import Fault, lost, omitted
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.hubspot.records import Records, refuse_by_fault, refuse_by_rule, shown, taken
from reverse_etl_sandbox.hubspot.requests import body_object, failure, object_of, refusal
from reverse_etl_sandbox.hubspot.schema import ObjectType
from reverse_etl_sandbox.hubspot.values import Error, RowRefused, converted, show_moment
from reverse_etl_sandbox.store import Entry, fold
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

MOST = 100
Input = dict[str, Any]
Row = dict[str, Any]
Values = dict[str, str | None]


class Batches:
    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records
        self._random = random.Random()  # noqa: S311 - an order, no secret

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        return [
            ("POST", f"{root}/batch/upsert", self._upsert),
            ("POST", f"{root}/batch/create", self._create),
            ("POST", f"{root}/batch/update", self._update),
            ("POST", f"{root}/batch/read", self._read),
            ("POST", f"{root}/batch/archive", self._archive),
        ]

    def reset(self) -> None:
        self._random.seed(self._context.settings.seed)

    def _upsert(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        inputs = _inputs(call, "id", "properties")
        call.note("upsert", kind.name, len(inputs))
        id_property = _id_property(kind, inputs, "upsert")
        if not id_property:
            raise Refused(failure(400, "idProperty must be set for every input of an upsert"))
        _refuse_twice(inputs)

        def address(row: Input) -> Entry | None:
            return self._records.find(kind, id_property, row["id"])

        return self._write(call, kind, inputs, address, id_property, status=200)

    def _create(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        inputs = _inputs(call, "properties")
        call.note("insert", kind.name, len(inputs))
        return self._write(call, kind, inputs, lambda row: None, status=201)

    def _update(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        inputs = _inputs(call, "id", "properties")
        call.note("update", kind.name, len(inputs))
        id_property = _id_property(kind, inputs, "update")
        _refuse_twice(inputs)
        found = {row["id"]: self._records.find(kind, id_property, row["id"]) for row in inputs}
        missing = [record_id for record_id, entry in found.items() if entry is None]
        known = [row for row in inputs if found[row["id"]] is not None]
        errors = _not_found(kind, missing)
        return self._write(call, kind, known, lambda row: found[row["id"]], status=200, errors=errors)

    def _read(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        body = body_object(call)
        inputs = _inputs(call, "id")
        call.note("read", kind.name, len(inputs))
        id_property = str(body.get("idProperty") or "")
        if id_property and id_property != "hs_object_id" and id_property not in self._records.tables[kind.name].keys:
            raise Refused(failure(400, f"Unable to perform read by non-unique {kind.type_id} property {id_property}"))
        results: list[dict[str, Any]] = []
        missing: list[str] = []
        for record_id in dict.fromkeys(row["id"] for row in inputs):
            entry = self._records.find(kind, id_property, record_id)
            if entry is None:
                missing.append(record_id)
            else:
                results.append(shown(kind, entry, body.get("properties") or ()))
        self._random.shuffle(results)
        return self._reply(200, results, _not_found(kind, missing))

    def _archive(self, call: Call) -> Answer:
        kind = object_of(self._records, call)
        inputs = _inputs(call, "id")
        call.note("delete", kind.name, len(inputs))
        faults = self._context.faults.for_rows("hubspot", call.method, call.path)
        for row in inputs:
            entry = self._records.find(kind, "", row["id"])
            if entry is not None and not lost(faults, row["id"]):
                self._records.archive(kind, entry)
        return Answer(204)

    def _write(
        self,
        call: Call,
        kind: ObjectType,
        inputs: list[Input],
        address: Callable[[Input], Entry | None],
        upsert_by: str = "",
        *,
        status: int,
        errors: Sequence[Error] = (),
    ) -> Answer:
        """Check all rows, then write. Without unique trace ids one bad row refuses the request.

        ``address`` finds the record of a row (None: create it); ``upsert_by`` is the property that its id sets.
        """
        told = list(errors)
        traced = _traced(inputs)
        faults = self._context.faults.for_rows("hubspot", call.method, call.path)
        claimed: set[tuple[str, str]] = set()
        checked: list[tuple[Input, Entry | None, Values]] = []
        for row in inputs:
            try:
                refuse_by_fault(faults, _row_key(row))
                entry = address(row)
                # A record that is there keeps its own spelling of the address that matched.
                key = {upsert_by: row["id"]} if upsert_by and entry is None else {}
                values = converted(kind, key | row["properties"])
                if entry is not None and self._records.is_other_email(entry, upsert_by, row["id"]):
                    values.pop(upsert_by, None)  # the contact keeps its primary address, and tells it
                refuse_by_rule(self._context.settings.hubspot_rule, call, entry, values)
                self._records.check(kind, entry, values)
                self._claim(kind, values, claimed)
            except RowRefused as refused:
                self._records.tables[kind.name].counters.refused += 1
                if not traced:
                    raise Refused(refusal(refused)) from None
                told.append(refused.error(row["objectWriteTraceId"]))
            else:
                checked.append((row, entry, values))
        written = [
            (row, self._written(kind, row, entry, values, faults, bool(upsert_by))) for row, entry, values in checked
        ]
        results = [result for row, result in written if not omitted(faults, _row_key(row))]
        self._random.shuffle(results)
        return self._reply(status, results, told)

    def _claim(self, kind: ObjectType, values: Values, claimed: set[tuple[str, str]]) -> None:
        """Two rows of one request cannot take the same unique value."""
        for name in self._records.tables[kind.name].keys:
            value = values.get(name)
            if value is None:
                continue
            pair = name, fold(value)
            if pair in claimed:
                raise taken(kind, name, "another input")
            claimed.add(pair)

    def _written(
        self, kind: ObjectType, row: Input, entry: Entry | None, values: Values, faults: list[Fault], say_new: bool
    ) -> Row:
        table = self._records.tables[kind.name]
        undo = table.undo_update(entry) if entry else None
        written = self._records.write(kind, entry, values)
        told = shown(kind, written, row["properties"])
        if lost(faults, _row_key(row)):
            (undo or table.undo_insert(written))()
        if say_new:
            told["new"] = entry is None
        return told

    def _reply(self, status: int, results: list[dict[str, Any]], errors: list[Error]) -> Answer:
        now = show_moment(self._context.clock())
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if not errors:
            return Answer(status, body)
        return Answer(207, body | {"numErrors": len(errors), "errors": errors})


def _row_key(row: Input) -> Any:
    """What row faults choose by; a new record has only its trace id."""
    return row.get("id") or row.get("objectWriteTraceId", "")


def _inputs(call: Call, *required: str) -> list[Input]:
    inputs = body_object(call).get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(row, dict) for row in inputs):
        raise Refused(failure(400, "Invalid input JSON: some required fields were not set: [inputs]"))
    if len(inputs) > MOST:
        raise Refused(failure(400, f"The number of inputs, {len(inputs)}, is above the limit of {MOST}"))
    for row in inputs:
        missing = [name for name in required if row.get(name) in (None, "")]
        if missing:
            raise Refused(failure(400, f"Invalid input JSON: some required fields were not set: {missing}"))
        if "id" in row and not isinstance(row["id"], str):
            raise Refused(failure(400, "Invalid input JSON: id must be text"))
        if "properties" in row and not isinstance(row["properties"], dict):
            raise Refused(failure(400, "Invalid input JSON: properties must be an object"))
    return inputs


def _id_property(kind: ObjectType, inputs: list[Input], operation: str) -> str:
    """The id property all inputs share; empty means the record id."""
    names = {row.get("idProperty") or "" for row in inputs}
    if len(names) > 1:
        raise Refused(failure(400, "All inputs of a batch must have the same idProperty"))
    name = next(iter(names), "")
    if name in ("", "hs_object_id"):
        return ""
    if name not in kind.properties:
        raise Refused(failure(400, f'Property "{name}" does not exist'))
    if not (kind.properties[name].unique or name in kind.id_properties):
        text = f"Unable to perform {operation} by non-unique {kind.type_id} property {name}"
        raise Refused(failure(400, text))
    return name


def _refuse_twice(inputs: list[Input]) -> None:
    seen: set[str] = set()
    twice: list[str] = []
    for row in inputs:
        folded = fold(row["id"])
        if folded in seen:
            twice.append(row["id"])
        seen.add(folded)
    if twice:
        text = f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
        raise Refused(failure(400, text, context={"ids": twice}))


def _traced(inputs: list[Input]) -> bool:
    traces = {trace for row in inputs if isinstance(trace := row.get("objectWriteTraceId"), str) and trace}
    return len(traces) == len(inputs)


def _not_found(kind: ObjectType, missing: list[str]) -> list[Error]:
    if not missing:
        return []
    text = f"Could not get some {kind.label} objects, they may be deleted or not exist. Check that ids are valid."
    return [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": text, "context": {"ids": missing}}]
