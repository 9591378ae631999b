"""HubSpot: contacts, companies, deals, tickets and custom objects, 100 records a request."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import Field, SecretStr

from reverse_etl_assets.destinations import hubspot_properties
from reverse_etl_assets.destinations.auth import BearerToken
from reverse_etl_assets.destinations.base import (
    ConnectionSettings,
    HttpDestination,
    SyncOptions,
    decode_json,
    encode_json,
)
from reverse_etl_assets.destinations.hubspot_answers import batch_outcomes, quota, request_error
from reverse_etl_assets.destinations.hubspot_properties import RECORD_ID
from reverse_etl_assets.destinations.values import plain_text, same_value, utc_milliseconds
from reverse_etl_assets.errors import (
    Ambiguous,
    CheckFailed,
    ContractViolation,
    DestinationError,
    RequestRejected,
    RetryLater,
)
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
    Operation,
    Outcome,
    Quota,
    Record,
    Status,
    Target,
)

ROWS_PER_REQUEST = 100
"""Batch endpoints take 100 inputs ("Objects" guide of HubSpot's documentation)."""
REQUESTS_PER_SECOND = 18.7
"""190 requests in 10 seconds for a private app of a Professional or Enterprise account ("API usage guidelines"); a
little less, because requests bunch up on their way and the window's edge counts on both sides."""

_ENDPOINTS = {
    Operation.UPSERT: "upsert",
    Operation.INSERT: "create",
    Operation.UPDATE: "update",
    Operation.DELETE: "archive",
}
_OTHER_EMAILS = "hs_additional_emails"


class HubSpotConnection(ConnectionSettings):
    """A private app or a service key."""

    base_url: str = "https://api.hubapi.com"
    access_token: SecretStr
    """Needs the scopes to read and write the objects and to read their properties."""
    api_version: str = Field("v3", pattern=r"^(v3|20\d\d-\d\d)$")
    """`v3`, or a dated version such as `2026-03`."""


class HubSpotOptions(SyncOptions):
    """HubSpot needs no settings of a sync."""


class HubSpot(HttpDestination[HubSpotConnection, HubSpotOptions]):
    """CRM objects, matched by a property with unique values, or contacts by email.

    Every input carries our key as `objectWriteTraceId`: with it HubSpot refuses bad rows alone (207), without it the
    whole request, and its results are in no order.
    An archive answers 204 and names nobody, so `deleted` is inferred; it ignores ids that are gone already.
    HubSpot answers 200 when a lifecycle stage would move backwards, and keeps the old one: such a row is reported as
    rejected, for HubSpot does not hold what was sent.
    Read are the properties that are written, as HubSpot's own texts, with batch/read, which sees writes at once; search
    lags behind them.
    """

    Connection = HubSpotConnection
    Options = HubSpotOptions
    describes = True
    after_deletion = (
        "HubSpot keeps an archived record, and can restore it for 90 days. Deleting it for good, as the GDPR asks, is"
        " another call, which is not made: do it in HubSpot."
    )

    find_limit = ROWS_PER_REQUEST
    read_limit = ROWS_PER_REQUEST

    def __init__(
        self, connection: HubSpotConnection, target: Target, options: HubSpotOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self._by_email = _by_email(target)
        self._times = [name for name, sent in target.fields.items() if sent is FieldType.TIMESTAMP]

    @classmethod
    def capabilities_for(cls, target: Target, options: HubSpotOptions) -> Capabilities:
        """An insert is idempotent because the external id is unique: a second one is refused.

        HubSpot publishes no limit of concurrency and answers 423 when writes to an object come too fast. It does not
        publish one for the bytes of a request either; 5 MB is our choice. "Partial upserts are not supported" for
        contacts that are matched by email, so there an upsert names every property ("Contacts" guide).
        """
        partial = {Operation.UPDATE} if _by_email(target) else {Operation.UPDATE, Operation.UPSERT}
        return Capabilities(
            operations=frozenset(Operation),
            idempotent=frozenset(Operation),
            max_rows=ROWS_PER_REQUEST,
            max_bytes=5_000_000,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=6,
            fold_case=True,
            needs_id=frozenset({Operation.UPDATE, Operation.DELETE}),
            partial=frozenset(partial),
        )

    @classmethod
    def quota(cls, response: httpx.Response) -> Quota | None:
        return quota(response)

    def auth(self) -> httpx.Auth:
        return BearerToken(self.connection.access_token)

    def error_for(self, response: httpx.Response) -> DestinationError:
        return request_error(response)

    async def check(self) -> None:
        """One request, the object's properties. A missing scope to write shows only with the first write."""
        try:
            answer = await self.read_json(self.client.build_request("GET", self._path("properties")))
        except RequestRejected as error:
            known = ", ".join(f"`{name}`" for name in hubspot_properties.OBJECT_IDS.values())
            raise CheckFailed(
                [f"There is no object `{self.target.object}` ({error}). Known are {known} and custom ones, `2-123456`."]
            ) from error
        if problems := list(hubspot_properties.problems(answer["results"], self.target)):
            raise CheckFailed(problems)

    def build_request(self, batch: Batch) -> httpx.Request:
        build = self._input_builder(batch.operation)
        inputs = [build(record) for record in batch.records]
        return self._post(f"batch/{_ENDPOINTS[batch.operation]}", {"inputs": inputs})

    def _input_builder(self, operation: Operation) -> Callable[[Record], dict[str, Any]]:
        match operation:
            case Operation.UPSERT:
                return self._upsert_input
            case Operation.INSERT:
                return self._create_input
            case Operation.UPDATE:
                return self._update_input
        return lambda record: {"id": _id(record)}

    def _upsert_input(self, record: Record) -> dict[str, Any]:
        return {
            "id": record.external_id,
            "idProperty": self.target.external_id,
            "objectWriteTraceId": record.key,
            "properties": self._properties(record),
        }

    def _create_input(self, record: Record) -> dict[str, Any]:
        properties = self._properties(record) | {self.target.external_id: record.external_id}
        return {"objectWriteTraceId": record.key, "properties": properties, "associations": []}

    def _update_input(self, record: Record) -> dict[str, Any]:
        properties = self._properties(record)
        properties.pop(self.target.external_id, None)  # it is what the record was found by
        return {"id": _id(record), "objectWriteTraceId": record.key, "properties": properties}

    def _properties(self, record: Record) -> dict[str, str]:
        """Values as text, which is how HubSpot keeps them. An empty text clears a property, null does not."""
        properties = {
            name: value if type(value) is str else "" if value is None else plain_text(value)
            for name, value in record.fields.items()
        }
        for name in self._times:
            if properties.get(name):
                properties[name] = utc_milliseconds(properties[name])
        return properties

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        if batch.operation is Operation.DELETE:
            if response.status_code == 204:
                for record in batch.records:
                    yield Outcome(record.key, Status.DELETED, destination_id=record.destination_id, inferred=True)
            return
        if not response.content:
            return  # seen with a malformed body: nothing was written
        answer = decode_json(response)
        if not isinstance(answer, dict):
            raise Ambiguous("the answer is no object with results")
        yield from batch_outcomes(self.target, batch, answer)

    # Looking records up

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = await self._read(external_ids)
        return {each: [result["id"] for result in results] for each, results in found.items()}

    async def read_records(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[Current]]:
        found = await self._read(external_ids, self.target.fields)
        return {each: [self._current(result) for result in results] for each, results in found.items()}

    async def _read(self, external_ids: Sequence[str], more: Iterable[str] = ()) -> dict[str, list[dict[str, Any]]]:
        """The results for each external id, in one request."""
        key = self.target.external_id
        others = [_OTHER_EMAILS] if self._by_email else []  # a contact is matched by these, too
        body: dict[str, Any] = {
            "properties": list(dict.fromkeys([key, *others, *more])),
            "propertiesWithHistory": [],
            "inputs": [{"id": each} for each in external_ids],
        }
        if key != RECORD_ID:
            body["idProperty"] = key
        answer = await self.read_json(self._post("batch/read", body))
        if not isinstance(answer, dict) or "results" not in answer:
            raise RetryLater("the answer to a read has no results")  # which says nothing of who is there
        found: dict[str, dict[str, dict[str, Any]]] = {each: {} for each in external_ids}
        asked = {each.lower(): each for each in external_ids}
        for result in answer["results"]:
            for name in self._names(result):
                if each := asked.get(name.lower()):
                    found[each][result["id"]] = result  # once, though several of its addresses were asked for
        return {each: list(results.values()) for each, results in found.items()}

    def _names(self, result: Mapping[str, Any]) -> set[str]:
        properties = result.get("properties") or {}
        if self.target.external_id == RECORD_ID:
            return {result["id"]}
        others = str(properties.get(_OTHER_EMAILS) or "").lower().split(";") if self._by_email else ()
        return {str(properties.get(self.target.external_id) or "").lower(), *others} - {""}

    def _current(self, result: Mapping[str, Any]) -> Current:
        properties = result.get("properties") or {}
        changed_at = result.get("updatedAt")
        return Current(
            result["id"],
            {name: properties.get(name) or None for name in self.target.fields},
            datetime.fromisoformat(changed_at).astimezone(UTC) if changed_at else None,
        )

    def same(self, field: str, sent: Any, held: Any) -> bool:
        """HubSpot compares unique values without case, and a value that begins with `;` adds choices to a property."""
        if sent == held or same_value(self.target.fields.get(field, FieldType.TEXT), sent, held):
            return True
        if not isinstance(sent, str) or not isinstance(held, str):
            return False
        if field == self.target.external_id:
            return sent.lower() == held.lower()
        return sent.startswith(";") and set(sent[1:].split(";")) <= set(held.split(";"))

    def _post(self, endpoint: str, body: Mapping[str, Any]) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        return self.client.build_request(
            "POST", f"{self._path('objects')}/{endpoint}", content=encode_json(body), headers=headers
        )

    def _path(self, api: str) -> str:
        version, name = self.connection.api_version, quote(self.target.object, safe="")
        return f"/crm/v3/{api}/{name}" if version == "v3" else f"/crm/{api}/{version}/{name}"


def _by_email(target: Target) -> bool:
    return hubspot_properties.object_name(target) == "contacts" and target.external_id == "email"


def _id(record: Record) -> str:
    if record.destination_id is None:
        raise ContractViolation(f"row {record.key} has no record id: it has to be found first")
    return record.destination_id
