"""Intercom's contacts: one at a time, and the search, which may not know a new one yet."""

from __future__ import annotations

from typing import Any

from reverse_etl_sandbox.faults import lost
from reverse_etl_sandbox.gate import Context
from reverse_etl_sandbox.intercom.schema import (
    CUSTOM,
    Schema,
    failure,
    hex_id,
    not_found,
    object_in,
    refusal,
    whole,
)
from reverse_etl_sandbox.store import Entry, Table, Undo
from reverse_etl_sandbox.wire import Answer, Call, Handler

PER_PAGE, MOST_PER_PAGE = 50, 150
Row = dict[str, Any]


class Contacts:
    """Users are one by ``external_id``; by address only among those without one. Leads may be many."""

    def __init__(self, context: Context, schema: Schema) -> None:
        self._context, self._schema = context, schema
        self.table = Table("contacts", lambda n: hex_id(1, n), {"external_id": True, "email": False})
        self._put_away: dict[str, Undo | None] = {}  # None: gone for good

    def routes(self) -> list[tuple[str, str, Handler]]:
        one = "/contacts/{id}"
        return [
            ("POST", "/contacts/search", self._search),
            ("GET", "/contacts/find_by_external_id/{key:.+}", self._by_external_id),
            ("POST", "/contacts", self._create),
            ("GET", one, self._read),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
            ("POST", f"{one}/archive", self._archive),
            ("POST", f"{one}/unarchive", self._unarchive),
        ]

    def reset(self) -> None:
        self._put_away.clear()

    def known(self, record_id: str) -> Entry:
        entry = self.table.get(record_id)
        if entry is None:
            raise not_found("not_found", "User Not Found", raised=True)
        return entry

    def put_away(self, entry: Entry, *, for_good: bool) -> None:
        """Archive or delete. Either way no new contact can have the same details."""
        undo = self.table.undo_archive(entry)
        self.table.archive(entry, self._context.clock())
        self._put_away[entry.id] = None if for_good else undo

    def _create(self, call: Call) -> Answer:
        call.note("create", "contacts", 1)
        body = object_in(call)
        role = body.get("role", "user")
        if not {"email", "external_id", "role"} & body.keys() or role not in ("user", "lead"):
            return failure(400, "parameter_invalid", "one of email, external_id or role is needed")
        key = body.get("external_id") or body.get("email")
        if answer := self._refused(call, key, body):
            return answer
        if role == "user" and (answer := self._conflict(body)):
            return answer
        values = self._schema.stored("contact", {"role": role} | body)
        if role == "lead":
            values["external_id"] = hex_id(3, self.table.sequence)
        now = self._context.clock()
        if self._lost(call, key):
            return Answer(200, self._shown(Entry(hex_id(1, 0), values, now, now, "", {})))
        return Answer(200, self._shown(self.table.insert(values, now)))

    def _conflict(self, body: Row, own: str = "") -> Answer | None:
        email = str(body.get("email") or "").lower()
        for entry in self._candidates(body.get("external_id"), email):
            if entry.id == own or entry.values.get("role") != "user":
                continue
            theirs = entry.values.get("external_id")
            same_key = theirs and theirs == body.get("external_id")
            same_address = email and entry.values.get("email") == email and not (theirs and body.get("external_id"))
            if same_key or same_address:
                return self._exists(entry, email, by_address=not same_key)
        return None

    def _candidates(self, external_id: Any, email: str) -> list[Entry]:
        live = [] if not external_id else self.table.find("external_id", external_id)
        live = live + (self.table.find("email", email) if email else [])
        return live + [self.table.entries[gone] for gone in self._put_away]

    def _exists(self, entry: Entry, email: str, *, by_address: bool) -> Answer:
        users = [each for each in self.table.find("email", email) if each.values.get("role") == "user"]
        if by_address and len(users) > 1:
            said = "Multiple existing users match this email address - must be more specific using user_id"
            return failure(409, "unique_user_constraint", said)
        which = "An archived" if entry.archived else "A"
        return failure(409, "conflict", f"{which} contact matching those details already exists with id={entry.id}")

    def _update(self, call: Call) -> Answer:
        call.note("update", "contacts", 1)
        entry, body = self.known(call.params["id"]), object_in(call)
        key = entry.values.get("external_id") or entry.values.get("email")
        if answer := self._refused(call, key, body):
            return answer
        if entry.values["role"] == "user" and body.get("role") == "lead":
            return failure(400, "parameter_invalid", "user role can't be converted to a lead")
        if body.get("external_id") and (answer := self._conflict({"external_id": body["external_id"]}, entry.id)):
            return answer
        values = self._schema.stored("contact", body)
        if self._lost(call, key):
            now = self._context.clock()
            return Answer(200, self._shown(Entry(entry.id, entry.values | values, now, now, "", {})))
        self.table.update(entry, values, self._context.clock())
        return Answer(200, self._shown(entry))

    def _refused(self, call: Call, key: object, body: Row) -> Answer | None:
        answer = refusal(self._context, "intercom", call, key, self._schema.problem("contact", body))
        self.table.counters.refused += answer is not None
        return answer

    def _lost(self, call: Call, key: object) -> bool:
        return lost(self._context.faults.for_rows("intercom", call.method, call.path), key)

    def _read(self, call: Call) -> Answer:
        call.note("read", "contacts", 1)
        return Answer(200, self._shown(self.known(call.params["id"])))

    def _by_external_id(self, call: Call) -> Answer:
        call.note("read", "contacts", 1)
        found = [e for e in self.table.find("external_id", call.params["key"]) if e.values["role"] == "user"]
        return Answer(200, self._shown(found[0])) if found else not_found("not_found", "User Not Found")

    def _archive(self, call: Call) -> Answer:
        return self._removed(call, "archived", for_good=False)

    def _delete(self, call: Call) -> Answer:
        return self._removed(call, "deleted", for_good=True)

    def _removed(self, call: Call, done: str, *, for_good: bool) -> Answer:
        call.note("delete", "contacts", 1)
        archived = self.table.entries[call.params["id"]] if for_good and self._archived(call.params["id"]) else None
        entry = archived or self.known(call.params["id"])
        if archived is not None:
            self._put_away[entry.id] = None
        elif not self._lost(call, entry.values.get("external_id")):
            self.put_away(entry, for_good=for_good)
        told = {"type": "contact", "id": entry.id, "external_id": entry.values.get("external_id")}
        return Answer(200, told | {done: True})

    def _archived(self, record_id: str) -> bool:
        """Put away, and not for good."""
        return self._put_away.get(record_id) is not None

    def _unarchive(self, call: Call) -> Answer:
        call.note("unarchive", "contacts", 1)
        entry = self.table.entries.get(call.params["id"])
        if entry is None or entry.id not in self._put_away:
            return not_found("not_found", "User Not Found")
        if (undo := self._put_away[entry.id]) is None:
            return failure(500, "server_error", "Server Error")
        undo()
        self.table.counters.deleted += 1  # it was, and came back
        del self._put_away[entry.id]
        told = {"type": "contact", "id": entry.id, "external_id": entry.values.get("external_id")}
        return Answer(200, told | {"archived": False})

    def _shown(self, entry: Entry) -> Row:
        own = {name: value for name, value in entry.values.items() if not name.startswith(CUSTOM)}
        shown: Row = dict.fromkeys(
            ("external_id", "email", "phone", "name", "owner_id", "signed_up_at", "last_seen_at")
        )
        shown |= {"type": "contact", "id": entry.id, "workspace_id": "sandbox", "unsubscribed_from_emails": False}
        times = {"created_at": whole(entry.created_at), "updated_at": whole(entry.updated_at)}
        return shown | own | times | {"custom_attributes": self._schema.custom(entry.values)}

    # Search

    def _search(self, call: Call) -> Answer:
        call.note("search", "contacts")
        body = object_in(call)
        page = body.get("pagination") or {}
        size = page.get("per_page", PER_PAGE)
        if size > MOST_PER_PAGE:
            return failure(400, "parameter_invalid", "Per Page is too big")
        seen = self._context.clock() - self._context.settings.intercom_search_lag_seconds
        found = [entry for entry in self._narrowed(body["query"]) if entry.created_at <= seen]
        found = [entry for entry in found if _matches(entry, body["query"])]
        start = int(page.get("starting_after") or 0)
        rest = start + size < len(found)
        pages: Row = {
            "type": "pages",
            "page": start // size + 1,
            "per_page": size,
            "total_pages": -(-len(found) // size),
        }
        if rest:
            pages["next"] = {"page": pages["page"] + 1, "starting_after": str(start + size)}
        data = [self._shown(entry) for entry in found[start : start + size]]
        return Answer(200, {"type": "list", "data": data, "total_count": len(found), "pages": pages})

    def _narrowed(self, query: Row) -> list[Entry]:
        """By the index, where the query asks for keys."""
        for each in query["value"] if query["operator"] in ("AND",) else [query]:
            if each["operator"] == "IN" and each["field"] in self.table.keys:
                found = [entry for value in each["value"] for entry in self.table.find(each["field"], value)]
                return list({entry.id: entry for entry in found}.values())
        return self.table.live()


def _matches(entry: Entry, query: Row) -> bool:
    operator, value = query["operator"], query["value"]
    if operator in ("AND", "OR"):
        found = [_matches(entry, each) for each in value]
        return all(found) if operator == "AND" else any(found)
    held = entry.id if query["field"] == "id" else entry.values.get(query["field"])
    folded = str(held).lower() if held is not None else None
    match operator:
        case "=":
            return folded == str(value).lower()
        case "!=":
            return folded != str(value).lower()
        case "IN":
            return folded in {str(each).lower() for each in value}
        case "NIN":
            return folded not in {str(each).lower() for each in value}
    return False
