"""Meta custom audiences of customer lists: people are added, removed, or replaced as a whole."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import phonenumbers
from pydantic import SecretStr, field_validator

from reverse_etl_assets.destinations.auth import BearerToken
from reverse_etl_assets.destinations.base import (
    ConnectionSettings,
    HttpDestination,
    JobState,
    Part,
    SyncOptions,
    decode_json,
    encode_json,
)
from reverse_etl_assets.destinations.meta_ads.answers import People, Received, named, outcomes, received, unfit, whole
from reverse_etl_assets.destinations.meta_ads.check import (
    FIELDS,
    REPLACING,
    audience_problems,
    status_of,
    target_problems,
)
from reverse_etl_assets.destinations.meta_ads.errors import FINISHED, other_kind, request_error
from reverse_etl_assets.destinations.meta_ads.people import Cell, InvalidValue, cells
from reverse_etl_assets.destinations.meta_ads.sessions import HandedOver, state_of
from reverse_etl_assets.destinations.vendor_api import VendorApi
from reverse_etl_assets.errors import Ambiguous, CheckFailed, DestinationError, RequestRejected, RetryLater
from reverse_etl_assets.records import Batch, Capabilities, FieldType, JobLimits, Operation, Outcome, Status, Target
from reverse_etl_assets.wording import COUNTRY, Written

ROWS_PER_REQUEST = 10_000
"""Entries in one request ("Customer File Custom Audiences", 28 April 2026)."""
REQUESTS_PER_SECOND = 4_975 / 3_600
"""5,000 calls in a rolling hour for an ad account, and 40 more for each active audience, of an app with standard
access; 190,000 with advanced access ("Rate Limits" of the Graph API, "Custom Audience"). A little less, because the
window's edge counts on both sides."""
BYTES_PER_REQUEST = 20_000_000
"""Meta publishes no limit; our choice, above 10,000 entries of 15 hashes."""

_STATUS = {Operation.UPSERT: Status.UPDATED, Operation.DELETE: Status.DELETED}


class MetaAdsConnection(ConnectionSettings):
    """Meta custom audiences; a system user's token signs in, and the app's secret signs the calls if it is set."""

    base_url: str = "https://graph.facebook.com"
    access_token: SecretStr
    """Of a system user with the permission `ads_management` and the ad account."""
    app_secret: SecretStr | None = None
    """Proves that a call comes from the app, if the app asks for that ("Require app secret")."""
    api_version: Annotated[str, Written(r"v\d+\.\d+", "a version of the Marketing API, such as `v26.0`")] = "v26.0"
    """Meta ends a version of the Marketing API 90 days after a later one came, at the earliest."""


class MetaAdsOptions(SyncOptions):
    """How rows become people."""

    replace: bool = False
    """The rows of a run take the place of everybody who was in the audience; needs `sync_mode: full_refresh`."""
    region: Annotated[str, COUNTRY] | None = None
    """The country (ISO 3166-1 alpha-2) of telephone numbers without an international prefix, where no COUNTRY is."""

    @field_validator("region")
    @classmethod
    def _has_numbers(cls, value: str | None) -> str | None:
        if value and value not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"`{value}` is no country of ISO 3166-1 with telephone numbers; Britain is `GB`.")
        return value


API = VendorApi(
    checked_on=date(2026, 11, 30),
    source="Meta, Marketing API version history (v27.0 came on 2026-11-04)",
    version=MetaAdsConnection.model_fields["api_version"].default,
    ends={
        "v22.0": date(2026, 2, 19),
        "v23.0": date(2026, 6, 9),
        "v24.0": date(2026, 11, 10),
        "v25.0": date(2027, 2, 23),
    },
)


_SESSION = JobLimits(ROWS_PER_REQUEST, BYTES_PER_REQUEST, spans_run=True, timeout=60.0)


class MetaAds(HttpDestination[MetaAdsConnection, MetaAdsOptions]):
    """The object is an audience's id; fields are names of Meta's schema, and are normalised and hashed here.

    Meta answers with counts. Whom it matched, and whom it knew before, it never says, so that outcomes are inferred.
    Adding who is there and removing who is not does no harm. A removal goes by the external id alone.
    The access token is sent in a header; Meta's own examples put it in the URL, which proxies log.
    """

    Connection = MetaAdsConnection
    Options = MetaAdsOptions
    kind = "facebook"
    api = API
    after_deletion = (
        "Meta removes people within a day or more, and keeps an EXTERN_ID for 90 days. Only this audience forgets the"
        " person: to have all audiences of the ad account do so is another call, which is not made."
    )

    def __init__(
        self, connection: MetaAdsConnection, target: Target, options: MetaAdsOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self.clock = time.time
        self._schema = list(dict.fromkeys([target.external_id, *target.fields]))
        self._latest: tuple[Batch, tuple[People, list[Outcome]]] | None = None
        self._sessions: dict[str, HandedOver] = {}
        self._listed: dict[str, HandedOver] = {}  # by another process

    @classmethod
    def capabilities_for(cls, target: Target, options: MetaAdsOptions) -> Capabilities:
        able = frozenset({Operation.UPSERT, Operation.DELETE})
        return Capabilities(
            operations=able,
            idempotent=able,
            max_rows=ROWS_PER_REQUEST,
            max_bytes=BYTES_PER_REQUEST,
            requests_per_second=REQUESTS_PER_SECOND,
            fold_case=target.external_id in ("EMAIL", "MADID") and target.key_type is FieldType.TEXT,
            confirms=False,
            replaces=options.replace,
            jobs=_SESSION if options.replace and target.complete else None,
        )

    def auth(self) -> httpx.Auth:
        return BearerToken(self.connection.access_token)

    def error_for(self, response: httpx.Response) -> DestinationError:
        return request_error(response, other_kind(self.connection.access_token.get_secret_value()))

    async def check(self) -> None:
        """One request, the audience. Whether the token may change it shows only with the first write."""
        if problems := list(target_problems(self.target)):
            raise CheckFailed(problems)
        audience = await self._get("", fields=FIELDS)
        if problems := list(audience_problems(audience, self.target)):
            raise CheckFailed(problems)
        if self.options.replace and status_of(audience)["code"] == REPLACING:
            raise RetryLater("Meta is still replacing the audience; that ends 90 minutes after it began, at the latest")

    # People

    def build_request(self, batch: Batch) -> httpx.Request:
        people, _ = self._people(batch)
        method = "DELETE" if batch.operation is Operation.DELETE else "POST"
        return self._request(method, "users", {"payload": self._payload(batch, [row for _, row in people])})

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        people, refused = self._people(batch)
        answer = received(decode_json(response))
        if answer.rows + answer.invalid < len(people):
            raise Ambiguous(f"Meta received {answer.rows:,} of {len(people):,} entries, and does not say which")
        yield from refused
        by_name = named(self._schema_of(batch), people, answer.samples)
        yield from outcomes(_STATUS[batch.operation], people, answer, by_name, sent=len(people), place="request")

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        people, refused = self._people(batch)
        return await super().send(batch) if people else refused

    def _people(self, batch: Batch) -> tuple[People, list[Outcome]]:
        """The rows with their cells, and the outcomes of those that cannot be sent. The latest are kept: a batch is
        asked for up to three times."""
        if self._latest and self._latest[0] is batch:
            return self._latest[1]
        schema, key, region = self._schema_of(batch), self.target.external_id, self.options.region
        people, refused = [], []
        for record in batch.records:
            try:
                people.append((record, cells(schema, record, key, region)))
            except InvalidValue as error:
                refused.append(unfit(record, str(error), error.field))
        self._latest = batch, (people, refused)
        return people, refused

    def _schema_of(self, batch: Batch) -> list[str]:
        return [self.target.external_id] if batch.operation is Operation.DELETE else self._schema

    def _payload(self, batch: Batch, rows: list[list[Cell]]) -> dict[str, Any]:
        """Each cell is a key of its own, which Meta calls raw although it is hashed."""
        return {"schema": self._schema_of(batch), "is_raw": True, "data": rows}

    # Replacing everybody

    async def open_job(self, batch: Batch) -> str:
        """The session's id, which is ours to choose; Meta hears of it with the first batch."""
        return str(1 + secrets.randbelow(2**62))

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        people, _ = self._people(batch)
        session = self._sessions.setdefault(job_id, HandedOver())
        rows = [row for _, row in people]
        if not rows and not part.last:
            return
        if not rows and not session.spare:
            raise RequestRejected("no row of the run can be sent, so the audience stays as it is")
        rows = rows or [session.spare]
        place = {"session_id": int(job_id), **session.offer(rows, part)}
        request = self._request("POST", "usersreplace", {"session": place, "payload": self._payload(batch, rows)})
        try:
            answer = received(decode_json(await self.exchange(request)))
        except RequestRejected as error:
            if not part.last or error.code != FINISHED:
                raise
            session.take()  # its first try had arrived
        else:
            session.take(answer)
            session.refused.update(named(self._schema, people, answer.samples))

    async def poll(self, job_id: str) -> JobState:
        handed_over = self._sessions.get(job_id)
        if handed_over and handed_over.closed:
            return JobState.DONE
        listed = await self._get("/sessions", session_id=job_id)
        found = listed.get("data")
        if not isinstance(found, list):
            raise RetryLater("the answer lists no sessions")
        session: dict[str, Any] = next((each for each in found if str(each.get("session_id")) == job_id), {})
        rows, invalid = (whole(session.get(f"num_{name}")) or 0 for name in ("received", "invalid_entries"))
        if handed_over is None:
            self._listed[job_id] = HandedOver(taken=rows, invalid=invalid)
            return state_of(session, self.clock())
        if rows + invalid < handed_over.offered:
            return JobState.OPEN  # the part that was offered last did not arrive
        handed_over.take(Received(rows, invalid))
        return JobState.RUNNING

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        people, refused = self._people(batch)
        handed_over = self._sessions.get(job_id) or self._listed[job_id]
        answer = Received(handed_over.taken, handed_over.invalid)
        sent = max(answer.rows, len(people))
        return refused + list(outcomes(Status.UPDATED, people, answer, handed_over.refused, sent=sent, place="session"))

    # Requests

    def _request(self, method: str, edge: str, body: Mapping[str, Any]) -> httpx.Request:
        content = encode_json({**body, **self._proof()})
        headers = {"Content-Type": "application/json"}
        return self.client.build_request(method, f"{self._path}/{edge}", content=content, headers=headers)

    async def _get(self, edge: str, **params: str) -> dict[str, Any]:
        request = self.client.build_request("GET", f"{self._path}{edge}", params={**params, **self._proof()})
        answer = await self.read_json(request)
        if not isinstance(answer, dict):
            raise RetryLater("the answer is no object")
        return answer

    @property
    def _path(self) -> str:
        return f"/{self.connection.api_version}/{quote(self.target.object, safe='')}"

    def _proof(self) -> dict[str, str]:
        """The token, signed with the app's secret ("Secure Graph API Calls")."""
        if self.connection.app_secret is None:
            return {}
        secret, token = self.connection.app_secret.get_secret_value(), self.connection.access_token.get_secret_value()
        return {"appsecret_proof": hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()}
