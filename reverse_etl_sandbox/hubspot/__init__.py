"""HubSpot CRM API: limits, single records, account info. The rest has its own files.

Paths: ``/crm/v3/objects/...`` and the date versions ``/crm/objects/2026-03/...``. Lists and associations, too.
Sources: HubSpot API usage guidelines (limits, headers, 429 body), HubSpot error handling guide, CRM objects guide.
"""

from __future__ import annotations

from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.hubspot import scopes as hubspot_scopes
from reverse_etl_sandbox.hubspot.associations import Associations
from reverse_etl_sandbox.hubspot.batch import Batches
from reverse_etl_sandbox.hubspot.lists import Lists
from reverse_etl_sandbox.hubspot.properties import Properties
from reverse_etl_sandbox.hubspot.records import SYSTEM, Records, refuse_by_fault, refuse_by_rule, shown
from reverse_etl_sandbox.hubspot.requests import body_object, failure, object_of, refusal
from reverse_etl_sandbox.hubspot.schema import ObjectType
from reverse_etl_sandbox.hubspot.search import Search
from reverse_etl_sandbox.hubspot.values import PORTAL_ID, RowRefused, converted
from reverse_etl_sandbox.limits import DailyAllowance, RollingWindow
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Entry, Table, fold
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused, Router

TOKEN = "pat-sandbox"  # noqa: S105 - a published value of the sandbox
WINDOW_SECONDS = 10.0
_DATE = r"{version:2026-0[39]}"  # those that there are; another is no path


_PROPERTY = ("hasUniqueValue", "calculated", "hidden", "displayOrder", "externalOptions", "formField", "hubspotDefined")
SPARSE = (
    Sparse(r"/batch/(upsert|update|read)$", statuses=(200, 207)),
    Sparse(r"/batch/create$", statuses=(201, 207)),
    Sparse(r"/objects/.*/batch/", tuple(f"results.*.properties.{name}" for name in SYSTEM)),
    Sparse(r"/batch/", ("requestedAt", "links", "numErrors", "errors.*.context", "errors.*.status")),
    Sparse(
        r"GET .*/properties/", tuple(f"results.*.{name}" for name in (*_PROPERTY, "archived", "createdAt", "updatedAt"))
    ),
    Sparse(r"GET .*/lists/\d+$", ("list.createdAt", "list.updatedAt", "list.size")),
    Sparse(r"/account-info/", ("accountType", "additionalCurrencies", "dataHostingLocation", "uiDomain")),
    Sparse(r".", ("correlationId", "category", "subCategory", "links", "errorType", "requestId")),
)
"""Optional by HubSpot's public API specifications (objects, properties and lists of 2026-09, read 2026-11-30); of an
error every part is ("Error handling": all should be treated as optional), but for its words. Of a property
`modificationMetadata` is kept, though it is optional: without it nobody could know what is read-only."""


class HubSpot:
    """The API and its records."""

    name = "hubspot"
    title = "HubSpot"
    mounts: Mounts = (("/hubspot", "/hubspot"), ("/crm", ""), ("/account-info", ""))
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        self.records = Records(context.clock)
        self.tables: dict[str, Table] = self.records.tables
        settings, clock = context.settings, context.clock
        self.window = RollingWindow(lambda: settings.hubspot_ten_second_requests, lambda: WINDOW_SECONDS, clock)
        self.searches = RollingWindow(lambda: settings.hubspot_search_requests, lambda: 1.0, clock)
        self.daily = DailyAllowance(
            lambda: settings.hubspot_daily_requests, lambda: settings.hubspot_other_requests, clock
        )
        self._batches = Batches(context, self.records)
        self._batches.reset()
        self.lists, self._associations = Lists(context, self.records), Associations(context, self.records)
        self.lists.reset()
        search, properties = Search(context, self.records), Properties(self.records)
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/account-info/v3/details", self._account),
            ("GET", f"/account-info/{_DATE}/details", self._account),
            ("GET", "/account-info/v3/api-usage", self._usage),
        ]
        for root in ("/crm/v3/objects", f"/crm/objects/{_DATE}"):
            one = f"{root}/{{object}}"
            routes += [
                *self._batches.routes(one),
                ("POST", f"{one}/search", search.search),
                ("POST", f"{root}/{{object:contacts|0-1}}/gdpr-delete", self._forget),
                ("POST", one, self._create),
                ("GET", one, search.list),
                ("GET", f"{one}/{{id}}", self._read),
                ("PATCH", f"{one}/{{id}}", self._update),
                ("DELETE", f"{one}/{{id}}", self._archive),
            ]
        for root in ("/crm/v3/properties", f"/crm/properties/{_DATE}"):
            routes += properties.routes(f"{root}/{{object}}")
        for root in ("/crm/v3/lists", f"/crm/lists/{_DATE}"):
            routes += self.lists.routes(root)
        for root in ("/crm/v4/associations", f"/crm/associations/{_DATE}"):
            routes += self._associations.routes(root)
        self.router = Router(routes)

    def is_open(self, call: Call) -> bool:
        return False

    def authenticate(self, call: Call) -> Answer | None:
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return self.expired()
        if self.context.settings.hubspot_key_expired:
            return failure(401, "The access token is expired.", "EXPIRED_AUTHENTICATION")
        missing = self.context.settings.hubspot_missing_scope
        return hubspot_scopes.refusal(missing) if missing and missing == hubspot_scopes.needed(call) else None

    def admit(self, call: Call) -> Answer | None:
        if call.path.endswith("/search") and not self.searches.admit():
            return self._limited(call, "SECONDLY", "secondly")
        if self.window.remaining() == 0:
            return self._limited(call, "TEN_SECONDLY_ROLLING", "ten_secondly_rolling")
        if not self.daily.admit():
            return self._limited(call, "DAILY", "daily")
        self.window.admit()
        return None

    def headers(self, call: Call) -> dict[str, str]:
        # The search endpoints answer without these (HubSpot API usage guidelines).
        if call.path.endswith("/search"):
            return {}
        settings = self.context.settings
        return {
            "X-HubSpot-RateLimit-Daily": str(settings.hubspot_daily_requests),
            "X-HubSpot-RateLimit-Daily-Remaining": str(self.daily.remaining()),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(int(WINDOW_SECONDS * 1_000)),
            "X-HubSpot-RateLimit-Max": str(settings.hubspot_ten_second_requests),
            "X-HubSpot-RateLimit-Remaining": str(self.window.remaining()),
        }

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        if allowed:
            return failure(405, f"Method {call.method} is not allowed here", "METHOD_NOT_ALLOWED")
        return failure(404, "resource not found", "OBJECT_NOT_FOUND")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            answer = (
                _rate_limited("DAILY", "daily")
                if fault.daily
                else _rate_limited("TEN_SECONDLY_ROLLING", "ten_secondly_rolling")
            )
        else:
            answer = failure(fault.status, "internal error", "INTERNAL_ERROR")
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def expire_tokens(self) -> None:
        """A service key cannot be renewed: it stays valid for the next request."""

    def expired(self) -> Answer:
        text = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
        return failure(401, text, "INVALID_AUTHENTICATION")

    def reset(self) -> None:
        for part in (self.records, self._batches, self.lists, self._associations):
            part.reset()
        for limit in (self.window, self.searches, self.daily):
            limit.clear()

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        kind = self.records.objects[table.name]
        try:
            self.records.save(kind, entry, converted(kind, values), PERSON)
        except RowRefused as refused:
            raise ValueError(refused.message) from None

    def add(self, table: Table, values: dict[str, Any]) -> str:
        kind = self.records.objects[table.name]
        try:
            return self.records.save(kind, None, converted(kind, values), PERSON).id
        except RowRefused as refused:
            raise ValueError(refused.message) from None

    def remove(self, table: Table, record_id: str) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        self.records.archive(self.records.objects[table.name], entry)

    def _limited(self, call: Call, policy: str, name: str) -> Answer:
        call.limit = name
        return _rate_limited(policy, name)

    def _account(self, call: Call) -> Answer:
        call.note("account")
        return Answer(
            200,
            {
                "portalId": PORTAL_ID,
                "accountType": "DEVELOPER_TEST",
                "timeZone": "UTC",
                "utcOffset": "+00:00",
                "utcOffsetMilliseconds": 0,
                "companyCurrency": "USD",
                "additionalCurrencies": [],
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "na1",
            },
        )

    def _usage(self, call: Call) -> Answer:
        call.note("account")
        most = self.context.settings.hubspot_daily_requests
        used = {"name": "private-apps-api-calls-daily", "usageLimit": most, "currentUsage": self.daily.used}
        return Answer(200, {"results": [used]})

    def _create(self, call: Call) -> Answer:
        kind = object_of(self.records, call)
        call.note("insert", kind.name, 1)
        given = _properties(call)
        try:
            self._refuse_by_fault(call, given.get("external_id") or given.get("email", ""))
            refuse_by_rule(self.context.settings.hubspot_rule, call, None, values := converted(kind, given))
            entry = self.records.save(kind, None, values)
        except RowRefused as refused:
            return refusal(refused)
        return Answer(201, shown(kind, entry))

    def _read(self, call: Call) -> Answer:
        kind, entry = self._found(call, "read", archived=call.args().get("archived", "").lower() == "true")
        wanted = call.args().get("properties")
        return Answer(200, shown(kind, entry, wanted.split(",") if wanted else ()))

    def _update(self, call: Call) -> Answer:
        kind, entry = self._found(call, "update")
        try:
            self._refuse_by_fault(call, call.params["id"])
            refuse_by_rule(
                self.context.settings.hubspot_rule, call, entry, values := converted(kind, _properties(call))
            )
            self.records.save(kind, entry, values)
        except RowRefused as refused:
            return refusal(refused)
        return Answer(200, shown(kind, entry))

    def _archive(self, call: Call) -> Answer:
        kind = object_of(self.records, call)
        call.note("delete", kind.name, 1)
        entry = self.records.find(kind, "", call.params["id"])
        if entry is not None:
            self.records.archive(kind, entry)
        return Answer(204)

    def _forget(self, call: Call) -> Answer:
        """Delete a contact for good; an address that is not there is barred ("Permanently delete a contact
        (GDPR-compliant)", HubSpot's reference)."""
        kind = object_of(self.records, call)
        body = body_object(call)
        call.note("delete", kind.name, 1)
        if not body.get("objectId"):
            raise Refused(failure(400, "Invalid input JSON: some required fields were not set: [objectId]"))
        by, value = self._key(kind, str(body.get("idProperty") or "")), str(body["objectId"])
        entry = self.records.find(kind, by, value)
        if entry is not None:
            self.tables[kind.name].purge(entry)
        elif by == "email":
            self.records.barred.add(fold(value))
        return Answer(204)

    def _found(self, call: Call, operation: str, archived: bool = False) -> tuple[ObjectType, Entry]:
        kind = object_of(self.records, call)
        call.note(operation, kind.name, 1)
        id_property = self._key(kind, call.args().get("idProperty", ""))
        entry = self.records.find(kind, id_property, call.params["id"])
        if archived:
            entry = self.tables[kind.name].entries.get(call.params["id"])
            entry = entry if entry is not None and entry.archived else None
        if entry is None:
            raise Refused(self.not_found(call, []))
        return kind, entry

    def _key(self, kind: ObjectType, name: str) -> str:
        if name and name != "hs_object_id" and name not in self.tables[kind.name].keys:
            raise Refused(failure(400, f"Unable to perform this by non-unique {kind.type_id} property {name}"))
        return name

    def _refuse_by_fault(self, call: Call, key: object) -> None:
        refuse_by_fault(self.context.faults.for_rows(self.name, call.method, call.path), key)


def _properties(call: Call) -> dict[str, Any]:
    given = body_object(call).get("properties")
    if not isinstance(given, dict):
        raise Refused(failure(400, "Invalid input JSON: some required fields were not set: [properties]"))
    return given


def _rate_limited(policy: str, name: str) -> Answer:
    told = failure(429, f"You have reached your {name} limit.", "RATE_LIMITS")
    told.content |= {"errorType": "RATE_LIMIT", "policyName": policy, "requestId": told.content["correlationId"]}
    return told
