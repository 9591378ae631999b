"""HubSpot lists (segments) and their members. A member is a record of the table ``lists/<id>``, by the record's id.

Source: "Segments (Lists) API" guide of HubSpot's developer documentation (paths, processing types, deletion for 90
days); hubspot-api-client 12.0.0 (shapes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reverse_etl_sandbox.faults import lost, omitted
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.hubspot.records import Records
from reverse_etl_sandbox.hubspot.requests import body_object, failure
from reverse_etl_sandbox.hubspot.values import show_moment
from reverse_etl_sandbox.store import PERSON, Entry, Table
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused

CONTACTS = "0-1"
MOST_PER_PAGE = 250
_TYPES = ("MANUAL", "DYNAMIC", "SNAPSHOT")


@dataclass(slots=True)
class Segment:
    """A list's definition. A deleted one can be restored."""

    id: str
    name: str
    object_type: str
    processing: str
    created_at: float
    deleted: bool = False


class Lists:
    def __init__(self, context: Context, records: Records) -> None:
        self._context = context
        self._records = records
        self.segments: dict[str, Segment] = {}

    def routes(self, root: str) -> list[tuple[str, str, Handler]]:
        one = f"{root}/{{id:\\d+}}"
        return [
            ("POST", root, self._create),
            ("GET", f"{root}/object-type-id/{{type}}/name/{{name}}", self._by_name),
            ("POST", f"{root}/records/memberships/batch/read", self._memberships),
            ("GET", one, self._read),
            ("DELETE", one, self._delete),
            ("PUT", f"{one}/restore", self._restore),
            ("GET", f"{one}/memberships", self._members),
            ("DELETE", f"{one}/memberships", self._empty),
            ("PUT", f"{one}/memberships/add", lambda call: self._change(call, add=_ids(_array(call)))),
            ("PUT", f"{one}/memberships/remove", lambda call: self._change(call, remove=_ids(_array(call)))),
            ("PUT", f"{one}/memberships/add-and-remove", self._add_and_remove),
        ]

    def reset(self) -> None:
        """An account has a static list of contacts and an active one."""
        for segment in self.segments:
            self._records.tables.pop(f"lists/{segment}", None)
        self.segments.clear()
        self.add("Win back", CONTACTS, "MANUAL")
        self.add("Customers", CONTACTS, "DYNAMIC")

    def add(self, name: str, object_type: str, processing: str) -> Segment:
        made = Segment(str(len(self.segments) + 1), name, object_type, processing, self._context.clock())
        self.segments[made.id] = made
        return made

    def join(self, list_id: str, record_id: str) -> None:
        """Add a member, as a person does."""
        self._table(self.segments[list_id]).insert(
            {"recordId": record_id}, self._context.clock(), PERSON, record_id=record_id
        )

    def _create(self, call: Call) -> Answer:
        call.note("insert", "lists", 1)
        body = body_object(call)
        missing = [name for name in ("name", "objectTypeId", "processingType") if not body.get(name)]
        if missing:
            raise Refused(failure(400, f"Invalid input JSON: some required fields were not set: {missing}"))
        if body["processingType"] not in _TYPES:
            raise Refused(failure(400, f"processingType must be one of {', '.join(_TYPES)}"))
        if self._records.object(str(body["objectTypeId"])) is None:
            raise Refused(failure(400, f"The objectTypeId {body['objectTypeId']} provided for the list is not valid"))
        if any(segment.name == body["name"] for segment in self.segments.values()):
            raise Refused(failure(400, "A list with this name already exists"))
        made = self.add(str(body["name"]), str(body["objectTypeId"]), body["processingType"])
        return Answer(200, {"list": self._shown(made)})

    def _by_name(self, call: Call) -> Answer:
        call.note("read", "lists")
        for segment in self.segments.values():
            if (segment.object_type, segment.name) == (call.params["type"], call.params["name"]):
                return Answer(200, {"list": self._shown(segment)})
        raise Refused(failure(404, "List does not exist", "OBJECT_NOT_FOUND"))

    def _read(self, call: Call) -> Answer:
        call.note("read", "lists")
        return Answer(200, {"list": self._shown(self._segment(call))})

    def _delete(self, call: Call) -> Answer:
        call.note("delete", "lists", 1)
        self._segment(call).deleted = True
        return Answer(204)

    def _restore(self, call: Call) -> Answer:
        call.note("update", "lists", 1)
        self.segments[call.params["id"]].deleted = False
        return Answer(204)

    def _members(self, call: Call) -> Answer:
        segment = self._segment(call)
        call.note("read", f"lists/{segment.id}")
        args = call.args()
        limit, after = int(args.get("limit", "100")), int(args.get("after") or 0)
        if not 0 < limit <= MOST_PER_PAGE:
            raise Refused(failure(400, f"limit must be between 1 and {MOST_PER_PAGE}"))
        members = sorted(self._live(segment), key=lambda entry: int(entry.id))
        page = [_member(entry) for entry in members[after : after + limit]]
        told: dict[str, Any] = {"results": page, "total": len(members)}
        if after + limit < len(members):
            told["paging"] = {"next": {"after": str(after + limit), "link": ""}}
        return Answer(200, told)

    def _empty(self, call: Call) -> Answer:
        segment = self._segment(call, writes=True)
        members = self._live(segment)
        call.note("delete", f"lists/{segment.id}", len(members))
        for entry in members:
            self._table(segment).archive(entry, self._context.clock())
        return Answer(204)

    def _add_and_remove(self, call: Call) -> Answer:
        body = body_object(call)
        lists = [body.get(name) for name in ("recordIdsToAdd", "recordIdsToRemove")]
        if not all(isinstance(each, list) for each in lists):
            raise Refused(failure(400, "recordIdsToAdd and recordIdsToRemove must be lists"))
        return self._change(call, _ids(lists[0]), _ids(lists[1]))

    def _change(self, call: Call, add: list[str] | None = None, remove: list[str] | None = None) -> Answer:
        """Ids of members that are added, and of others that are removed, are ignored."""
        segment = self._segment(call, writes=True)
        add, remove = add or [], remove or []
        call.note("upsert" if add else "delete", f"lists/{segment.id}", len(add) + len(remove))
        table, records, now = self._table(segment), self._of(segment), self._context.clock()
        faults = self._context.faults.for_rows("hubspot", call.method, call.path)
        missing = [each for each in (*add, *remove) if records.get(each) is None]
        added = [each for each in add if each not in missing and table.get(each) is None]
        removed = [each for each in remove if each not in missing and table.get(each) is not None]
        for each in added:
            if not lost(faults, each):
                table.insert({"recordId": each}, now, record_id=each)
        for each in removed:
            if not lost(faults, each):
                table.archive(table.entries[each], now)
        return Answer(
            200,
            {
                "recordsIdsAdded": [each for each in added if not omitted(faults, each)],
                "recordIdsRemoved": [each for each in removed if not omitted(faults, each)],
                "recordIdsMissing": missing,
            },
        )

    def _memberships(self, call: Call) -> Answer:
        inputs = body_object(call).get("inputs") or []
        call.note("read", "lists", len(inputs))
        results = []
        for row in inputs:
            record_id = str(row.get("recordId"))
            held = [
                _membership(segment, entry)
                for segment in self.segments.values()
                if segment.object_type == row.get("objectTypeId") and not segment.deleted
                for entry in self._live(segment, record_id)
            ]
            results.append(
                {
                    "objectTypeId": row.get("objectTypeId"),
                    "recordId": record_id,
                    "recordListMemberships": held,
                }
            )
        now = show_moment(self._context.clock())
        return Answer(200, {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now})

    def _segment(self, call: Call, *, writes: bool = False) -> Segment:
        segment = self.segments.get(call.params["id"])
        if segment is None or segment.deleted:
            raise Refused(failure(404, f"List does not exist with ID {call.params['id']}.", "OBJECT_NOT_FOUND"))
        if writes and segment.processing == "DYNAMIC":
            raise Refused(failure(400, "Membership of a DYNAMIC list cannot be changed: its filters decide"))
        return segment

    def _table(self, segment: Segment) -> Table:
        name = f"lists/{segment.id}"
        return self._records.tables.setdefault(name, Table(name, str))

    def _of(self, segment: Segment) -> Table:
        kind = self._records.object(segment.object_type)
        assert kind is not None  # noqa: S101 - checked when the list was made
        return self._records.tables[kind.name]

    def _live(self, segment: Segment, record_id: str = "") -> list[Entry]:
        """The members, or the one with an id. A record that is archived leaves its lists."""
        table, records = self._records.tables.get(f"lists/{segment.id}"), self._of(segment)
        if table is None:
            return []
        entries = [table.get(record_id)] if record_id else table.live()
        return [entry for entry in entries if entry is not None and records.get(entry.id) is not None]

    def _shown(self, segment: Segment) -> dict[str, Any]:
        at = show_moment(segment.created_at)
        return {
            "listId": segment.id,
            "listVersion": 1,
            "name": segment.name,
            "objectTypeId": segment.object_type,
            "processingType": segment.processing,
            "processingStatus": "COMPLETE",
            "size": len(self._live(segment)),
            "createdAt": at,
            "updatedAt": at,
        }


def _array(call: Call) -> Any:
    try:
        return call.json()
    except ValueError as error:
        raise Refused(failure(400, f"Invalid input JSON: {error}")) from None


def _ids(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(str(each).isdigit() for each in given):
        raise Refused(failure(400, "Invalid input JSON: record ids must be whole numbers"))
    return list(dict.fromkeys(str(each) for each in given))


def _member(entry: Entry) -> dict[str, str]:
    return {"recordId": entry.id, "membershipTimestamp": show_moment(entry.created_at)}


def _membership(segment: Segment, entry: Entry) -> dict[str, Any]:
    at = show_moment(entry.created_at)
    return {"listId": segment.id, "listVersion": 1, "firstAddedTimestamp": at, "lastAddedTimestamp": at}
