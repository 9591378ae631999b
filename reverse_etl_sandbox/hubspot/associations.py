"""HubSpot associations (v4). A pair is a record of the table ``associations/<from>/<to>``, with the id ``101:202``.

Sources: "Associate records" guide of HubSpot's developer documentation; its changelog of 2025-02-10 (1,000 inputs to
read); hubspot-api-client 12.0.0 (shapes); github.com/HubSpot/hubspot-api-nodejs issue 646 (ids that are not valid);
associations.json of the versions 2026-03 and 2026-09 in HubSpot's public API specifications (read 2026-11-30): ending
associations answers 200 with a body, in which `errors` may be; v4 answers 204.
"""

from __future__ import annotations

from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.hubspot.records import Records
from reverse_etl_sandbox.hubspot.requests import body_object, failure
from reverse_etl_sandbox.hubspot.schema import ObjectType
from reverse_etl_sandbox.hubspot.values import show_moment
from reverse_etl_sandbox.store import Table
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

MOST_WRITTEN = 2_000
MOST_READ = 1_000
PAGE = 500
_TYPE_IDS = {
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("deals", "contacts"): 3,
    ("contacts", "deals"): 4,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
}
Pair = tuple[str, str]


class Associations:
    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        batch = f"{root}/{{from}}/{{to}}/batch"
        return [
            ("POST", f"{batch}/associate/default", self._associate),
            ("POST", f"{batch}/archive", self._archive),
            ("POST", f"{batch}/read", self._read),
        ]

    def reset(self) -> None:
        for name in [name for name in self._records.tables if name.startswith("associations/")]:
            del self._records.tables[name]

    def _associate(self, call: Call) -> Answer:
        """All or none: one id that is not valid refuses the request."""
        kinds = self._kinds(call)
        pairs = [(_id(row, "from"), _id(row, "to")) for row in _inputs(call, MOST_WRITTEN)]
        call.note("upsert", self._name(kinds), len(pairs))
        self._refuse_unknown(kinds, pairs)
        table, flipped = self._table(kinds)
        pairs, errors = self._refused(call, kinds, pairs)
        results = []
        for pair in pairs:
            key = ":".join(pair[::-1] if flipped else pair)
            if table.get(key) is None:
                table.insert({}, self._context.clock(), record_id=key)
            results += [_result(kinds, pair), _result(kinds[::-1], pair[::-1])]
        return self._complete(results, errors)

    def _refuse_unknown(self, kinds: list[ObjectType], pairs: list[Pair]) -> None:
        wrong = [
            f"{kind.label}={pair[side]} is not valid"
            for pair in pairs
            for side, kind in enumerate(kinds)
            if self._records.tables[kind.name].get(pair[side]) is None
        ]
        if wrong:
            context = {"INVALID_OBJECT_IDS": wrong}
            raise Refused(failure(400, "One or more associations are invalid", context=context))

    def _archive(self, call: Call) -> Answer:
        kinds = self._kinds(call)
        rows = _inputs(call, MOST_WRITTEN)
        pairs = [(_id(row, "from"), str(to.get("id"))) for row in rows for to in row.get("to") or []]
        call.note("delete", self._name(kinds), len(pairs))
        table, flipped = self._table(kinds)
        dated = "version" in call.params
        pairs, errors = self._refused(call, kinds, pairs) if dated else (pairs, [])
        for pair in pairs:
            entry = table.get(":".join(pair[::-1] if flipped else pair))
            if entry is not None:
                table.archive(entry, self._context.clock())
        return self._complete([], errors) if dated else Answer(204)

    def _refused(
        self, call: Call, kinds: list[ObjectType], pairs: list[Pair]
    ) -> tuple[list[Pair], list[dict[str, Any]]]:
        """The pairs that are taken, and an error for each that a row fault refuses: in words, without a context."""
        faults = self._context.faults.for_rows("hubspot", call.method, call.path)
        refused = [pair for pair in pairs if _hit(faults, pair)]
        return [pair for pair in pairs if pair not in refused], [_denied(kinds, pair) for pair in refused]

    def _read(self, call: Call) -> Answer:
        kinds = self._kinds(call)
        inputs = _inputs(call, MOST_READ)
        call.note("read", self._name(kinds), len(inputs))
        table, flipped = self._table(kinds)
        held: dict[str, list[str]] = {}
        for entry in table.live():
            one, _, other = entry.id.partition(":")
            one, other = (other, one) if flipped else (one, other)
            if self._records.tables[kinds[1].name].get(other) is not None:
                held.setdefault(one, []).append(other)
        results, lonely = [], []
        for row in inputs:
            record_id, after = str(row.get("id")), int(row.get("after") or 0)
            others = sorted(held.get(record_id, ()), key=int)
            if not others:
                lonely.append(record_id)
                continue
            told: dict[str, Any] = {
                "from": {"id": record_id},
                "to": [_target(kinds, each) for each in others[after : after + PAGE]],
            }
            if after + PAGE < len(others):
                told["paging"] = {"next": {"after": str(after + PAGE), "link": ""}}
            results.append(told)
        errors = [_nothing(kinds, record_id) for record_id in lonely]
        return self._complete(results, errors)

    def _complete(self, results: list[dict[str, Any]], errors: list[dict[str, Any]] | None = None) -> Answer:
        now = show_moment(self._context.clock())
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        return Answer(207, body | {"numErrors": len(errors), "errors": errors}) if errors else Answer(200, body)

    def _kinds(self, call: Call) -> list[ObjectType]:
        kinds = []
        for side in ("from", "to"):
            kind = self._records.object(call.params[side])
            if kind is None:
                raise Refused(failure(400, f"Unable to infer object type from: {call.params[side]}"))
            kinds.append(kind)
        return kinds

    def _name(self, kinds: list[ObjectType]) -> str:
        return f"associations/{kinds[0].name}/{kinds[1].name}"

    def _table(self, kinds: list[ObjectType]) -> tuple[Table, bool]:
        """An association is the same from both sides: its table, and whether it is kept the other way round."""
        flipped = self._name(kinds) not in self._records.tables and self._name(kinds[::-1]) in self._records.tables
        name = self._name(kinds[::-1] if flipped else kinds)
        return self._records.tables.setdefault(name, Table(name, str)), flipped


def _inputs(call: Call, most: int) -> list[dict[str, Any]]:
    inputs = body_object(call).get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(row, dict) for row in inputs):
        raise Refused(failure(400, "Invalid input JSON: some required fields were not set: [inputs]"))
    if len(inputs) > most:
        raise Refused(failure(400, f"The number of inputs, {len(inputs)}, is above the limit of {most}"))
    return inputs


def _id(row: dict[str, Any], side: str) -> str:
    return str((row.get(side) or {}).get("id"))


def _result(kinds: list[ObjectType], pair: Pair) -> dict[str, Any]:
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _type_id(kinds)}
    return {"from": {"id": pair[0]}, "to": {"id": pair[1]}, "associationSpec": spec}


def _target(kinds: list[ObjectType], record_id: str) -> dict[str, Any]:
    spec = {"category": "HUBSPOT_DEFINED", "typeId": _type_id(kinds), "label": None}
    return {"toObjectId": int(record_id), "associationTypes": [spec]}


def _nothing(kinds: list[ObjectType], record_id: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {kinds[1].label.lower()} is associated with {kinds[0].label.lower()} {record_id}.",
        "context": {"fromObjectId": [record_id]},
    }


def _hit(faults: list[Fault], pair: Pair) -> bool:
    return any(fault.kind == "refuse_rows" and fault.hits_row(":".join(pair)) for fault in faults)


def _denied(kinds: list[ObjectType], pair: Pair) -> dict[str, Any]:
    named = " and ".join(f"{kind.label}={each}" for kind, each in zip(kinds, pair, strict=True))
    return {"status": "error", "category": "VALIDATION_ERROR", "message": f"{named} cannot be changed"}


def _type_id(kinds: list[ObjectType]) -> int:
    return _TYPE_IDS.get((kinds[0].name, kinds[1].name), 1)
