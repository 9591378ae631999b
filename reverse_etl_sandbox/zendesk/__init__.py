"""Zendesk Support: users, organizations and tickets, one at a time or as jobs of 100, and their custom fields.

Below ``/zendesk`` as below ``https://{subdomain}.zendesk.com``; ``.json`` at the end of a path is optional. Source:
Zendesk's API reference ("Users", "Organizations", "Tickets", "Job Statuses", "Rate limits") and, for the results of
``create_or_update_many``, the post "Create or Update Many Users response specifications" of its developer community.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from reverse_etl_sandbox.faults import Fault, lost
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.limits import RollingWindow
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Entry, Table
from reverse_etl_sandbox.wire import Answer, Call, Router
from reverse_etl_sandbox.zendesk.jobs import Jobs
from reverse_etl_sandbox.zendesk.records import Kind, RowRefused, Values, Written, kinds, matching, save, shown
from reverse_etl_sandbox.zendesk.requests import body_part, failure, forbidden, listed, refuse_by_fault
from reverse_etl_sandbox.zendesk.tokens import Tokens, invalid_token

SPARSE = (
    Sparse(r"POST /oauth/tokens", ("expires_in", "scope", "refresh_token")),
    Sparse(
        r"/(users|organizations|tickets)",
        tuple(
            f"{part}.{name}"
            for part in ("user", "organization", "ticket", "users.*", "organizations.*", "tickets.*")
            for name in ("url", "created_at", "updated_at", "active")
        ),
    ),
    Sparse(r"GET .*/(users|organizations|tickets)/show_many", ("next_page", "previous_page", "count")),
    Sparse(
        r"GET .*_fields",
        ("next_page", "count", *(f"{kind}_fields.*.active" for kind in ("user", "organization", "ticket"))),
    ),
    Sparse(
        r"/(job_statuses|\w+_many)",
        (
            *(f"job_status.{name}" for name in ("job_type", "url", "total", "progress", "message")),
            *(f"job_status.results.*.{name}" for name in ("email", "index", "action", "external_id")),
        ),
    ),
)
"""Of a record its name alone is required, of a job nothing but its id and its status, of a result no `index` ("Users",
"Job Statuses" of Zendesk's API reference and its OpenAPI description)."""


class Zendesk:
    """One account and what it holds."""

    name = "zendesk"
    title = "Zendesk"
    mounts: Mounts = (("/zendesk", "/zendesk"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        settings = context.settings
        self.window = RollingWindow(
            lambda: settings.zendesk_requests, lambda: settings.zendesk_window_seconds, context.clock
        )
        self.kinds: dict[str, Kind] = {}
        self.tables: dict[str, Table] = {}
        self._jobs = Jobs(context)
        self.tokens = Tokens(context)
        self.reset()
        root, end = "/api/v2", r"(?:\.json)?"
        many = r"/{objects:users|organizations|tickets}"
        self.router = Router(
            [
                ("POST", "/oauth/tokens", self.tokens.create),
                ("POST", rf"{root}/{{objects:users}}/create_or_update_many{end}", self._upsert_many),
                ("POST", rf"{root}/{{objects:users|organizations}}/create_or_update{end}", self._upsert),
                ("PUT", rf"{root}{many}/update_many{end}", self._update_many),
                ("DELETE", rf"{root}{many}/destroy_many{end}", self._delete_many),
                ("GET", rf"{root}{many}/show_many{end}", self._show_many),
                ("GET", rf"{root}{many}/{{id:\d+}}{end}", self._show),
                ("PUT", rf"{root}{many}/{{id:\d+}}{end}", self._update),
                ("DELETE", rf"{root}{many}/{{id:\d+}}{end}", self._delete),
                ("GET", rf"{root}/{{one:user|organization|ticket}}_fields{end}", self._fields),
                ("GET", rf"{root}/job_statuses/show_many{end}", self._jobs.poll_many),
                ("GET", rf"{root}/job_statuses/{{id:\w+}}{end}", self._jobs.poll),
            ]
        )

    def is_open(self, call: Call) -> bool:
        return call.path.endswith("/oauth/tokens")

    def authenticate(self, call: Call) -> Answer | None:
        return self.tokens.refusal(call)

    def admit(self, call: Call) -> Answer | None:
        if self.window.admit():
            return None
        call.limit = "minute"
        return self._limited(self.window.wait())

    def headers(self, call: Call) -> dict[str, str]:
        limit, left = str(self.context.settings.zendesk_requests), str(self.window.remaining())
        return {
            "X-Rate-Limit": limit,
            "X-Rate-Limit-Remaining": left,
            "ratelimit-limit": limit,
            "ratelimit-remaining": left,
            "ratelimit-reset": str(self.window.wait()),
        }

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        return failure(404, "InvalidEndpoint", "Not found")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            return self._limited(1 if fault.retry_after is None else fault.retry_after)
        answer = Answer(fault.status, {"status": fault.status, "error": "Internal Server Error"})
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def expire_tokens(self) -> None:
        """Of OAuth: an API token has no end."""
        self.tokens.clear()

    def expired(self) -> Answer:
        return invalid_token()

    def reset(self) -> None:
        self.kinds = kinds()
        self.tables = {name: kind.table for name, kind in self.kinds.items()}
        self._jobs.jobs.clear()
        self.window.clear()

    def edit(self, table: Table, record_id: str, values: Values) -> None:
        """Fields by the names they have here: `user_fields.customer_tier`. Raises KeyError or ValueError."""
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        self._by_hand(table, entry, values)

    def add(self, table: Table, values: Values) -> str:
        return self._by_hand(table, None, values).id

    def remove(self, table: Table, record_id: str) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        table.archive(entry, self.context.clock())

    def _by_hand(self, table: Table, entry: Entry | None, values: Values) -> Entry:
        kind = self.kinds[table.name]
        given = {name: value for name, value in values.items() if "." not in name}
        custom = {name.partition(".")[2]: value for name, value in values.items() if "." in name}
        given[kind.group] = custom
        try:
            return save(kind, entry, given, self.context.clock(), PERSON)[0]
        except RowRefused as refused:
            raise ValueError(refused.message) from None

    def _limited(self, wait: int) -> Answer:
        answer = failure(429, "APIRateLimitExceeded", "Number of allowed API requests per minute exceeded")
        answer.headers["Retry-After"] = str(wait)
        return answer

    # One record

    def _upsert(self, call: Call) -> Answer:
        kind, given = self._kind(call, "upsert"), self._body(call)
        return self._one(call, kind, str(given.get("external_id", "")), lambda: self._saved(kind, given, upsert=True))

    def _update(self, call: Call) -> Answer:
        kind, given = self._kind(call, "update"), self._body(call)
        return self._one(call, kind, call.params["id"], lambda: self._saved(kind, given | {"id": call.params["id"]}))

    def _delete(self, call: Call) -> Answer:
        kind = self._kind(call, "delete")
        return self._one(call, kind, call.params["id"], lambda: self._deleted(kind, call.params["id"]))

    def _one(self, call: Call, kind: Kind, key: str, write: Callable[[], Written]) -> Answer:
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        try:
            refuse_by_fault(faults, key)
            entry, said, undo = write()
        except RowRefused as refused:
            kind.table.counters.refused += 1
            if refused.code == "RecordNotFound":
                return failure(404, "RecordNotFound", "Not found")
            details = {refused.field: [{"description": refused.message, "error": refused.code}]}
            return failure(422, "RecordInvalid", "Record validation errors", details=details)
        if lost(faults, key):
            undo()
        if call.method == "DELETE" and kind.name != "users":
            return Answer(204)
        return Answer(201 if said == "Created" else 200, {kind.one: shown(kind, entry, call.base_url)})

    def _show(self, call: Call) -> Answer:
        kind = self._kind(call, "read")
        entry = kind.table.get(call.params["id"])
        if entry is None:
            return failure(404, "RecordNotFound", "Not found")
        return Answer(200, {kind.one: shown(kind, entry, call.base_url)})

    def _show_many(self, call: Call) -> Answer:
        """Those that are there, in no order of the request."""
        kind, args = self._kind(call, "read"), call.args()
        entries = [kind.table.get(each) for each in listed(args, "ids")]
        if kind.name != "tickets":
            for each in listed(args, "external_ids"):
                entries += kind.table.find("external_id", each)
        found = {entry.id: entry for entry in entries if entry is not None}
        call.rows = len(found)
        told = [shown(kind, found[each], call.base_url) for each in sorted(found, reverse=True)]
        return Answer(200, {kind.name: told, "next_page": None, "previous_page": None, "count": len(told)})

    def _fields(self, call: Call) -> Answer:
        call.note("describe", call.params["one"])
        kind = self.kinds[f"{call.params['one']}s"]
        told = [each.as_json(at) for at, each in enumerate(kind.custom.values(), 1)]
        return Answer(200, {f"{call.params['one']}_fields": told, "next_page": None, "count": len(told)})

    # Jobs

    def _upsert_many(self, call: Call) -> Answer:
        kind = self._kind(call, "bulk upsert")
        if not self.context.settings.zendesk_bulk_import:
            return forbidden()
        rows = self._rows(call, kind)
        work = [(str(each.get("external_id")), partial(self._saved, kind, each, upsert=True)) for each in rows]
        return self._jobs.open(call, kind, "create_or_update", work)

    def _update_many(self, call: Call) -> Answer:
        kind = self._kind(call, "bulk update")
        rows = self._rows(call, kind)
        work = [(str(each.get("id")), partial(self._saved, kind, each)) for each in rows]
        return self._jobs.open(call, kind, "update", work)

    def _delete_many(self, call: Call) -> Answer:
        kind = self._kind(call, "bulk delete")
        work = [(each, partial(self._deleted, kind, each)) for each in listed(call.args(), "ids")]
        return self._jobs.open(call, kind, "destroy", work)

    # What is written

    def _saved(self, kind: Kind, given: Values, *, upsert: bool = False) -> Written:
        if upsert:
            return save(kind, matching(kind, given), given, self.context.clock())
        known = matching(kind, {"id": given.get("id")})
        if known is None:
            raise RowRefused("RecordNotFound", "Not found")
        return save(kind, known, given, self.context.clock())

    def _deleted(self, kind: Kind, record_id: str) -> Written:
        entry = kind.table.get(record_id)
        if entry is None:
            raise RowRefused("RecordNotFound", "Not found")
        undo = kind.table.undo_archive(entry)
        kind.table.archive(entry, self.context.clock())
        kind.identities = {email: holder for email, holder in kind.identities.items() if holder != entry.id}
        return entry, "Deleted", undo

    def _kind(self, call: Call, operation: str) -> Kind:
        kind = self.kinds[call.params["objects"]]
        call.note(operation, kind.name, 1)
        return kind

    def _body(self, call: Call) -> Values:
        body: Values = body_part(call, self.kinds[call.params["objects"]].one)
        return body

    def _rows(self, call: Call, kind: Kind) -> list[Values]:
        return [row for row in body_part(call, kind.name, list) if isinstance(row, dict)]
