"""HubSpot's records: contacts, companies, deals, tickets and custom objects, 100 in a request."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx

from reverse_etl_assets.destinations import choices
from reverse_etl_assets.destinations.base import NOTHING_KNOWN
from reverse_etl_assets.destinations.hubspot import properties as hubspot_properties
from reverse_etl_assets.destinations.hubspot.answers import BatchAnswer, met_another, removed, spelled
from reverse_etl_assets.destinations.hubspot.api import (
    OBJECT_IDS,
    RECORDS_PER_REQUEST,
    REQUESTS_PER_SECOND,
    Api,
    Lookup,
    Result,
    by_email,
    object_name,
)
from reverse_etl_assets.destinations.hubspot.lifecycle import Stages
from reverse_etl_assets.destinations.hubspot.object import ObjectKind, answer_of
from reverse_etl_assets.destinations.hubspot.options import HubSpotOptions
from reverse_etl_assets.destinations.schema import Forms
from reverse_etl_assets.destinations.values import plain_text, same_value, utc_milliseconds
from reverse_etl_assets.errors import CheckFailed, ContractViolation, DestinationError, RequestRejected
from reverse_etl_assets.records import (
    Batch,
    Capabilities,
    Current,
    FieldType,
    Operation,
    Outcome,
    Reason,
    Record,
    Status,
    Target,
)

MAX_BYTES = 5_000_000
"""Our choice: HubSpot publishes no limit for the bytes of a request."""

MERGED_AT_ONCE = 10
"""Our choice: rows of a batch whose records may have been merged, that are asked for; others go out again later."""
_ERASE = "gdpr-delete"
_ENDPOINTS = {
    Operation.UPSERT: "upsert",
    Operation.INSERT: "create",
    Operation.UPDATE: "update",
    Operation.DELETE: "archive",
}


class Records(ObjectKind):
    """CRM records, matched by a property with unique values, or contacts by email.

    Every input carries our key as `objectWriteTraceId`: with it HubSpot refuses bad rows alone (207), without it the
    whole request. Results are in no order and do not repeat it.
    An archive names errors at most, so `deleted` is inferred; it ignores ids that are gone already. Contacts
    can be deleted for good, one in a request; always by their id, for an address that HubSpot does not know would be
    barred from ever being used ("Permanently delete a contact (GDPR-compliant)", HubSpot's reference, read 2026-11-30).
    """

    reads_back = True
    forms_of_types = Forms(of_many={hubspot_properties.MANY})

    def __init__(self, api: Api, target: Target, options: HubSpotOptions) -> None:
        super().__init__(api, target, options)
        self._lookup = Lookup(api, target.object, target.external_id, target.key_type)
        self._times = [name for name, sent in target.fields.items() if sent is FieldType.TIMESTAMP]
        self._stages = Stages(options.lifecycle)

    @staticmethod
    def capabilities(target: Target) -> Capabilities:
        """An insert is idempotent because the external id is unique: a second one is refused.

        HubSpot publishes no limit of concurrency and answers 423 when writes to an object come too fast ("Error
        handling", 2026). "Partial upserts are not supported" for contacts that are matched by email, so there an
        upsert names every property ("Contacts" guide, 2026-09).
        """
        erases = object_name(target.object) == "contacts"
        partial = {Operation.UPDATE, Operation.UPSERT}
        if by_email(target.object, target.external_id):
            partial.remove(Operation.UPSERT)
        return Capabilities(
            operations=frozenset(Operation),
            idempotent=frozenset(Operation),
            max_rows=1 if erases and target.for_good else RECORDS_PER_REQUEST,
            max_bytes=MAX_BYTES,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=6,
            fold_case=True,
            key_as_field=True,
            needs_id=frozenset({Operation.UPDATE, Operation.DELETE}),
            partial=frozenset(partial),
            erases=erases,
            reaches_deleted=False if erases else None,
        )

    async def check(self) -> None:
        """One request, the object's properties. A missing scope to write shows only with the first write."""
        try:
            answer = await self.api.get(self.api.path("properties", self.target.object))
        except RequestRejected as error:
            known = ", ".join(f"`{name}`" for name in OBJECT_IDS.values())
            raise CheckFailed(
                [
                    f"There is no object `{self.target.object}` ({error}). Known are {known} and custom ones,"
                    " `2-123456`; `lists/<id>` and `associations/<from>/<to>`."
                ]
            ) from error
        if problems := list(hubspot_properties.problems(answer["results"], self.target)):
            raise CheckFailed(problems)
        self.learn(map(hubspot_properties.field_of, answer["results"]))

    def not_sendable(self, batch: Batch) -> list[Outcome]:
        found = [(record, choices.unfit(record, self.lists)) for record in batch.records]
        return [Outcome(record.key, Status.FAILED, Reason.INVALID, error) for record, error in found if error]

    def build_request(self, batch: Batch) -> httpx.Request:
        if batch.operation is Operation.DELETE and self.target.for_good:
            [record] = batch.records
            return self.api.request("POST", self.api.path("objects", "contacts", _ERASE), {"objectId": _id(record)})
        build = self._input_builder(batch.operation)
        path = self.api.path("objects", self.target.object, "batch", _ENDPOINTS[batch.operation])
        sent = [record for record in batch.records if not choices.unfit(record, self.lists)]
        return self.api.request("POST", path, {"inputs": [build(record) for record in sent]})

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
        key, name = self.target.external_id, spelled(self.target, record.external_id)
        # An answer tells what was written, and so names the row; and a record made by one spelling of its key would not
        # be found by another.
        properties = self._properties(record) | {key: name}
        return {"id": name, "idProperty": key, "objectWriteTraceId": record.key, "properties": properties}

    def _create_input(self, record: Record) -> dict[str, Any]:
        key = {self.target.external_id: spelled(self.target, record.external_id)}
        properties = self._properties(record) | key
        return {"objectWriteTraceId": record.key, "properties": properties, "associations": []}

    def _update_input(self, record: Record) -> dict[str, Any]:
        properties = self._properties(record)
        properties.pop(self.target.external_id, None)  # it is what the record was found by
        return {"id": _id(record), "objectWriteTraceId": record.key, "properties": properties}

    def _properties(self, record: Record) -> dict[str, str]:
        """Values as text, which is how HubSpot keeps them. An empty text clears a property, null does not."""
        properties = {
            name: value if type(value) is str else "" if value is None else plain_text(value)
            for name, value in self.in_form(record.fields).items()
        }
        for name in self._times:
            if properties.get(name):
                properties[name] = utc_milliseconds(properties[name])
        return properties | self._stages.clears(record)

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        if batch.operation is not Operation.DELETE:
            yield from self._answer_to(batch, response).outcomes
        else:  # also of one that is deleted for good
            yield from removed(self.target, batch, answer_of(response))

    def _answer_to(self, batch: Batch, response: httpx.Response) -> BatchAnswer:
        return BatchAnswer(self.target, batch, answer_of(response), self._stages)

    async def named_by_record(self, batch: Batch, response: httpx.Response) -> list[Outcome]:
        """Contacts that were matched by an additional address, for which the answer tells the primary one; and records
        that were merged into others since. HubSpot is asked whose the addresses are, or what the ids point to now; the
        answer names the record.
        """
        by_address = batch.operation is Operation.UPSERT and by_email(self.target.object, self.target.external_id)
        if not by_address and batch.operation is not Operation.UPDATE:
            return []
        answer = self._answer_to(batch, response)
        if not answer.nameless or not answer.unnamed:
            return []
        rows = list(answer.unnamed.values())
        try:
            ids = await (self._lookup.ids([row.external_id for row in rows]) if by_address else self._now_of(rows))
        except DestinationError:  # then nobody knows whom the results mean
            return []
        return answer.named_by(ids)

    async def _now_of(self, rows: Sequence[Record]) -> dict[str, list[str]]:
        """The ids of the records that the rows' ids point to now, by external id; one request for each.

        "Fetching any records using the original IDs will return the new merged record with the new ID" ("Updated merge
        functionality for contacts and companies", HubSpot's changelog, read 2026-11-30; so of deals "Announcement:
        Deals now support merging"). What an update answers for such an id is not documented.
        """
        found: dict[str, list[str]] = {}
        for row in rows[:MERGED_AT_ONCE]:
            with suppress(RequestRejected):  # it is archived, or gone
                held = await self.api.get(self.api.path("objects", self.target.object, _id(row)))
                found[row.external_id] = [str(held.get("id"))]
        return found

    def refused_alone(self, batch: Batch, error: RequestRejected) -> Outcome | None:
        return met_another(self.target, batch.records[0], error) if batch.operation is Operation.INSERT else None

    def settled(self, outcomes: Sequence[Outcome]) -> None:
        self._stages.settled(outcomes)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = await self._lookup.ids([spelled(self.target, each) for each in external_ids])
        return {each: found[spelled(self.target, each)] for each in external_ids}

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        """The properties that are written, as HubSpot's own texts."""
        ids = {spelled(self.target, each): record_id for each, record_id in known.items()}
        found = await self._lookup.read([spelled(self.target, each) for each in external_ids], self.target.fields, ids)
        named = {each: found[spelled(self.target, each)] for each in external_ids}
        return {each: [self._current(result) for result in results] for each, results in named.items()}

    def _current(self, result: Result) -> Current:
        properties = result.get("properties") or {}
        changed_at = result.get("updatedAt")
        return Current(
            result["id"],
            {
                name: choices.divided(held) if held and name in self.lists else held
                for name in self.target.fields
                for held in [properties.get(name) or None]
            },
            datetime.fromisoformat(changed_at).astimezone(UTC) if changed_at else None,
            sorted(self._lookup.names(result)),
        )

    def same(self, field: str, sent: Any, held: Any) -> bool:
        """HubSpot compares unique values without case, and a value that begins with `;` adds choices to a property."""
        if sent == held or same_value(self.target.fields.get(field, FieldType.TEXT), sent, held):
            return True
        if field in self.lists:
            return choices.same(sent, held)
        if not isinstance(sent, str) or not isinstance(held, str):
            return False
        if field == self.target.external_id:
            return sent.lower() == held.lower()
        return sent.startswith(";") and set(sent[1:].split(";")) <= set(held.split(";"))


def _id(record: Record) -> str:
    if record.destination_id is None:
        raise ContractViolation(f"row {record.key} has no record id: it has to be found first")
    return record.destination_id
