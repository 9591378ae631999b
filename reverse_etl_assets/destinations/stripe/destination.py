"""Stripe: customers with their billing metadata, and usage as meter events."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from reverse_etl_assets.destinations.base import (
    NOTHING_KNOWN,
    HttpDestination,
    JobState,
    Part,
    decode_json,
    encode_json,
)
from reverse_etl_assets.destinations.stripe import fields as stripe_fields, meters as stripe_meters
from reverse_etl_assets.destinations.stripe.answers import request_error, settled
from reverse_etl_assets.destinations.stripe.limits import (
    CUSTOMERS,
    METER_EVENT_STREAM,
    METER_EVENTS,
    OBJECTS,
    in_live_mode,
    in_test_mode,
)
from reverse_etl_assets.destinations.stripe.options import API, OLDEST, StripeConnection, StripeOptions
from reverse_etl_assets.destinations.stripe.reading import StripeReading
from reverse_etl_assets.destinations.stripe.stream import STREAM, Handover, Refusals, StripeAuth
from reverse_etl_assets.errors import Ambiguous, CheckFailed, ContractViolation, DestinationError, RequestRejected
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
    Operation,
    Outcome,
    Reason,
    Record,
    RowError,
    Status,
    Target,
)


class Stripe(HttpDestination[StripeConnection, StripeOptions]):
    """One record a request.

    Stripe has no upsert and no key of our own: customers are matched by a key in their metadata, which search finds up
    to an hour late, so ids that are known from earlier runs are used as they are, and what a run made is never searched
    in it. A create carries an idempotency key, so that one whose answer was lost is not repeated within a day. Updates
    carry none: the same values a second time, after others in between, would get the first answer and change nothing.
    A meter event's identifier makes it unique for a day, too.
    """

    Connection = StripeConnection
    Options = StripeOptions
    kind = "stripe"
    api = API
    after_deletion = (
        "Stripe deletes a customer for good and cancels its subscriptions; payments and invoices stay, with the name"
        " and address that stood on them."
    )

    def __init__(
        self, connection: StripeConnection, target: Target, options: StripeOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self._by_id = target.external_id == "id"
        self._reading = StripeReading(self._get, target)
        self._gone: dict[str, str] = {}  # ids that proved to be of no customer any more, by external id
        self._meter_id: str | None = None
        client.headers["Stripe-Version"] = connection.api_version
        if connection.stripe_account:
            client.headers["Stripe-Account"] = connection.stripe_account
        if connection.key_mode == "live":
            own = connection.requests_per_second
            live = in_live_mode(self.capabilities, target.object)
            self.capabilities = replace(live, requests_per_second=own or live.requests_per_second)

    @classmethod
    def capabilities_for(cls, target: Target, options: StripeOptions) -> Capabilities:
        """Those of test mode: the key is not known yet."""
        return in_test_mode(target, options)

    @classmethod
    def link(cls, base_url: str, target: Target) -> str | None:
        return f"{_DASHBOARD}/{'customers' if target.object == CUSTOMERS else 'meters'}" if _is_real(base_url) else None

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        if target.object != CUSTOMERS or not _is_real(base_url):
            return None
        mode = "test/" if "test" in learned.get("mode", ()) else ""
        return f"{_DASHBOARD}/{mode}customers/{quote(destination_id, safe='')}"

    @classmethod
    def reads_back(cls, target: Target, options: StripeOptions) -> bool:
        """By `id`. What is found by metadata is found by search, which lags behind writes."""
        return target.object == CUSTOMERS and target.external_id == "id"

    def auth(self) -> httpx.Auth:
        settings = self.connection
        return StripeAuth(self.client, settings.base_url, settings.secret_key, settings.api_version)

    def error_for(self, response: httpx.Response) -> DestinationError:
        return request_error(response, self.connection.key_mode)

    # Whether the sync fits

    async def check(self) -> None:
        """One request: a search, a list, or the meters. A missing permission to write shows only with the first
        write; its message names the permission."""
        if (version := self.connection.api_version) < OLDEST:
            problem = f"`api_version` is {version}, and {OLDEST} is the first that this destination can use"
            raise CheckFailed([f"{problem}: set it to `{API.version}`, or leave it out."])
        if self.target.object == CUSTOMERS:
            problems = list(stripe_fields.customer_problems(self.target))
            if not problems:
                problems = await self._search_problems()
        elif self.target.object in OBJECTS:
            problems = list(stripe_meters.mapping_problems(self.target, self.options.meter))
            problems += await self._meter_problems() if self.options.meter else []
        else:
            known = ", ".join(f"`{name}`" for name in OBJECTS)
            problems = [f"There is no object `{self.target.object}`. There are {known}."]
        if problems:
            raise CheckFailed(problems)

    async def _search_problems(self) -> list[str]:
        try:
            if self._by_id:
                await self._get("/v1/customers", {"limit": "1"})
            else:
                await self.find(["-"])
        except RequestRejected as error:
            return [f"Customers cannot be looked up by `{self.target.external_id}`: {error}"]
        return []

    async def _meter_problems(self) -> list[str]:
        meters = await self._meters()
        if self.target.object == METER_EVENT_STREAM:
            await self._get("/v2/core/events", {**Handover(datetime.now(UTC)).reports(), "limit": "1"})
        return list(stripe_meters.meter_problems(self.target, self.options.meter, meters))

    async def _meters(self) -> list[dict[str, Any]]:
        meters = [each async for each in self._reading.pages("/v1/billing/meters", {"limit": "100"})]
        self._meter_id = next((each["id"] for each in meters if each.get("event_name") == self.options.meter), None)
        return meters

    def learned(self) -> Mapping[str, list[str]]:
        return {"mode": [self.connection.key_mode], "meter": [self._meter_id] if self._meter_id else []}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        self._meter_id = next(iter(learned.get("meter", ())), None)

    # One request

    def build_request(self, batch: Batch) -> httpx.Request:
        if self.target.object == METER_EVENT_STREAM:
            return self._to_stream(batch.records)
        [record] = batch.records
        if self.target.object == METER_EVENTS:
            return self._post("/v1/billing/meter_events", stripe_meters.v1_form(record, self.options.meter))
        if batch.operation is Operation.UPSERT and record.destination_id is None and not self._by_id:
            return self._create(batch, record)
        path = f"/v1/customers/{quote(self._id(record), safe='')}"
        if batch.operation is Operation.DELETE:
            return self.client.build_request("DELETE", path)
        return self._post(path, stripe_fields.form(self._fields(record), clears=True))

    def _create(self, batch: Batch, record: Record) -> httpx.Request:
        """The key changes once the customer that it made is gone: Stripe would tell of that one for a day."""
        gone = self._gone.get(record.external_id)
        salted = hashlib.sha256(f"{batch.idempotency_key} {gone}".encode()).hexdigest()[:40]
        request = self._post("/v1/customers", stripe_fields.form(self._fields(record), clears=False))
        request.headers["Idempotency-Key"] = salted if gone else batch.idempotency_key
        return request

    def _fields(self, record: Record) -> dict[str, Any]:
        """What is written; the key in the metadata always, as somebody may have taken it off."""
        fields = {name: value for name, value in record.fields.items() if name != "id"}
        return fields if self._by_id else {**fields, self.target.external_id: record.external_id}

    def _post(self, path: str, pairs: list[tuple[str, str]]) -> httpx.Request:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.client.build_request("POST", path, content=urlencode(pairs, safe="[]").encode(), headers=headers)

    def _id(self, record: Record) -> str:
        if found := record.external_id if self._by_id else record.destination_id:
            return found
        raise ContractViolation(f"row {record.key} has no customer id: it has to be found first")

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        if len(batch.records) == 1 and (problem := self._not_taken(batch.records[0])):
            return [Outcome(batch.records[0].key, Status.FAILED, Reason.INVALID, problem)]
        try:
            return await super().send(batch)
        except RequestRejected as error:
            outcome = settled(batch, error) if len(batch.records) == 1 else None
            if outcome is None:
                raise
            if outcome.reason is Reason.NOT_FOUND:
                self._gone[batch.records[0].external_id] = self._id(batch.records[0])
            return [outcome]

    def _not_taken(self, record: Record) -> RowError | None:
        if self.target.object == CUSTOMERS:
            return stripe_fields.too_long(record, self.target.external_id)
        return stripe_meters.not_taken(record, datetime.now(UTC))

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        answer = decode_json(response)
        if not isinstance(answer, dict):
            raise Ambiguous("the answer is no object")
        if self.target.object == METER_EVENT_STREAM:
            raise Ambiguous("the stream says nothing of its events")
        [record] = batch.records
        if self.target.object == METER_EVENTS:
            if answer.get("identifier") == record.external_id:
                yield Outcome(record.key, Status.CREATED, destination_id=record.external_id)
        elif (record.destination_id or self._by_id) and answer.get("id") == self._id(record):
            deleted = batch.operation is Operation.DELETE
            if bool(answer.get("deleted")) is deleted:
                yield Outcome(record.key, Status.DELETED if deleted else Status.UPDATED, destination_id=answer["id"])
        elif record.destination_id is None and self._reading.key_of(answer) == record.external_id:
            yield self._created(record, answer["id"], again=response.headers.get("Idempotent-Replayed") == "true")

    def _created(self, record: Record, customer: str, *, again: bool) -> Outcome:
        if not again:
            return Outcome(record.key, Status.CREATED, destination_id=customer)
        # it may have been changed since, or deleted: written to by its id, it is as the row says
        message = RowError("Stripe repeats its answer to an earlier request, which made this customer")
        return Outcome(record.key, Status.FAILED, Reason.UNAVAILABLE, message, customer, retry=True)

    # Looking customers up

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self._reading.find(external_ids)

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        return {each: await self._reading.held(each) for each in external_ids}

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return stripe_fields.same(self.target.fields.get(field, FieldType.TEXT), sent, held)

    async def _get(self, path: str, params: Mapping[str, str]) -> Any:
        return await self.read_json(self.client.build_request("GET", path, params=params or None))

    # The stream: each request is a job

    async def open_job(self, batch: Batch) -> str:
        handover = Handover(datetime.now(UTC))
        taken = [record for record in batch.records if not stripe_meters.not_taken(record, handover.at)]
        if taken:
            await self.exchange(self._to_stream(taken))
        return handover.job(batch)

    def _to_stream(self, records: Sequence[Record]) -> httpx.Request:
        events = [stripe_meters.v2_event(record, self.options.meter) for record in records]
        url = self.connection.meter_events_url.rstrip("/") + STREAM
        headers = {"Content-Type": "application/json"}
        return self.client.build_request("POST", url, content=encode_json({"events": events}), headers=headers)

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        raise ContractViolation("a request to the stream is its own upload")

    async def poll(self, job_id: str) -> JobState:
        handover = Handover.of(job_id)
        return handover.state(self.options.report_wait) if handover else JobState.GONE

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        handover = Handover.of(job_id)
        if handover is None:
            raise Ambiguous(f"job {job_id} is none of ours")
        if self._meter_id is None:
            await self._meters()
        reports = [each async for each in self._reading.pages("/v2/core/events", handover.reports())]
        return list(Refusals.of(reports, self._meter_id).outcomes(batch, handover.at))


_DASHBOARD = "https://dashboard.stripe.com"


def _is_real(base_url: str) -> bool:
    return httpx.URL(base_url).host.endswith(".stripe.com")
