"""Google's Data Manager API, as far as Customer Match audiences of Google Ads go, and its sign-in at ``/token``.

- ``POST /v1/audienceMembers:ingest``, ``:remove`` and ``:removeAll``; ``GET /v1/requestStatus:retrieve``.
- A request is taken or refused as a whole. What was taken is told later, as counts: first ``PROCESSING``.
- Who is in a list cannot be read; here people may look. A member is whoever shares an identifier with it.

Lists are ``1001`` and ``1002``; ``1003`` is one of mobile ids, which takes no contact information. The account is
``1234567890``. A signed assertion is not verified, only read. Credentials with ``revoked`` in them are refused.
Sources: API reference v1 and its error reasons; "Limits and quotas", "Diagnostics" and "Remove all members" (guides);
error details of all Google APIs (AIP-193, google.api.ErrorReason); "Using OAuth 2.0 for Server to Server Applications".
"""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import jwt

from reverse_etl_sandbox.faults import Fault, lost
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.google_ads.errors import MEDIA, SERVICE, Json, Violation, exhausted, failure, invalid
from reverse_etl_sandbox.google_ads.lists import Lists
from reverse_etl_sandbox.google_ads.members import (
    BODIES,
    Malformed,
    identifiers,
    known_by,
    read,
    violations,
)
from reverse_etl_sandbox.limits import DailyAllowance, RollingWindow
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Table
from reverse_etl_sandbox.wire import Answer, Call, Refused, Router

ACCOUNT = "1234567890"
LISTS = ("1001", "1002", "1003")
MOBILE_LIST = "1003"
WARNING = "WARNING_REASON_UNSPECIFIED"
_TOKEN_SECONDS = 3_600.0


SPARSE = (
    Sparse(r"POST /token", ("expires_in", "scope", "token_type")),
    Sparse(r"audienceMembers:", ("fieldWarnings",)),
    Sparse(
        r"requestStatus:retrieve",
        (
            "requestStatusPerDestination.*.destination",
            "requestStatusPerDestination.*.audienceMembersIngestionStatus",
            "requestStatusPerDestination.*.audienceMembersRemovalStatus",
            "requestStatusPerDestination.*.removeAllAudienceMembersStatus",
        ),
    ),
    Sparse(
        r".", ("error.details.*.fieldViolations.*.description", "error.details.*.metadata", "error.details.*.domain")
    ),
)
"""Every field of proto3 is left out where it has its default; error details are optional ("Understand API errors")."""


class GoogleAds:
    """The lists and who is in them; ``tables`` by the list's id."""

    name = "google_ads"
    title = "Google Ads"
    mounts: Mounts = (("/google_ads", "/google_ads"),)
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        settings = context.settings
        self._lists = Lists(LISTS, context.clock)
        self.tables = self._lists.tables
        self._tokens: dict[str, float] = {}
        self._requests: dict[str, Json] = {}
        minute, day = (lambda: settings.google_ads_minute_requests), (lambda: settings.google_ads_daily_requests)
        self._limits = {
            write: (RollingWindow(minute, lambda: 60.0, context.clock), DailyAllowance(day, lambda: 0, context.clock))
            for write in (True, False)
        }
        self.router = Router(
            [
                ("POST", "/token", self._token),
                ("POST", "/v1/audienceMembers:ingest", self._ingest),
                ("POST", "/v1/audienceMembers:remove", self._remove),
                ("POST", "/v1/audienceMembers:removeAll", self._remove_all),
                ("GET", "/v1/requestStatus:retrieve", self._retrieve),
            ]
        )

    # The way of every call

    def is_open(self, call: Call) -> bool:
        return call.path == "/token"

    def authenticate(self, call: Call) -> Answer | None:
        settings = self.context.settings
        issued = self._tokens.get(call.headers.get("authorization", "").removeprefix("Bearer "))
        if issued is None or self.context.clock() - issued >= _TOKEN_SECONDS:
            return self.expired()
        if not settings.google_ads_scope:
            message = "Request had insufficient authentication scopes."
            return failure(403, message, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", service=SERVICE)
        if not settings.google_ads_enabled:
            message = "Data Manager API has not been used in project 77 before or it is disabled."
            url = f"https://console.developers.google.com/apis/api/{SERVICE}/overview?project=77"
            return failure(403, message, "SERVICE_DISABLED", service=SERVICE, activationUrl=url)
        return None

    def admit(self, call: Call) -> Answer | None:
        kind = "Mutate" if call.method == "POST" else "Read"
        window, daily = self._limits[call.method == "POST"]
        if not daily.remaining():
            call.limit, limit = "daily", f"{kind}RequestsPerDayPerProject"
        elif not window.admit():
            call.limit, limit = "window", f"{kind}RequestsPerMinutePerProject"
        else:
            daily.admit()
            return None
        return exhausted(limit)

    def headers(self, call: Call) -> dict[str, str]:
        return {"Date": formatdate(self.context.clock(), usegmt=True)}

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        return failure(404, "The requested URL was not found on this server.", "NOT_FOUND")

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            answer = exhausted(f"MutateRequestsPer{'Day' if fault.daily else 'Minute'}PerProject")
        else:
            answer = failure(fault.status, "The service is currently unavailable.", "INTERNAL_ERROR")
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def issue_token(self) -> str:
        token = f"ya29.{secrets.token_hex(8)}"
        self._tokens[token] = self.context.clock()
        return token

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def expired(self) -> Answer:
        return failure(401, "Request had invalid authentication credentials.", "ACCESS_TOKEN_EXPIRED")

    def reset(self) -> None:
        self._lists.clear()
        self._requests.clear()
        for window, daily in self._limits.values():
            window.clear()
            daily.clear()

    def _token(self, call: Call) -> Answer:
        form = dict(parse_qsl(call.body.decode()))
        try:
            told = jwt.decode(form.get("assertion", ""), options={"verify_signature": False})
            lasts = int(told["exp"]) - int(told["iat"])
            well = told["iss"] and told["aud"] == f"{call.base_url}/token" and "auth/datamanager" in told["scope"]
            problem = "" if well and 0 < lasts <= _TOKEN_SECONDS else "Invalid JWT: check your iss, aud, scope, exp."
        except (jwt.PyJWTError, KeyError, ValueError):
            problem = "" if form.get("grant_type") == "refresh_token" else "Invalid JWT."
        if "revoked" in f"{form.get('refresh_token')} {told['iss'] if form.get('assertion') and not problem else ''}":
            problem = "Token has been expired or revoked."
        if problem:
            return Answer(400, {"error": "invalid_grant", "error_description": problem}, media=MEDIA)
        token = self.issue_token()
        return Answer(200, {"access_token": token, "expires_in": 3_599, "token_type": "Bearer"}, media=MEDIA)

    # Requests

    def _ingest(self, call: Call) -> Answer:
        table, body = self._read(call, "ingest")
        if body.get("termsOfService", {}).get("customerMatchTermsOfServiceStatus") != "ACCEPTED":
            raise invalid(Violation("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED"))
        members = self._members(call, table, body)
        if body.get("validateOnly"):
            return self._taken(None)
        refused: Counter[str] = Counter()
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        for member in members:
            consent = {**body.get("consent", {}), **member.get("consent", {})}
            if reason := self._without_consent(consent):
                refused[reason] += 1
            elif not lost(faults, known_by(identifiers(member)[0])):
                self._lists.add(table, identifiers(member), consent)
        table.counters.refused += sum(refused.values())
        taken = self._taken(self._status(body, "audienceMembersIngestionStatus", "userDataIngestionStatus", refused))
        if warned := min(self.context.settings.google_ads_warned_members, len(members)):
            taken.content["fieldWarnings"] = [
                {"field": f"audience_members[{at}].consent", "reason": WARNING, "description": "The field was ignored."}
                for at in range(warned)
            ]
        return taken

    def _remove(self, call: Call) -> Answer:
        table, body = self._read(call, "remove")
        members = self._members(call, table, body)
        if body.get("validateOnly"):
            return self._taken(None)
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        for member in members:
            if not lost(faults, known_by(identifiers(member)[0])):
                for entry in self._lists.find(table, identifiers(member)):
                    self._lists.forget(table, entry)
        return self._taken(self._status(body, "audienceMembersRemovalStatus", "userDataRemovalStatus", Counter()))

    def _remove_all(self, call: Call) -> Answer:
        table, body = self._read(call, "removeAll")
        call.note("remove_all", table.name)
        before = self.context.clock()
        if "removeAsOfTime" in body:
            asked = datetime.fromisoformat(body["removeAsOfTime"]).astimezone(UTC).timestamp()
            if asked > before:
                raise invalid(Violation("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME"))
            before = asked
        if body.get("validateOnly"):
            return self._taken(None)
        for entry in table.live():
            if entry.updated_at < before:
                self._lists.forget(table, entry)
        return self._taken(self._status(body, "removeAllAudienceMembersStatus", None, Counter()))

    def _read(self, call: Call, method: str) -> tuple[Table, Json]:
        """The list that is meant, and the body."""
        try:
            body = read(call.json(), BODIES[method])
        except Malformed as error:
            raise Refused(failure(400, str(error), "INVALID_ARGUMENT")) from None
        except ValueError:
            raise Refused(failure(400, "Invalid JSON payload received.", "INVALID_ARGUMENT")) from None
        destinations = body.get("destinations", [])
        if len(destinations) != 1:  # the sandbox has one account, and a list of it at a time
            raise invalid(
                Violation("destinations", "TOO_MANY_DESTINATIONS" if destinations else "REQUIRED_FIELD_MISSING")
            )
        account = destinations[0].get("operatingAccount", {})
        if account != {"accountId": ACCOUNT, "accountType": "GOOGLE_ADS"}:
            message = "The user does not have permission or the resource is not found."
            raise Refused(failure(403, message, "PERMISSION_DENIED", []))
        table = self.tables.get(destinations[0].get("productDestinationId", ""))
        if table is None:
            raise invalid(Violation("destinations[0].product_destination_id", "INVALID_USER_LIST_ID"))
        return table, body

    def _members(self, call: Call, table: Table, body: Json) -> list[Json]:
        """Raises Refused: nothing of a request is taken if a member of it is wrong."""
        members: list[Json] = body.get("audienceMembers", [])
        call.note("delete" if call.path.endswith("remove") else "upsert", table.name, len(members))
        if body.get("encoding") != "HEX":
            raise invalid(Violation("encoding", "REQUIRED_FIELD_MISSING"))
        if not members or len(members) > 10_000:
            raise invalid(Violation("audience_members", "TOO_MANY_AUDIENCE_MEMBERS" if members else "TOO_FEW_ELEMENTS"))
        if table.name == MOBILE_LIST:
            said = "Type of the user list is not applicable for this request."
            raise invalid(Violation("audience_members[0]", "INVALID_USER_LIST_TYPE", said))
        found = list(violations(members))
        faults = self.context.faults.for_rows(self.name, call.method, call.path)
        for at, member in enumerate(members):
            keys = [known_by(each) for each in identifiers(member)[:1]]
            if any(fault.kind == "refuse_rows" and fault.hits_row(key) for fault in faults for key in keys):
                found.append(
                    (at, Violation(f"audience_members[{at}]", "INVALID_AUDIENCE_MEMBER", "Refused by a rule."))
                )
        if found:
            table.counters.refused += len({at for at, _ in found})
            raise invalid(*[each for _, each in found][: self.context.settings.google_ads_named_members])
        return members

    def _without_consent(self, consent: Json) -> str:
        """Why a member is not taken, told later; empty if it is."""
        if not self.context.settings.google_ads_consent_needed:
            return ""
        given = {consent.get(name, "CONSENT_STATUS_UNSPECIFIED") for name in ("adUserData", "adPersonalization")}
        if "CONSENT_DENIED" in given:
            return "PROCESSING_ERROR_REASON_DENIED_CONSENT"
        return "" if given == {"CONSENT_GRANTED"} else "PROCESSING_ERROR_REASON_NO_CONSENT"

    # What became of them

    def _taken(self, status: Json | None) -> Answer:
        number = secrets.token_hex(12)
        if status is not None:  # of requests that were only validated there is no status
            self._requests[number] = {"polls": self.context.settings.google_ads_polls, "status": status}
        return Answer(200, {"requestId": number}, media=MEDIA)

    def _status(self, body: Json, kind: str, data: str | None, refused: Counter[str]) -> Json:
        members = body.get("audienceMembers", [])
        wrong = sum(refused.values())
        told = "SUCCESS" if not wrong else "FAILED" if wrong == len(members) else "PARTIAL_SUCCESS"
        numbers = {
            "recordCount": str(len(members)),
            "userIdentifierCount": str(sum(len(identifiers(each)) for each in members)),
        }
        status: Json = {"destination": body["destinations"][0], "requestStatus": told}
        status[kind] = {data: numbers} if data else {}
        if wrong:
            counts = [{"recordCount": str(count), "reason": reason} for reason, count in refused.items()]
            status["errorInfo"] = {"errorCounts": counts}
        return status

    def _retrieve(self, call: Call) -> Answer:
        call.note("poll")
        found = self._requests.get(call.args().get("requestId", ""))
        if found is None:
            raise invalid(Violation("request_id", "INVALID_REQUEST_ID"))
        status: Json = found["status"]
        if found["polls"] > 0:
            found["polls"] -= 1
            status = {"destination": status["destination"], "requestStatus": "PROCESSING"}
        return Answer(200, {"requestStatusPerDestination": [status]}, media=MEDIA)

    # A person's hands

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        raise ValueError("nobody can change a member of a list")

    def add(self, table: Table, values: dict[str, Any]) -> str:
        if not values:
            raise ValueError("a member needs an identifier")
        return self._lists.add(table, [{name: str(value)} for name, value in values.items()], {}, PERSON)

    def remove(self, table: Table, record_id: str) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        self._lists.forget(table, entry)
