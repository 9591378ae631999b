"""Intercom's tags, and the contacts that carry them: an object ``tags/<name>`` for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reverse_etl_sandbox.intercom.contacts import Contacts
from reverse_etl_sandbox.intercom.schema import failure, not_found, object_in, whole
from reverse_etl_sandbox.store import Entry, Table
from reverse_etl_sandbox.wire import Answer, Call, Handler

Row = dict[str, Any]


class Tags:
    """Names ignore case; a name that is not known makes a tag."""

    def __init__(self, clock: Callable[[], float], contacts: Contacts, tables: dict[str, Table]) -> None:
        self._clock, self._contacts, self._tables = clock, contacts, tables
        self._tags: dict[str, Row] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/tags", self._list_tags),
            ("POST", "/tags", self._make_tag),
            ("POST", "/contacts/{id}/tags", self._tag),
            ("DELETE", "/contacts/{id}/tags/{tag}", self._untag),
            ("GET", "/contacts/{id}/tags", self._tags_of),
        ]

    def reset(self) -> None:
        self._tags.clear()

    def _list_tags(self, call: Call) -> Answer:
        call.note("read", "tags")
        return Answer(200, {"type": "list", "data": list(self._tags.values())})

    def _make_tag(self, call: Call) -> Answer:
        call.note("create", "tags", 1)
        body = object_in(call)
        name = body.get("name")
        if not isinstance(name, str) or not name:
            return failure(400, "parameter_invalid", "invalid tag parameters")
        tag = self.named(name)
        for user in body.get("users", []):
            self._put_tag(tag, self._contacts.known(str(user.get("id"))))
        return Answer(200, tag)

    def named(self, name: str) -> Row:
        """The tag of a name, whatever its case; made if there is none."""
        for tag in self._tags.values():
            if tag["name"].lower() == name.lower():
                return tag
        tag = {"type": "tag", "id": str(len(self._tags) + 101), "name": name}
        self._tags[tag["id"]] = tag
        table = Table(f"tags/{name}", str)
        self._tables[table.name] = table
        return tag

    def delete(self, name: str) -> None:
        """As a person does: it is gone from every contact."""
        tag = self.named(name)
        del self._tags[tag["id"]], self._tables[f"tags/{tag['name']}"]

    def _tag(self, call: Call) -> Answer:
        contact = self._contacts.known(call.params["id"])
        tag = self._known_tag(str(object_in(call).get("id")))
        call.note("upsert", f"tags/{tag['name']}", 1)
        self._put_tag(tag, contact)
        return Answer(200, self._applied(tag))

    def _put_tag(self, tag: Row, contact: Entry) -> None:
        table = self._tables[f"tags/{tag['name']}"]
        if table.get(contact.id) is None:
            key = contact.values.get("external_id")
            table.insert({"external_id": key}, self._clock(), record_id=contact.id)

    def _untag(self, call: Call) -> Answer:
        contact, tag = self._contacts.known(call.params["id"]), self._known_tag(call.params["tag"])
        table = self._tables[f"tags/{tag['name']}"]
        call.note("delete", table.name, 1)
        entry = table.get(contact.id)
        if entry is None:
            return not_found("not_found", "Resource Not Found")
        table.archive(entry, self._clock())
        return Answer(200, self._applied(tag))

    def _tags_of(self, call: Call) -> Answer:
        contact = self._contacts.known(call.params["id"])
        own = [tag for tag in self._tags.values() if self._tables[f"tags/{tag['name']}"].get(contact.id)]
        return Answer(200, {"type": "list", "data": own})

    def _known_tag(self, tag_id: str) -> Row:
        if tag_id not in self._tags:
            raise not_found("not_found", "Resource Not Found", raised=True)
        return self._tags[tag_id]

    def _applied(self, tag: Row) -> Row:
        return tag | {"applied_at": whole(self._clock()), "applied_by": {"type": "admin", "id": "1"}}
