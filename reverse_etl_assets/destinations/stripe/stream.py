"""The meter event stream (v2): a session's token instead of the key, and refusals that are reported afterwards.

The stream answers `{}` and validates later. Events that it refuses are counted in reports, each of ten seconds, which
name samples of them ("Handle meter event errors" in "Record usage for billing with the API", docs.stripe.com, 2026-05;
"List Events", API v2 reference). A request is therefore a job: it is over once no report of it is expected any more.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from pydantic import SecretStr

from reverse_etl_assets.accounts.transport import only_reads
from reverse_etl_assets.destinations.auth import BearerToken
from reverse_etl_assets.destinations.base import JobState, status_words
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.destinations.stripe.meters import not_taken
from reverse_etl_assets.errors import AuthenticationFailed, RetryLater
from reverse_etl_assets.records import Batch, Outcome, Reason, RowError, Status

STREAM = "/v2/billing/meter_event_stream"
SESSION = "/v2/billing/meter_event_session"
REPORTS = ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found")
_EXPIRED = b"billing_meter_event_session_expired"
_WINDOW = timedelta(seconds=10)
"""What one report covers, by the examples in "Handle meter event errors"."""


class StripeAuth(httpx.Auth):
    """The key for every request, but for those to the stream: these need the token of a session, which lasts 15
    minutes ("Create billing meter event stream authentication session", API v2 reference) and is renewed once it is
    refused, once however many requests meet the refusal.
    """

    requires_response_body = True

    def __init__(self, client: httpx.AsyncClient, base_url: str, key: SecretStr, version: str) -> None:
        self._client, self._session, self._version = client, base_url.rstrip("/") + SESSION, version
        self._key = BearerToken(key)
        self._token: str | None = None
        self._lock = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if not request.url.path.endswith(STREAM):
            for signed in self._key.auth_flow(request):
                yield signed
            return
        token = await self._token_other_than(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 or (response.status_code == 400 and _EXPIRED in response.content):
            request.headers["Authorization"] = f"Bearer {await self._token_other_than(token)}"
            yield request

    async def _token_other_than(self, stale: str | None) -> str:
        async with self._lock:
            if self._token is None or self._token == stale:
                self._token = await self._fetch()
            return self._token

    async def _fetch(self) -> str:
        headers = {"Stripe-Version": self._version, "Content-Type": "application/json"}
        request = self._client.build_request("POST", self._session, content=b"{}", headers=headers)
        try:
            with only_reads():
                response = await self._client.send(request, auth=self._key)
            token = msgspec.json.decode(response.content, type=dict[str, Any]).get("authentication_token")
        except (httpx.RequestError, msgspec.DecodeError) as error:
            raise RetryLater(f"no session of the meter event stream: {type(error).__name__}") from error
        if isinstance(token, str):
            return token
        text = f"no session of the meter event stream: {status_words(response)}"
        if response.status_code in (401, 403):
            raise AuthenticationFailed(f"{bare(text)}; the key needs write access to meter events")
        raise RetryLater(text)


@dataclass(frozen=True)
class Handover:
    """One request to the stream. Stripe gives it no name, so its job's id is when it was sent."""

    at: datetime

    @classmethod
    def of(cls, job: str) -> "Handover | None":
        try:
            return cls(datetime.fromtimestamp(float(job.partition("-")[0]), UTC))
        except (ValueError, OverflowError):
            return None

    def job(self, batch: Batch) -> str:
        return f"{self.at.timestamp():.3f}-{batch.idempotency_key[:16]}"

    def state(self, wait: float) -> JobState:
        over = datetime.now(UTC) - self.at >= timedelta(seconds=wait)
        return JobState.DONE if over else JobState.RUNNING

    def reports(self) -> dict[str, str]:
        """The query for the reports that may speak of it."""
        types = {f"types[{place}]": name for place, name in enumerate(REPORTS)}
        since = (self.at - _WINDOW).replace(tzinfo=None).isoformat(timespec="milliseconds")
        return {**types, "created[gte]": f"{since}Z", "limit": "100"}


@dataclass
class Refusals:
    """What reports say of refused events."""

    named: dict[str, RowError] = field(default_factory=dict)
    unnamed: int = 0
    why: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, reports: Iterable[Mapping[str, Any]], meter_id: str | None) -> "Refusals":
        """Those of one meter; where no meter was found, a report can name no other."""
        refusals = cls()
        for report in reports:
            about = (report.get("related_object") or {}).get("id")
            for kind in ((report.get("data") or {}).get("reason") or {}).get("error_types") or ():
                refusals._add(kind, counts=meter_id is not None and about == meter_id)
        return refusals

    def _add(self, kind: Mapping[str, Any], *, counts: bool) -> None:
        code, samples = str(kind.get("code")), kind.get("sample_errors") or ()
        for sample in samples:
            identifier = (sample.get("request") or {}).get("identifier")
            self.named[str(identifier)] = RowError(str(sample.get("error_message") or code), code)
        if counts and (unnamed := int(kind.get("error_count") or 0) - len(samples)) > 0:
            self.unnamed += unnamed
            self.why.add(code)

    def outcomes(self, batch: Batch, at: datetime) -> Iterator[Outcome]:
        """For every row: what we did not send, what is named as refused, and the rest, of which nothing is said."""
        doubt = None
        if self.unnamed:
            code = ", ".join(sorted(self.why))
            message = f"Stripe refused {self.unnamed:,} events of about this time without naming them; it may be one"
            doubt = RowError(message, code)
        for record in batch.records:
            if problem := not_taken(record, at):
                yield Outcome(record.key, Status.FAILED, Reason.INVALID, problem)
            elif refused := self.named.get(record.external_id):
                yield Outcome.rejected(record.key, refused)
            else:
                yield Outcome(record.key, Status.CREATED, None, doubt, record.external_id, inferred=True)
