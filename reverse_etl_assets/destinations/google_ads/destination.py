"""Google Ads Customer Match audiences, through the Data Manager API."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

import httpx
from pydantic import SecretStr

from reverse_etl_assets.destinations.auth import JwtBearer, RefreshToken
from reverse_etl_assets.destinations.base import HttpDestination, JobState, Part, encode_json
from reverse_etl_assets.destinations.google_ads import answers, mapping as google_ads_mapping
from reverse_etl_assets.destinations.google_ads.answers import AudienceUnusable, RowsRefused
from reverse_etl_assets.destinations.google_ads.options import API, GoogleAdsConnection, GoogleAdsOptions
from reverse_etl_assets.destinations.google_ads.people import InvalidValue, Member, People, is_address
from reverse_etl_assets.destinations.google_ads.replacement import Replacement
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.errors import (
    AuthenticationFailed,
    CheckFailed,
    DestinationError,
    RequestRejected,
    RetryLater,
    SpecError,
)
from reverse_etl_assets.records import Batch, Capabilities, JobLimits, Operation, Outcome, Record, RowError, Target

MEMBERS = 10_000
"""Audience members of one request ("Limits and quotas", Data Manager API guide, 2026-02-17)."""
REQUESTS_PER_SECOND = 5.0
"""300 a minute and 100,000 a day of a Google Cloud project, each for writes and for reads (the same page). The answers
do not tell how many are used: `daily_calls` in deployment.py keeps a share for other tools."""
CONCURRENCY = 10
"""Requests at the same time that Google recommends at most ("Best practices", Data Manager API guide, 2026-02-17)."""
LONGEST_BODY = 10_000_000
"""Bytes; Google names no limit, and this is our choice: 10,000 members with an address each have 4 MB."""
STATUS_UNKNOWN = ("INVALID_REQUEST_ID", "REQUEST_TOO_OLD")
"""Statuses are kept for about 50 days (`ErrorReason`, API reference v1)."""

_NOTHING = "nothing to send"
_REFUSED = "refused "
_OPERATIONS = frozenset({Operation.UPSERT, Operation.DELETE})


class GoogleAds(HttpDestination[GoogleAdsConnection, GoogleAdsOptions]):
    """The members of one audience, the object; its id is that of the user list.

    Google knows people by hashed identifiers, not by a key of ours, so the identifiers that were uploaded are the
    record's id: by them it is removed later, whatever the row says then. A batch is an asynchronous request whose id
    the journal keeps. Its result is counts, so every success is inferred. Members cannot be read back.
    """

    Connection = GoogleAdsConnection
    Options = GoogleAdsOptions
    kind: ClassVar[str] = "google"
    api = API
    after_deletion = "Google says neither who is in an audience nor when a removal is through; it can take a day."

    def __init__(
        self,
        connection: GoogleAdsConnection,
        target: Target,
        options: GoogleAdsOptions,
        client: httpx.AsyncClient,
    ) -> None:
        super().__init__(connection, target, options, client)
        self._people = People(options.phone_region)
        self._audience = f"Audience {target.object} of Google Ads account {connection.customer_id}"
        self._opened: set[str] = set()
        self._warned: dict[str, RowError] = {}
        self._refusals: dict[str, Mapping[str, RowError]] = {}
        self._sent_again: set[str] = set()
        self._replacement: Replacement | None = None

    @classmethod
    def capabilities_for(cls, target: Target, options: GoogleAdsOptions) -> Capabilities:
        """Adding a member twice, or removing nobody, does no harm. An address in other case is the same person's."""
        if found := google_ads_mapping.problems(target, options):
            raise SpecError(" ".join(found))
        replaces = options.replace and target.complete
        return Capabilities(
            operations=_OPERATIONS,
            idempotent=_OPERATIONS,
            max_rows=MEMBERS,
            max_bytes=LONGEST_BODY,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=CONCURRENCY,
            fold_case=is_address(target.external_id),
            confirms=False,
            replaces=options.replace,
            id_separator=" ",
            jobs=JobLimits(
                MEMBERS,
                LONGEST_BODY,
                opens_loaded=not replaces,
                spans_run=replaces,
                timeout=None if replaces else options.wait,
            ),
        )

    def auth(self) -> httpx.Auth | None:
        settings = self.connection
        if key := settings.key():
            claims = {"iss": key.client_email, "scope": answers.SCOPE, "aud": key.token_uri}
            secret = SecretStr(key.private_key)
            return JwtBearer(self.client, key.token_uri, secret, claims, lifetime=3600, key_id=key.private_key_id)
        if settings.client_id and settings.client_secret and settings.refresh_token:
            person = (settings.client_id, settings.client_secret, settings.refresh_token)
            return RefreshToken(self.client, settings.token_url, *person)
        return None

    def error_for(self, response: httpx.Response) -> DestinationError:
        return answers.request_error(response, self._audience)

    async def check(self) -> None:
        """One request that Google validates and does not carry out: it names a person that there is not."""
        if found := list(google_ads_mapping.type_problems(self.target)):
            raise CheckFailed(found)
        try:
            await self._validate()
        except RequestRejected as error:
            raise CheckFailed([f"{self._audience} takes no members: {bare(error)}."]) from error

    async def _validate(self) -> httpx.Response:
        nobody = self._people.member(Operation.UPSERT, Record("", "", {"email": "nobody@example.com"}))
        return await self.read(self._request(Operation.UPSERT, [nobody], validate_only=True))

    # One batch as one request

    def build_request(self, batch: Batch) -> httpx.Request:
        members, _ = self._members(batch)
        return self._request(batch.operation, [member for _, member in members])

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        """What was taken; what becomes of it is known later, by `collect`."""
        answers.request_id(response)
        members, unfit = self._members(batch)
        yield from unfit
        yield from answers.outcomes(batch.operation, members, None, _by_key(answers.warnings(response), members))

    def _members(self, batch: Batch) -> tuple[list[tuple[Record, Member]], list[Outcome]]:
        """The rows that go out, and those that cannot be members."""
        members, unfit = [], []
        for record in batch.records:
            try:
                members.append((record, self._people.member(batch.operation, record)))
            except InvalidValue as error:
                unfit.append(answers.unfit(record, str(error), error.field))
        return members, unfit

    def _request(self, operation: Operation, members: list[Member], *, validate_only: bool = False) -> httpx.Request:
        body: dict[str, Any] = {"destinations": [self._destination()], "audienceMembers": members, "encoding": "HEX"}
        if operation is Operation.UPSERT:
            body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            if consent := self._consent():
                body["consent"] = consent
        if validate_only:
            body["validateOnly"] = True
        return self._post("remove" if operation is Operation.DELETE else "ingest", body)

    def _destination(self) -> dict[str, Any]:
        account = {"accountType": "GOOGLE_ADS", "accountId": self.connection.customer_id}
        destination: dict[str, Any] = {"operatingAccount": account, "productDestinationId": self.target.object}
        if manager := self.connection.login_customer_id:
            destination["loginAccount"] = {"accountType": "GOOGLE_ADS", "accountId": manager}
        return destination

    def _consent(self) -> dict[str, str]:
        """Of all members of a request; a member's own goes before it."""
        given = {"adUserData": self.options.ad_user_data, "adPersonalization": self.options.ad_personalization}
        return {name: f"CONSENT_{word.upper()}" for name, word in given.items() if word}

    def _post(self, method: str, body: Mapping[str, Any]) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        return self.client.build_request(
            "POST", f"/v1/audienceMembers:{method}", content=encode_json(body), headers=headers
        )

    # Jobs

    async def open_job(self, batch: Batch) -> str:
        """Hand the batch over. If Google names rows that it does not take, the others are sent again without them;
        if it then names more, the engine looks for them by halves, as Google may name one at a time."""
        if self.options.replace and self.target.complete:
            return await self._begin_replacement()
        members, _ = self._members(batch)
        if not members:
            return _NOTHING
        try:
            job = await self._hand_over(batch.operation, members)
        except RowsRefused as error:
            keys = {record.key for record, _ in members}
            if keys & self._sent_again or not (refused := _by_key(error.rows, members)):
                raise
            self._sent_again |= keys
            job = f"{_REFUSED}{len(self._refusals) + 1}"
            self._refusals[job] = refused
        self._opened.add(job)
        return job

    async def _hand_over(self, operation: Operation, members: list[tuple[Record, Member]]) -> str:
        """Send one request and return its id. What it warns of is known to this process alone: a run that collects the
        answers of a killed one has the outcomes without it."""
        response = await self.exchange(self._request(operation, [member for _, member in members]))
        found = answers.request_id(response)
        self._warned |= _by_key(answers.warnings(response), members)
        return found

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        """A part of a replacement, without the rows of it that were refused before."""
        replacement = self._replacement
        if replacement is None or replacement.job != job_id:
            raise RetryLater("the replacement was begun by another process")
        members, _ = self._members(batch)
        members = [each for each in members if each[0].key not in replacement.refused]
        request = None
        if members:
            try:
                request = await self._hand_over(batch.operation, members)
            except RowsRefused as error:
                replacement.refused.update(_by_key(error.rows, members))
                raise RetryLater(f"{len(error.rows)} rows of the part were refused; it goes without them") from error
        replacement.uploaded(batch.records, request, last=part.last)

    async def poll(self, job_id: str) -> JobState:
        if job_id == _NOTHING or job_id in self._refusals:
            return JobState.DONE
        if self._replacement and self._replacement.job == job_id:
            return await self._poll_replacement(self._replacement)
        if job_id.startswith((_REFUSED, "replacement ")):  # of a process that is gone; nothing of it counts
            return JobState.OPEN
        try:
            return answers.job_state(await self._status(job_id))
        except (RequestRejected, AudienceUnusable) as error:
            if job_id in self._opened:  # it was taken, and there is no status of it yet
                return JobState.RUNNING
            if isinstance(error, AudienceUnusable) or error.code in STATUS_UNKNOWN:
                return JobState.GONE
            raise

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        members, unfit = self._members(batch)
        if job_id == _NOTHING:
            return unfit
        if refused := self._refusals.get(job_id):
            again = RowError("other rows of the request were refused, and with them all of it")
            sent = [record.key for record, _ in members]
            return [*unfit, *(Outcome.rejected(key, refused.get(key, again), retry=key not in refused) for key in sent)]
        if self._replacement:
            named = self._replacement.refused
            unfit += [Outcome.rejected(each.key, named[each.key]) for each, _ in members if each.key in named]
            members = [each for each in members if each[0].key not in named]
            status = self._replacement.status_of(batch.records)
        else:
            status = await self._status(job_id)
        return [*unfit, *answers.outcomes(batch.operation, members, status, self._warned)]

    async def _status(self, job_id: str) -> Mapping[str, Any]:
        request = self.client.build_request("GET", "/v1/requestStatus:retrieve", params={"requestId": job_id})
        return answers.request_status(await self.read_json(request))

    # Replacing all members

    async def _begin_replacement(self) -> str:
        """Ask what time it is at Google, with a request that is validated alone: our own clock may be ahead."""
        since = _date(await self._validate()).isoformat().replace("+00:00", "Z")
        self._replacement = Replacement(f"replacement {since}", since, self.options.wait)
        return self._replacement.job

    async def _poll_replacement(self, replacement: Replacement) -> JobState:
        """Ask for one request of it; with the last answer, or when the wait is over, everybody else is removed."""
        if not replacement.is_complete:
            return JobState.OPEN
        if (request := replacement.to_ask) and not replacement.is_late:
            replacement.learn(request, await self._status(request))
            return JobState.RUNNING
        if not replacement.removed and not replacement.keeps_the_others:
            await self._remove_others(replacement.since)
            replacement.removed = True
        return JobState.DONE

    async def _remove_others(self, since: str) -> None:
        """It names a time, so it can be sent twice."""
        try:
            await self.read(self._post("removeAll", {"destinations": [self._destination()], "removeAsOfTime": since}))
        except RequestRejected as error:
            raise AuthenticationFailed(f"{self._audience}: the other members were not removed: {error}") from error


def _by_key(rows: Mapping[int, RowError], members: list[tuple[Record, Member]]) -> dict[str, RowError]:
    """What was said of rows, by their keys."""
    return {members[at][0].key: error for at, error in rows.items() if at < len(members)}


def _date(response: httpx.Response) -> datetime:
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC).replace(microsecond=0)
