"""Meta's Graph API as far as custom audiences go, below ``/meta``.

- ``GET|DELETE /v26.0/{audience}``, ``GET|POST /v26.0/act_{account}/customaudiences``;
- ``POST|DELETE /v26.0/{audience}/users``: up to 10,000 entries; the answer has counts and samples, and names nobody;
- ``POST /v26.0/{audience}/usersreplace``: batches of a session, the audience changes with the last one or after 90
  minutes; ``GET /v26.0/{audience}/sessions``.

Parameters are taken from the query, a form, or a JSON body. Audiences that are there: ``AUDIENCES``.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from typing import Any

import msgspec

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.limits import RollingWindow
from reverse_etl_sandbox.meta_ads.audiences import Audience, Session, Upload
from reverse_etl_sandbox.meta_ads.requests import (
    counted,
    entries,
    failure,
    finished,
    in_progress,
    parameters,
    session_of,
)
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import Table
from reverse_etl_sandbox.wire import Answer, Call, Refused, Router

_VERSION = re.compile(r"/v(\d+)\.(\d+)/")
TOKEN = "EAAsandbox"  # noqa: S105 - the sandbox's own
AD_ACCOUNT = "1234567890"
CUSTOMERS, REPLACED, LOOKALIKE, FLAGGED, BY_VALUE = (f"12020000000000000{n}" for n in range(1, 6))
_FLAGGED = "The custom audience or lookalike is blocked because it suggests information not allowed under Meta's terms."


def audiences() -> list[Audience]:
    """Those of a new sandbox."""
    return [
        Audience(CUSTOMERS, "Customers who opted in"),
        Audience(REPLACED, "All customers"),
        Audience(LOOKALIKE, "Like our customers", subtype="LOOKALIKE"),
        Audience(FLAGGED, "High income", status=(471, _FLAGGED)),
        Audience(BY_VALUE, "Customers by value", value_based=True),
    ]


SPARSE = (
    Sparse(r"/users$", ("audience_id", "session_id")),
    Sparse(r"GET ", ("paging", "is_value_based", "data.*.start_time", "data.*.end_time")),
    Sparse(r".", tuple(f"error.{name}" for name in ("error_user_title", "error_user_msg", "fbtrace_id", "type"))),
)
"""Of an error only its code and message are always there ("Handling Errors", Graph API)."""


class MetaAds:
    """One ad account and its audiences."""

    name = "meta_ads"
    title = "Meta Ads"
    mounts: Mounts = (("/meta", "/meta"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        settings = context.settings
        self.window = RollingWindow(lambda: settings.meta_ads_calls, lambda: 3_600.0, context.clock)
        self.audiences: dict[str, Audience] = {}
        self.tables: dict[str, Table] = {}
        self._sequence = 5
        self._minutes = 0
        for audience in audiences():
            self._keep(audience)
        version = r"/{version:v\d+\.\d+}"
        self.router = Router(
            [
                ("POST", version + "/act_{account}/customaudiences", self._create),
                ("GET", version + "/act_{account}/customaudiences", self._list),
                ("POST DELETE", version + "/{id}/users", self._users),
                ("POST", version + "/{id}/usersreplace", self._replace),
                ("GET", version + "/{id}/sessions", self._sessions),
                ("GET", version + "/{id}", self._read),
                ("DELETE", version + "/{id}", self._delete),
            ]
        )

    def is_open(self, call: Call) -> bool:
        return False

    def authenticate(self, call: Call) -> Answer | None:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        secret = self.context.settings.meta_ads_app_secret
        sent = parameters(call) if secret or not token else {}
        if (token or sent.get("access_token")) != TOKEN:
            return self.expired()
        if not secret:
            return None
        proof = hmac.new(secret.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
        if sent.get("appsecret_proof") == proof:
            return None
        return failure(100, "API calls from the server require an appsecret_proof argument")

    def admit(self, call: Call) -> Answer | None:
        """Versions of the Marketing API end; from 2024-05 on Meta may take such a call for one of the next version, or
        refuse it ("Upcoming change in Marketing API version deprecation", Meta's blog, 2024-04-16)."""
        settings, version = self.context.settings, _VERSION.match(call.path)
        newest = settings.meta_ads_newest_version
        if version and int(version[1]) < settings.meta_ads_oldest_version:
            told = "(#2635) You are calling a deprecated version of the Ads API. Please update to the latest version:"
            return failure(2635, f"{told} v{newest}.0.")
        if version and (int(version[1]) > newest or version[2] != "0"):
            return self.not_found(call, [])
        if self.window.admit():
            return None
        call.limit = "hour"
        return self._throttled()

    def headers(self, call: Call) -> dict[str, str]:
        most = max(1, self.context.settings.meta_ads_calls)
        used = 100 * (most - self.window.remaining()) // most
        minutes, self._minutes = max(self._minutes, math.ceil(self.window.wait() / 60)), 0
        usage = {"type": "custom_audience", "call_count": used, "total_cputime": 1, "total_time": 1}
        usage |= {"estimated_time_to_regain_access": minutes, "ads_api_access_tier": "standard_access"}
        return {
            "X-Business-Use-Case-Usage": msgspec.json.encode({AD_ACCOUNT: [usage]}).decode(),
            "facebook-api-version": call.path.split("/")[1] if call.path.count("/") > 1 else "v26.0",
        }

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        return failure(2500, f"Unknown path components: {call.path}")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            self._minutes = math.ceil((fault.retry_after or 0) / 60)
            return self._throttled()
        if fault.status == 503:
            return failure(2, "Service temporarily unavailable", status=503, is_transient=True)
        return failure(1, "An unknown error occurred", status=fault.status)

    def _throttled(self) -> Answer:
        return failure(80003, "There have been too many calls to this ad-account. Wait a bit and try again.", 2446079)

    def expire_tokens(self) -> None:
        """A system user's token cannot be renewed: it stays valid for the next request."""

    def expired(self) -> Answer:
        return failure(190, "Error validating access token: Session has expired.", 463, status=401)

    def reset(self) -> None:
        self.audiences.clear()
        self.tables.clear()
        self.window.clear()
        self._sequence = 5
        for audience in audiences():
            self._keep(audience)

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        raise ValueError("nobody sees the people of a Meta audience")

    def add(self, table: Table, values: dict[str, Any]) -> str:
        raise ValueError("nobody sees the people of a Meta audience")

    def remove(self, table: Table, record_id: str) -> None:
        raise ValueError("nobody sees the people of a Meta audience")

    # Audiences

    def _keep(self, audience: Audience) -> None:
        self.audiences[audience.id] = audience
        self.tables[audience.id] = audience.people

    def _audience(self, call: Call) -> Audience:
        audience = self.audiences.get(call.params["id"])
        if audience is None:
            said = f"Unsupported {call.method.lower()} request. Object with ID '{call.params['id']}' does not exist,"
            said += " cannot be loaded due to missing permissions, or does not support this operation."
            raise Refused(failure(100, said, 33, type="GraphMethodException"))
        audience.settle(self.context.clock(), self.context.settings.meta_ads_replace_seconds)
        return audience

    def _create(self, call: Call) -> Answer:
        sent = parameters(call)
        if not sent.get("name") or sent.get("subtype") != "CUSTOM":
            return failure(100, "Invalid parameter: name, and subtype CUSTOM, are required")
        self._sequence += 1
        made = Audience(f"1202000000000{self._sequence:05}", str(sent["name"]), status=(410, "No upload"))
        made.value_based = str(sent.get("is_value_based")).lower() == "true"
        self._keep(made)
        call.note("create", made.id)
        return Answer(200, {"id": made.id})

    def _list(self, call: Call) -> Answer:
        return Answer(200, {"data": [{"id": known} for known in self.audiences], "paging": {}})

    def _read(self, call: Call) -> Answer:
        audience = self._audience(call)
        call.note("read", audience.id)
        code, description = (414, "Replace in progress") if audience.open_session() else audience.status
        known = {
            "id": audience.id,
            "account_id": AD_ACCOUNT,
            "name": audience.name,
            "subtype": audience.subtype,
            "is_value_based": audience.value_based,
            "operation_status": {"code": code, "description": description},
            "delivery_status": {"code": 200, "description": "This audience is ready for use."},
            "approximate_count_lower_bound": len(audience.people.entries) or -1,
            "approximate_count_upper_bound": len(audience.people.entries) or -1,
        }
        asked = str(parameters(call).get("fields") or "id").split(",")
        if unknown := [name for name in asked if name not in known]:
            return failure(100, f"Tried accessing nonexisting field ({unknown[0]})")
        return Answer(200, {name: known[name] for name in {"id", *asked}})

    def _delete(self, call: Call) -> Answer:
        audience = self._audience(call)
        del self.audiences[audience.id], self.tables[audience.id]
        return Answer(200, {"success": True})

    # People

    def _users(self, call: Call) -> Answer:
        audience, sent = self._writable(call), parameters(call)
        rows, _ = entries(sent.get("payload"), audience)
        delete = call.method == "DELETE" or str(sent.get("method")).upper() == "DELETE"
        call.note("delete" if delete else "upsert", audience.id, len(rows))
        if audience.open_session():
            return in_progress()
        upload = Upload.judged(rows, self.context.faults.for_rows(self.name, call.method, call.path))
        now = self.context.clock()
        for row in upload.good:
            audience.drop(row) if delete else audience.put(row, now)
        audience.people.counters.refused += upload.invalid
        session = session_of(sent, required=False)
        return counted(audience, upload, len(rows), upload.invalid, session.get("session_id", "0"))

    def _replace(self, call: Call) -> Answer:
        audience, now = self._writable(call), self.context.clock()
        parts = parameters(call)
        rows, schema = entries(parts.get("payload"), audience)
        sent = session_of(parts, required=True)
        number, first = sent["session_id"], sent["batch_seq"] == 1
        call.note("replace", audience.id, len(rows))
        session, other = audience.sessions.get(number), audience.open_session()
        if other is not None and (other.id != number or other.closed is not None):
            return in_progress() if other.id != number else finished()
        if session is not None and session.ended is not None:
            timed_out = "The 90-minute time limit of the replace session is over."
            return finished() if session.closed else failure(2650, timed_out, 1870158, "Replace Session Timed Out")
        if session is None and not first:
            said = "The first batch_seq was not detected. You must start your batch_seq at integer 1."
            return failure(2650, said, 1870147, "Invalid Upload Batch for Replace")
        if session is None or first:
            session = audience.sessions[number] = Session(number, now, schema)
        if session.schema != schema:
            return failure(100, "The schema of a session must not change")
        upload = Upload.judged(rows, self.context.faults.for_rows(self.name, call.method, call.path))
        session.rows += upload.good
        session.received += len(rows)
        session.invalid += upload.invalid
        if sent.get("last_batch_flag") is True:
            session.closed = now
            audience.settle(now, self.context.settings.meta_ads_replace_seconds)
        return counted(audience, upload, session.received, session.invalid, number)

    def _sessions(self, call: Call) -> Answer:
        audience = self._audience(call)
        call.note("read", audience.id)
        asked = str(parameters(call).get("session_id") or "")
        found = [session.describe() for session in audience.sessions.values() if asked in ("", str(session.id))]
        return Answer(200, {"data": found, "paging": {}})

    def _writable(self, call: Call) -> Audience:
        audience = self._audience(call)
        if audience.status[0] == 471:
            said = "Before updating user memberships, you must resolve integrity restrictions on this audience."
            raise Refused(failure(100, said, 1713230, "Audience Upload Blocked"))
        if audience.subtype != "CUSTOM":
            said = f"(#2650) Failed to update the custom audience: its subtype is {audience.subtype}"
            raise Refused(failure(2650, said))
        return audience
