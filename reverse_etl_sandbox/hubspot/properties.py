"""HubSpot properties API: read the schema, and add to it.

Source: HubSpot CRM properties guide (types and field types, at most 10 unique properties an object).
"""

from __future__ import annotations

import re
from typing import Any

from reverse_etl_sandbox.hubspot.records import Records
from reverse_etl_sandbox.hubspot.requests import body_object, failure, object_of
from reverse_etl_sandbox.hubspot.schema import FIELD_TYPES, ObjectType, Property
from reverse_etl_sandbox.hubspot.values import show_moment
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

MOST_UNIQUE = 10
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class Properties:
    def __init__(self, records: Records) -> None:
        self._records = records

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", root, self._list),
            ("POST", root, self._create),
            ("POST", f"{root}/batch/read", self._batch_read),
            ("POST", f"{root}/batch/create", self._batch_create),
            ("GET", f"{root}/{{name}}", self._read),
            ("DELETE", f"{root}/{{name}}", self._archive),
        ]

    def _list(self, call: Call) -> Answer:
        kind = self._object(call)
        return Answer(200, {"results": [self._shown(part) for part in kind.properties.values()]})

    def _read(self, call: Call) -> Answer:
        kind = self._object(call)
        return Answer(200, self._shown(_existing(kind, call.params["name"])))

    def _create(self, call: Call) -> Answer:
        kind = self._object(call)
        return Answer(201, self._shown(self._add(kind, body_object(call))))

    def _batch_read(self, call: Call) -> Answer:
        kind = self._object(call)
        names = [str(row.get("name")) for row in body_object(call).get("inputs") or []]
        results = [self._shown(_existing(kind, name)) for name in names]
        return self._complete(200, results)

    def _batch_create(self, call: Call) -> Answer:
        kind = self._object(call)
        inputs = body_object(call).get("inputs") or []
        return self._complete(201, [self._shown(self._add(kind, row)) for row in inputs])

    def _archive(self, call: Call) -> Answer:
        kind = self._object(call)
        part = _existing(kind, call.params["name"])
        if not part.custom:
            raise Refused(failure(400, f'Property "{part.name}" is defined by HubSpot and cannot be archived'))
        del kind.properties[part.name]
        return Answer(204)

    def _object(self, call: Call) -> ObjectType:
        kind = object_of(self._records, call)
        call.note("describe", kind.name)
        return kind

    def _complete(self, status: int, results: list[dict[str, Any]]) -> Answer:
        now = show_moment(self._records.clock())
        return Answer(status, {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now})

    def _shown(self, part: Property) -> dict[str, Any]:
        return part.as_json(show_moment(self._records.clock()))

    def _add(self, kind: ObjectType, given: dict[str, Any]) -> Property:
        missing = [name for name in ("name", "label", "type", "fieldType", "groupName") if not given.get(name)]
        if missing:
            raise Refused(failure(400, f"Invalid input JSON: some required fields were not set: {missing}"))
        name, kind_of = given["name"], given["type"]
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            text = "A property name is lower-case letters, digits and underscores, and starts with a letter"
            raise Refused(failure(400, text))
        if name in kind.properties:
            text = f"A property named '{name}' already exists."
            raise Refused(failure(409, text, "OBJECT_ALREADY_EXISTS"))
        if given["fieldType"] not in FIELD_TYPES.get(kind_of, ()):
            text = f"type {kind_of} takes fieldType {', '.join(FIELD_TYPES.get(kind_of, ())) or '(unknown type)'}"
            raise Refused(failure(400, text))
        unique = given.get("hasUniqueValue") is True
        if unique and sum(part.unique for part in kind.properties.values()) >= MOST_UNIQUE:
            raise Refused(failure(400, f"An object has at most {MOST_UNIQUE} unique properties"))
        options = tuple(str(option["value"]) for option in given.get("options") or ())
        part = Property(
            name,
            kind_of,
            given["fieldType"],
            given["label"],
            given["groupName"],
            options or (("true", "false") if kind_of == "bool" else ()),
            unique,
            custom=True,
            description=given.get("description") or "",
        )
        kind.properties[name] = part
        if unique:
            self._records.tables[kind.name].add_key(name)
        return part


def _existing(kind: ObjectType, name: str) -> Property:
    part = kind.properties.get(name)
    if part is None:
        raise Refused(failure(404, f"Property {name} does not exist", "OBJECT_NOT_FOUND"))
    return part
