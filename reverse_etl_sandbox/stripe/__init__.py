"""Stripe's API: keys, modes, limits and idempotency. Customers and billing have their own files.

Paths: ``/stripe/v1/...`` and ``/stripe/v2/...``; the meter event stream is at the same base.
Sources: "Authentication", "Errors", "Idempotent requests" (Stripe API reference), "Rate limits" (docs.stripe.com), the
official SDK's rules for retries.
"""

from __future__ import annotations

import base64
import binascii
import re
from itertools import count
from typing import Any

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.limits import RollingWindow
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Table
from reverse_etl_sandbox.stripe.billing import Billing
from reverse_etl_sandbox.stripe.customers import Customers, mode_of
from reverse_etl_sandbox.stripe.requests import KeptAnswers, failure
from reverse_etl_sandbox.wire import Answer, Call, Handler, Refused, Router

VERSION = "2026-05-27.dahlia"
NAMED = "2024-09-30"
"""From here on versions carry the name of a release, and there is /v2 ("API versions", docs.stripe.com; a version
without its name is invalid: stripe-node, issue 2387; both read 2026-11-30). Older ones are taken for good by /v1."""
_DAY = re.compile(r"20\d\d-\d\d-\d\d")
ACCOUNT = "acct_sandbox"
STREAM = "/v2/billing/meter_event_stream"
_KEY = re.compile(r"[sr]k_(?:test|live)_\w+")
_PERMISSIONS = (
    ("/v1/customers", "rak_customer"),
    ("/v1/billing/meter_events", "rak_billing_meter_event"),
    ("/v2/billing/meter_event_session", "rak_billing_meter_event"),
    ("/v1/billing/meters", "rak_billing_meter"),
    ("/v2/core/events", "rak_event"),
)


_CUSTOMER = ("currency", "delinquent", "discount", "invoice_prefix", "next_invoice_sequence", "test_clock")
SPARSE = (
    Sparse(r"/v1/customers(/cus_\w+)?$", _CUSTOMER),
    Sparse(r"POST /v1/billing/meter_events$", ("livemode",)),
    Sparse(r"/v1/customers/search", ("total_count", "url")),
    Sparse(r".", ("error.code", "error.doc_url", "error.param", "error.request_log_url")),
)
"""Optional as far as we know of Stripe's OpenAPI description (its file was not at hand on 2026-11-30): of a customer
all but `id`, `object`, `created`, `email`, `description`, `livemode`, `default_source`, `shipping`; of an error all but
`type`. What a sync has written is kept, and so are the words of an error.
"""


class Stripe:
    """The API and its records."""

    name = "stripe"
    title = "Stripe"
    mounts: Mounts = (("/stripe", "/stripe"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tables: dict[str, Table] = {
            "customers": Table("customers", _customer_id),
            "meter_events": Table("meter_events", str),
        }
        self.customers = Customers(context, self.tables["customers"])
        self.billing = Billing(context, self.tables["customers"], self.tables["meter_events"])
        self.revoked: set[str] = set()
        self._kept = KeptAnswers(context.clock)
        self._windows: dict[str, RollingWindow] = {}
        self._requests = count(1)
        routes = [*self.customers.routes(), *self.billing.routes()]
        self.router = Router([(method, path, self._once(handler)) for method, path, handler in routes])
        self.billing.reset()

    def is_open(self, call: Call) -> bool:
        return False

    def authenticate(self, call: Call) -> Answer | None:
        if call.path == STREAM:
            return self.billing.admits(call)
        key = _key(call)
        if not _KEY.fullmatch(key) or key in self.revoked:
            return self.expired(key)
        permission = self._needed(call)
        allowed = self.context.settings.stripe_permissions.split()
        if key.startswith("rk_") and allowed and permission not in allowed:
            told = f"The provided key '{key[:8]}*********{key[-4:]}' does not have the required permissions for this"
            told += f" endpoint on account '{ACCOUNT}'. Having the '{permission}' permission would allow this request"
            return failure(403, f"{told} to continue.")
        return None

    def _needed(self, call: Call) -> str:
        what = next((name for start, name in _PERMISSIONS if call.path.startswith(start)), "rak_other")
        return f"{what}_{'read' if call.method == 'GET' else 'write'}"

    def admit(self, call: Call) -> Answer | None:
        """A limit for the account, and one for each endpoint; v1 meter events have their own in live mode."""
        asked = call.headers.get("stripe-version", VERSION)
        day, _, name = asked.partition(".")
        if not _DAY.fullmatch(day) or day > self.context.settings.stripe_newest_version or (day >= NAMED) != bool(name):
            return failure(400, f"Invalid Stripe API version: {asked}")
        if call.path.startswith("/v2/") and day < NAMED:
            return failure(400, f"This endpoint is not supported on api version {asked}")
        settings, live = self.context.settings, mode_of(call) == "live"
        endpoint = f"{call.method} {_endpoint(call.path)}"
        events = endpoint == "POST /v1/billing/meter_events" and live
        if call.path.endswith("/search"):
            most = settings.stripe_searches
        else:
            most = settings.stripe_live_events if events else settings.stripe_endpoint_requests
        everything = settings.stripe_live_requests if live else settings.stripe_test_requests
        limits = [(f"{live} {endpoint}", most, "endpoint-rate")]
        if not events:
            limits.append((f"{live}", everything, "global-rate"))
        windows = [(self._window(name, most), why) for name, most, why in limits]
        for window, why in windows:
            if window.remaining() == 0:
                call.limit = why
                return _limited(why)
        for window, _ in windows:
            window.admit()
        return None

    def _window(self, name: str, most: int) -> RollingWindow:
        name = f"{name} {most}"
        if name not in self._windows:
            self._windows[name] = RollingWindow(lambda: most, lambda: 1.0, self.context.clock)
        return self._windows[name]

    def headers(self, call: Call) -> dict[str, str]:
        told = {"Request-Id": f"req_{next(self._requests):014d}", "Stripe-Version": VERSION}
        key = call.headers.get("idempotency-key")
        return told | ({"Idempotency-Key": key} if key else {})

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        return failure(404, f"Unrecognized request URL ({call.method}: {call.path}).")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            return _limited("global-rate")
        if fault.status == 409:
            told = "There is currently another in-progress request using this Idempotent Key."
            return failure(409, told, "idempotency_key_in_use", kind="idempotency_error")
        return failure(fault.status, "An unknown error occurred", kind="api_error")

    def expire_tokens(self) -> None:
        """Sessions of the stream end; keys stay."""
        self.billing.sessions.clear()

    def expired(self, key: str = "sk_test_") -> Answer:
        return failure(401, f"Invalid API Key provided: {key[:8]}*********{key[-4:]}")

    def reset(self) -> None:
        self.customers.clear()
        self.billing.reset()
        self.revoked.clear()
        self._kept.clear()
        self._windows.clear()

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        try:
            self.customers.save(entry, values, "test", PERSON)
        except Refused as refused:
            raise ValueError(refused.answer.content["error"]["message"]) from None

    def add(self, table: Table, values: dict[str, Any]) -> str:
        """``id`` may be given: a customer that was there before. It does not count as created."""
        given = {name: value for name, value in values.items() if name != "id"}
        try:
            entry = self.customers.save(None, given, "test", PERSON)
        except Refused as refused:
            raise ValueError(refused.answer.content["error"]["message"]) from None
        table.counters.created -= 1
        if "id" in values:
            entry.id, mode = values["id"], self.customers.modes.pop(entry.id)
            self.customers.modes[entry.id] = mode
            table.entries[entry.id] = table.entries.pop(_customer_id(table.sequence))
        return entry.id

    def remove(self, table: Table, record_id: str) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        table.archive(entry, self.context.clock())

    def _once(self, handler: Handler) -> Handler:
        return lambda call: self._kept.once(call, handler) if call.method == "POST" else handler(call)


def _customer_id(number: int) -> str:
    return f"cus_{number:014d}"


def _key(call: Call) -> str:
    scheme, _, given = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return given
    try:
        return base64.b64decode(given).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _endpoint(path: str) -> str:
    """The named operation that a path is of: ids of records do not count."""
    return re.sub(r"/(?:cus|mtr|evt)_\w+", "/{id}", path)


def _limited(why: str) -> Answer:
    answer = failure(429, "Request rate limit exceeded. Learn more about rate limits.", "rate_limit")
    answer.headers["Stripe-Rate-Limited-Reason"] = why
    return answer
