"""Salesforce REST API: token, limits, describe. Single records, collections, SOQL and bulk jobs have their own files.

Sources: REST API Developer Guide (resources, status codes and error responses, API usage headers); OAuth 2.0 client
credentials flow; "Salesforce Platform API Versions 21.0 through 30.0 Retirement" (Salesforce Help, March 2026: 410).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import jwt

from reverse_etl_sandbox.faults import Fault
from reverse_etl_sandbox.gate import Context, Mounts
from reverse_etl_sandbox.limits import DailyAllowance
from reverse_etl_sandbox.salesforce import recycle_bin
from reverse_etl_sandbox.salesforce.bulk import BulkJobs
from reverse_etl_sandbox.salesforce.collections import Collections
from reverse_etl_sandbox.salesforce.describe import describe, summary
from reverse_etl_sandbox.salesforce.records import Records, Saved
from reverse_etl_sandbox.salesforce.requests import failure, not_found, object_of, version_root
from reverse_etl_sandbox.salesforce.schema import OBJECTS
from reverse_etl_sandbox.salesforce.single import Single
from reverse_etl_sandbox.salesforce.soql import Soql
from reverse_etl_sandbox.salesforce.values import RowError
from reverse_etl_sandbox.sparse import Sparse
from reverse_etl_sandbox.store import PERSON, Table
from reverse_etl_sandbox.wire import Answer, Call, Router

CLIENT_ID = "sandbox"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105 - a published value of the sandbox
# REST API Developer Guide, Query: a URL of at most 16,384 bytes.
MOST_URL_BYTES = 16_384
_DATA = "/services/data/v{version}"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
_CLAIMS_ALONE: Any = {"verify_exp": False, "verify_iat": False, "verify_aud": False}  # by the sandbox's own clock
_VERSION = re.compile(r"/services/data/v(\d+)\.0(/|$)")


SPARSE = (
    Sparse(
        r"POST /services/oauth2/token",
        ("signature", "token_format", "instance_url", "id", "issued_at", "scope"),
    ),
    Sparse(r"/composite/sobjects", ("*.errors.*.fields", "*.fields")),
    Sparse(r"GET .*/query", ("totalSize", "records.*.attributes")),
    Sparse(
        r"GET .*/describe$",
        (
            "childRelationships",
            "supportedScopes",
            "urls",
            *(
                f"fields.*.{name}"
                for name in (
                    "calculatedFormula",
                    "defaultValue",
                    "label",
                    "soapType",
                    "picklistValues",
                    "filterable",
                    "sortable",
                )
            ),
            "recordTypeInfos.*.available",
        ),
    ),
    Sparse(
        r"/jobs/ingest",
        (
            "assignmentRuleId",
            "contentUrl",
            "jobType",
            "concurrencyMode",
            "createdById",
            "systemModstamp",
            "retries",
            "totalProcessingTime",
            "apiActiveProcessingTime",
            "apexProcessingTime",
        ),
    ),
)
"""What answers need not have: "Field" of the partner WSDL (elements with `minOccurs="0"`), "Get Job Info" of the Bulk
API 2.0 Developer Guide, RFC 6749 (5.1) for the token. An error has `fields` if it is about some."""


class Salesforce:
    """The API and its records. Tokens come from the token endpoint or ``issue_token``."""

    name = "salesforce"
    title = "Salesforce"
    mounts: Mounts = (("/salesforce", "/salesforce"), ("/services", ""))
    sparse: tuple[Sparse, ...] = SPARSE

    def __init__(self, context: Context) -> None:
        self.context = context
        self.records = Records(context.clock)
        self.tables: dict[str, Table] = self.records.tables
        settings = context.settings
        self.daily = DailyAllowance(
            lambda: settings.salesforce_daily_requests, lambda: settings.salesforce_other_requests, context.clock
        )
        self.bulk = BulkJobs(context, self.records)
        self.soql = Soql(self.records)
        self._tokens: set[str] = set()
        self.public_key = ""
        """In PEM: what the app's certificate holds, for assertions."""
        self.records.has_duplicate_rule = lambda: context.settings.salesforce_duplicate_rule
        collections = Collections(context, self.records)
        self.recycle_bin = recycle_bin.RecycleBin(context, self.records)
        one = f"{_DATA}/sobjects/{{object}}"
        self.router = Router(
            [
                ("POST", "/services/oauth2/token", self._token),
                ("GET", "/services/data", self._versions),
                ("GET", f"{_DATA}/limits", self._limits),
                ("GET", f"{_DATA}/sobjects", self._objects),
                ("GET", f"{one}/describe", self._describe),
                *Single(context, self.records).routes(one),
                *collections.routes(f"{_DATA}/composite/sobjects"),
                *self.soql.routes(_DATA),
                *self.bulk.routes(f"{_DATA}/jobs/ingest"),
                *self.recycle_bin.routes(),
            ]
        )

    def issue_token(self) -> str:
        """A new valid access token."""
        token = f"00D5g000000sandbox!{secrets.token_urlsafe(24)}"
        self._tokens.add(token)
        return token

    def is_open(self, call: Call) -> bool:
        return call.path.rstrip("/") in ("/services/oauth2/token", "/services/data")

    def authenticate(self, call: Call) -> Answer | None:
        if call.path.startswith(recycle_bin.PATH):
            return self.recycle_bin.refusal(call, self._tokens.__contains__)
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        return None if scheme in ("Bearer", "OAuth") and token in self._tokens else self.expired()

    def admit(self, call: Call) -> Answer | None:
        settings, version = self.context.settings, _VERSION.match(call.path)
        if version and int(version[1]) < settings.salesforce_oldest_version:
            return failure(410, "UNSUPPORTED_API_VERSION", f"Version {version[1]}.0 of the API is retired")
        if version and int(version[1]) > settings.salesforce_newest_version:
            return self.not_found(call, [])
        if len(call.path) + len(call.query) > MOST_URL_BYTES:
            return failure(414, "URI_TOO_LONG", f"The URL is above {MOST_URL_BYTES} bytes")
        if self.daily.admit():
            return None
        call.limit = "daily"
        return _limit_exceeded("TotalRequests Limit exceeded.")

    def headers(self, call: Call) -> dict[str, str]:
        if self.is_open(call):
            return {}
        return {"Sforce-Limit-Info": f"api-usage={self.daily.used}/{self.context.settings.salesforce_daily_requests}"}

    def not_found(self, call: Call, allowed: list[str]) -> Answer:
        if allowed:
            known = ",".join(sorted(allowed))
            text = f"HTTP Method '{call.method}' not allowed. Allowed are {known}"
            return failure(405, "METHOD_NOT_ALLOWED", text)
        return not_found()

    def failure(self, fault: Fault) -> Answer:
        if fault.kind == "rate_limit":
            kind = "TotalRequests" if fault.daily else "ConcurrentRequests (Concurrent API Requests)"
            answer = _limit_exceeded(f"{kind} Limit exceeded.")
        elif fault.status == 503:
            answer = failure(503, "SERVER_UNAVAILABLE", "The server is unavailable. Try again later.")
        else:
            answer = failure(fault.status, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")
        if fault.retry_after is not None:
            answer.headers["Retry-After"] = str(fault.retry_after)
        return answer

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def expired(self) -> Answer:
        return failure(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def reset(self) -> None:
        for kind in OBJECTS.values():
            kind.reset()
        for table in self.tables.values():
            table.clear()
        self.daily.clear()
        self.bulk.jobs.clear()
        self.soql.cursors.clear()

    def edit(self, table: Table, record_id: str, values: dict[str, Any]) -> None:
        entry = table.get(record_id)
        if entry is None:
            raise KeyError(record_id)
        _as_person(lambda: self.records.update(OBJECTS[table.name], entry, values, who=PERSON))

    def add(self, table: Table, values: dict[str, Any]) -> str:
        return _as_person(lambda: self.records.insert(OBJECTS[table.name], values, who=PERSON)).entry.id

    def remove(self, table: Table, record_id: str) -> None:
        if table.get(record_id) is None:
            raise KeyError(record_id)
        self.records.delete(OBJECTS[table.name], record_id)

    def _token(self, call: Call) -> Answer:
        call.note("token")
        form = {name: values[0] for name, values in parse_qs(call.body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") == _JWT_BEARER:
            refusal = self._assertion_refused(form.get("assertion", ""))
        elif form.get("grant_type") != "client_credentials":
            refusal = _token_error("unsupported_grant_type", "grant type not supported")
        elif form.get("client_id") != CLIENT_ID:
            refusal = _token_error("invalid_client_id", "client identifier invalid")
        elif form.get("client_secret") != CLIENT_SECRET:
            refusal = _token_error("invalid_client", "invalid client credentials")
        else:
            refusal = None
        if refusal:
            return refusal
        base = call.base_url
        return Answer(
            200,
            {
                "access_token": self.issue_token(),
                "signature": secrets.token_urlsafe(32),
                "token_format": "opaque",
                "instance_url": base,
                "id": f"{base}/id/00D5g000000sandboxAAA/0055g000000sandboxAAA",
                "token_type": "Bearer",
                "issued_at": str(int(self.context.clock() * 1_000)),
            },
        )

    def _assertion_refused(self, assertion: str) -> Answer | None:
        """An assertion is good for at most three minutes, from the app's consumer key to a login host."""
        now = self.context.clock()
        try:
            claims = jwt.decode(assertion, self.public_key, algorithms=["RS256"], options=_CLAIMS_ALONE)
        except jwt.InvalidTokenError:
            return _token_error("invalid_grant", "invalid assertion")
        if claims.get("iss") != CLIENT_ID:
            return _token_error("invalid_client_id", "client identifier invalid")
        if claims.get("aud") not in _LOGIN_HOSTS:
            return _token_error("invalid_grant", "audience is invalid")
        if not now < claims.get("exp", 0) <= now + 300:
            return _token_error("invalid_grant", "assertion has expired, or lasts too long")
        return None if claims.get("sub") else _token_error("invalid_grant", "user hasn't approved this consumer")

    def _versions(self, call: Call) -> Answer:
        call.note("versions")
        settings = self.context.settings
        versions = range(settings.salesforce_oldest_version, settings.salesforce_newest_version + 1)
        return Answer(200, [{"label": f"v{v}", "url": f"/services/data/v{v}.0", "version": f"{v}.0"} for v in versions])

    def _limits(self, call: Call) -> Answer:
        call.note("limits")
        most = self.context.settings.salesforce_daily_requests
        batches = self.bulk.batches()
        return Answer(
            200,
            {
                "DailyApiRequests": {"Max": most, "Remaining": self.daily.remaining()},
                "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000 - batches},
                "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            },
        )

    def _objects(self, call: Call) -> Answer:
        call.note("describe")
        base = version_root(call)
        listed = [summary(kind, base) for kind in OBJECTS.values()]
        return Answer(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    def _describe(self, call: Call) -> Answer:
        kind = object_of(call)
        call.note("describe", kind.name)
        return Answer(200, describe(kind, version_root(call)))


def _limit_exceeded(text: str) -> Answer:
    return failure(403, "REQUEST_LIMIT_EXCEEDED", text)


def _token_error(code: str, text: str) -> Answer:
    return Answer(400, {"error": code, "error_description": text})


def _as_person(write: Callable[[], Saved]) -> Saved:
    try:
        return write()
    except RowError as error:
        raise ValueError(error.message) from None
