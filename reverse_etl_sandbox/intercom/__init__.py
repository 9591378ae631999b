"""Intercom's REST API, version 2.15: the frame, and companies with their contacts. The rest has files of its own.

Sources: Intercom's OpenAPI description 2.15 (answers and examples of errors), its developer documentation "Rate
limiting" (windows of 10 seconds, headers, 429). What it does with archived and deleted contacts was seen in recordings
of a public test suite: a 404 "User Not Found", and a 409 for a new one with the same details, after a delete for good
as well.
"""

from __future__ import annotations

import re
from typing import Any

from reverse_etl_sandbox.faults import Fault, lost
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.intercom.contacts import Contacts
from reverse_etl_sandbox.intercom.schema import Schema, failure, hex_id, not_found, object_in, refusal, whole
from reverse_etl_sandbox.intercom.tags import Tags
from reverse_etl_sandbox.limits import RollingWindow
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Entry, Table
from reverse_etl_sandbox.wire import Answer, Call, Router

TOKEN = "ic-sandbox"  # noqa: S105 - a published value of the sandbox
WINDOW_SECONDS = 10.0
_VERSION = re.compile(r"1\.[0-4]|2\.(\d|1[0-7])|Unstable|Preview")
Row = dict[str, Any]


SPARSE = (
    Sparse(
        r"/contacts",
        (
            *("workspace_id", "unsubscribed_from_emails", "created_at", "updated_at", "archived", "companies", "tags"),
            *("data.*.workspace_id", "data.*.created_at", "data.*.updated_at", "data.*.archived", "data.*.companies"),
        ),
    ),
    Sparse(r"POST /contacts/search", ("type", "total_count", "pages.total_pages", "pages.per_page", "pages.page")),
    Sparse(r"/companies", ("app_id", "user_count", "created_at", "updated_at")),
    Sparse(r"/data_attributes", ("type", "data.*.type", "data.*.label", "data.*.description", "data.*.full_name")),
    Sparse(r"/tags", ("applied_at", "applied_by", "data.*.applied_at", "data.*.applied_by")),
    Sparse(r".", ("request_id", "errors.*.field")),
)
"""The OpenAPI description of 2.15 calls next to nothing of an answer required: a contact has its type and its id, an
error its code and its message (intercom/Intercom-OpenAPI)."""


class Intercom:
    """The API and its records. A tag's contacts are the object ``tags/<name>``, those of companies
    ``company_memberships``."""

    name = "intercom"
    title = "Intercom"
    mounts: Mounts = (("/intercom", "/intercom"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        settings = context.settings
        self.window = RollingWindow(
            lambda: settings.intercom_ten_second_requests, lambda: WINDOW_SECONDS, context.clock
        )
        self.schema = Schema(context.clock)
        self.companies = Table("companies", lambda n: hex_id(2, n), {"company_id": True})
        self.memberships = Table("company_memberships", str)
        self.contacts = Contacts(context, self.schema)
        self.tables: dict[str, Table] = {}
        self.tags = Tags(context.clock, self.contacts, self.tables)
        self._leaving: dict[str, float] = {}
        self._revoked = False
        self.reset()
        company, contact = "/companies/{id}", "/contacts/{id}"
        self.router = Router(
            [
                ("GET", "/me", self._me),
                ("GET", "/data_attributes", self.schema.list),
                ("POST", "/data_attributes", self.schema.create),
                *self.contacts.routes(),
                ("POST", "/companies", self._upsert_company),
                ("GET", "/companies", self._find_company),
                ("GET", company, self._read_company),
                ("PUT", company, self._update_company),
                ("DELETE", company, self._delete_company),
                ("POST", f"{contact}/companies", self._attach),
                ("DELETE", f"{contact}/companies/{{company}}", self._detach),
                ("GET", f"{contact}/companies", self._companies_of),
                *self.tags.routes(),
            ]
        )

    # The frame

    def is_open(self, call: Call) -> bool:
        return False

    def authenticate(self, call: Call) -> Answer | None:
        if self._revoked or call.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.expired()
        accepted = call.headers.get("accept", "*/*")
        if not any(kind in accepted for kind in ("application/json", "*/*")):
            said = "The Accept header should send a media type of application/json"
            return failure(406, "media_type_not_acceptable", said)
        version = call.headers.get("intercom-version")
        if version and not _VERSION.fullmatch(version):
            return failure(400, "intercom_version_invalid", "The requested version could not be found")
        return None

    def admit(self, call: Call) -> Answer | None:
        if self.window.admit():
            return None
        call.limit = "ten_seconds"
        return self._limited()

    def _limited(self) -> Answer:
        most = self.context.settings.intercom_ten_second_requests
        return failure(429, "rate_limit_exceeded", f"Exceeded rate limit of {most} in 10_seconds")

    def headers(self, call: Call) -> dict[str, str]:
        if self._revoked or call.headers.get("authorization") != f"Bearer {TOKEN}":
            return {}
        return {
            "X-RateLimit-Limit": str(self.context.settings.intercom_ten_second_requests),
            "X-RateLimit-Remaining": str(self.window.remaining()),
            "X-RateLimit-Reset": str(int(self.context.clock()) + self.window.wait()),
        }

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        return failure(404, "not_found", "The requested resource does not exist")

    def failure(self, fault: Fault) -> Answer:
        answer = (
            self._limited() if fault.kind == "rate_limit" else failure(fault.status, "server_error", "Server Error")
        )
        if fault.retry_after is not None:
            answer.headers["X-RateLimit-Reset"] = str(int(self.context.clock()) + fault.retry_after)
        return answer

    def expire_tokens(self) -> None:
        """An access token does not expire; it is revoked."""
        self._revoked = True

    def expired(self) -> Answer:
        return failure(401, "unauthorized", "Access Token Invalid")

    def reset(self) -> None:
        self._revoked = False
        self.window.clear()
        self.schema.reset()
        self.contacts.reset()
        self.tags.reset()
        self._leaving.clear()
        self.tables.clear()
        for table in (self.contacts.table, self.companies, self.memberships):
            table.clear()
            self.tables[table.name] = table

    def edit(self, table: Table, record_id: str, values: Row) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        table.update(entry, self._checked(table, values), self.context.clock(), PERSON)

    def add(self, table: Table, values: Row) -> str:
        return table.insert(self._checked(table, values), self.context.clock(), PERSON).id

    def remove(self, table: Table, record_id: str) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        if table is self.contacts.table:
            self.contacts.put_away(entry, for_good=False)
        else:
            table.archive(entry, self.context.clock())

    def _checked(self, table: Table, values: Row) -> Row:
        model = {"contacts": "contact", "companies": "company"}.get(table.name)
        if model is None:
            raise ValueError(f"a person does not write {table.name} here")
        if problem := self.schema.problem(model, values):
            raise ValueError(problem)
        return self.schema.stored(model, values)

    def _me(self, call: Call) -> Answer:
        call.note("check")
        app = {"type": "app", "id_code": "sandbox", "name": "Sandbox", "region": "US", "timezone": "UTC"}
        return Answer(200, {"type": "admin", "id": "1", "email": "admin@example.com", "app": app})

    # Companies

    def _upsert_company(self, call: Call) -> Answer:
        body = object_in(call)
        key = body.get("company_id")
        call.note("upsert", "companies", 1)
        if not isinstance(key, str) or not key:
            return failure(400, "parameter_not_found", "company_id is required")
        found = self.companies.find("company_id", key)
        return self._write_company(call, found[0] if found else None, key, body)

    def _update_company(self, call: Call) -> Answer:
        call.note("update", "companies", 1)
        entry = self._company(call.params["id"])
        body = {name: value for name, value in object_in(call).items() if name != "company_id"}
        return self._write_company(call, entry, entry.values["company_id"], body)

    def _write_company(self, call: Call, entry: Entry | None, key: str, body: Row) -> Answer:
        if answer := refusal(self.context, self.name, call, key, self.schema.problem("company", body)):
            self.companies.counters.refused += 1
            return answer
        values, now = self.schema.stored("company", body), self.context.clock()
        if lost(self.context.faults.for_rows(self.name, call.method, call.path), key):
            made = Entry(hex_id(2, 0), values, now, now, "", {})
            return Answer(200, self._shown(made if entry is None else entry) | {"company_id": key})
        if entry is None:
            entry = self.companies.insert(values, now)
        else:
            self.companies.update(entry, values, now)
        return Answer(200, self._shown(entry))

    def _find_company(self, call: Call) -> Answer:
        call.note("read", "companies", 1)
        self._archive_companies()
        found = self.companies.find("company_id", call.args().get("company_id", ""))
        return Answer(200, self._shown(found[0])) if found else not_found("company_not_found", "Company Not Found")

    def _read_company(self, call: Call) -> Answer:
        call.note("read", "companies", 1)
        return Answer(200, self._shown(self._company(call.params["id"])))

    def _delete_company(self, call: Call) -> Answer:
        call.note("delete", "companies", 1)
        entry = self._company(call.params["id"])
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        if not lost(faults, entry.values["company_id"]):
            self._leaving[entry.id] = self.context.clock() + self.context.settings.intercom_archive_seconds
            self._archive_companies()
        return Answer(200, {"id": entry.id, "object": "company", "deleted": True})

    def _archive_companies(self) -> None:
        """Those whose time has come, with their ties to contacts."""
        now = self.context.clock()
        for gone in [each for each, due in self._leaving.items() if due <= now]:
            del self._leaving[gone]
            if entry := self.companies.get(gone):
                self.companies.archive(entry, now)
            for tie in [tie for tie in self.memberships.live() if tie.values["company"] == gone]:
                self.memberships.archive(tie, now)

    def _company(self, record_id: str) -> Entry:
        self._archive_companies()
        entry = self.companies.get(record_id)
        if entry is None:
            raise not_found("company_not_found", "Company Not Found", raised=True)
        return entry

    def _shown(self, entry: Entry) -> Row:
        values = entry.values
        plan = {"type": "plan", "id": "1", "name": values["plan"]} if values.get("plan") else {}
        own = {name: value for name, value in values.items() if "." not in name and name != "plan"}
        times = {"created_at": whole(entry.created_at), "updated_at": whole(entry.updated_at)}
        ties = [tie for tie in self.memberships.live() if tie.values["company"] == entry.id] if entry.created_by else []
        shown = {"type": "company", "id": entry.id, "app_id": "sandbox", "plan": plan, "user_count": len(ties)}
        return shown | own | times | {"custom_attributes": self.schema.custom(values)}

    # Contacts of companies

    def _attach(self, call: Call) -> Answer:
        call.note("upsert", "company_memberships", 1)
        contact, wanted = self.contacts.known(call.params["id"]), object_in(call).get("id")
        if not wanted:
            return failure(400, "parameter_not_found", "company not specified")
        company, key = self._company(str(wanted)), f"{contact.id}/{wanted}"
        entry = self.memberships.entries.get(key)
        if entry is None or entry.archived:
            values = {"contact": contact.id, "company": company.id}
            self.memberships.insert(values, self.context.clock(), record_id=key)
        return Answer(200, self._shown(company))

    def _detach(self, call: Call) -> Answer:
        call.note("delete", "company_memberships", 1)
        contact, company = self.contacts.known(call.params["id"]), self._company(call.params["company"])
        entry = self.memberships.get(f"{contact.id}/{company.id}")
        if entry is None:
            return not_found("company_not_found", "Company Not Found")
        self.memberships.archive(entry, self.context.clock())
        return Answer(200, self._shown(company))

    def _companies_of(self, call: Call) -> Answer:
        contact = self.contacts.known(call.params["id"])
        own = [tie.values["company"] for tie in self.memberships.live() if tie.values["contact"] == contact.id]
        return Answer(200, {"type": "list", "data": [self._shown(self._company(each)) for each in own]})
