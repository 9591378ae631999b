"""The members of a static HubSpot list (a segment): `object: lists/<id>`, a row for each member.

Endpoints: "Segments (Lists) API" guide of HubSpot's developer documentation, 2026-09.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from reverse_etl_assets.destinations.hubspot.answers import listed
from reverse_etl_assets.destinations.hubspot.api import REQUESTS_PER_SECOND, Api, Lookup
from reverse_etl_assets.destinations.hubspot.object import ObjectKind, answer_of, without_record
from reverse_etl_assets.destinations.hubspot.options import HubSpotOptions
from reverse_etl_assets.destinations.hubspot.properties import key_problems
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, DestinationError, RequestRejected
from reverse_etl_assets.records import Batch, Capabilities, Operation, Outcome, Reason, Record, Status, Target

MEMBERS_PER_REQUEST = 1_000
"""Our choice. HubSpot names a limit only for copying a whole list, 100,000 ("Segments (Lists) API" guide, 2026-09);
records are looked up 100 at once, so larger requests would save next to nothing."""
MAX_BYTES = 1_000_000
"""Our choice: far above a thousand ids."""

_OBJECT_TYPE = "objectTypeId"
_CONTACTS = "0-1"
_ADDED = ("recordsIdsAdded", "recordIdsAdded")  # HubSpot answers with the first; its documentation shows both


class Members(ObjectKind):
    """An upsert adds a record to the list, a delete takes it out; the records themselves stay as they are.

    Rows are found by the external id first, and `destination_id` is the record's. What the answer leaves out was a
    member before (or, of a delete, was none): HubSpot ignores such ids, so `updated` is inferred.
    """

    def __init__(self, api: Api, target: Target, options: HubSpotOptions) -> None:
        super().__init__(api, target, options)
        self._id = target.object.removeprefix("lists/")
        self._holds = _CONTACTS

    @staticmethod
    def capabilities(target: Target) -> Capabilities:
        able = frozenset({Operation.UPSERT, Operation.DELETE})
        return Capabilities(
            operations=able,
            idempotent=able,
            max_rows=MEMBERS_PER_REQUEST,
            max_bytes=MAX_BYTES,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=3,  # HubSpot answers 423 when writes to the same object come too fast
            fold_case=True,
            confirms=False,
            erases=True,  # nothing of it can be restored; the records themselves are of other syncs
            needs_id=able,
        )

    @staticmethod
    def records_of(target: Target, learned: Mapping[str, Sequence[str]]) -> str:
        return next(iter(learned.get(_OBJECT_TYPE, ())), _CONTACTS)

    async def check(self) -> None:
        try:
            answer = await self.api.get(self.api.path("lists", self._id))
        except RequestRejected as error:
            raise CheckFailed(
                [f"There is no list `{self._id}` ({error}). Its id stands under Segments > Details in HubSpot."]
            ) from error
        described = answer.get("list") or {}
        if described.get("deletedAt"):
            raise CheckFailed([f"List `{self._id}` was deleted: {_RESTORE}."])
        self._holds = str(described.get(_OBJECT_TYPE) or _CONTACTS)
        properties = await self.api.get(self.api.path("properties", self._holds))
        if problems := list(self._problems(described, properties["results"])):
            raise CheckFailed(problems)

    def _problems(self, described: Mapping[str, Any], properties: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        if described.get("processingType") == "DYNAMIC":
            yield (
                f"List `{self._id}` is an active one: HubSpot alone decides who is on it. Name a static list, or turn"
                " it into one in HubSpot."
            )
        yield from key_problems(properties, self._holds, self.target.external_id)
        for field in self.target.fields:
            if field != self.target.external_id:
                yield f"A list has no field `{field}`: map `{self.target.external_id}` alone."

    def learned(self) -> Mapping[str, list[str]]:
        return {_OBJECT_TYPE: [self._holds]}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        [self._holds] = learned.get(_OBJECT_TYPE, [_CONTACTS])

    def error_for(self, response: httpx.Response) -> DestinationError:
        error = super().error_for(response)
        if response.status_code == 404 and response.request.method == "PUT":
            return AuthenticationFailed(f"List `{self._id}` is not there any more: {_RESTORE} ({error}).")
        return error

    def build_request(self, batch: Batch) -> httpx.Request:
        ids = list(dict.fromkeys(record.destination_id for record in batch.records if record.destination_id))
        removes = batch.operation is Operation.DELETE
        body = {"recordIdsToAdd": [] if removes else ids, "recordIdsToRemove": ids if removes else []}
        return self.api.request("PUT", self.api.path("lists", self._id, "memberships", "add-and-remove"), body)

    def not_sendable(self, batch: Batch) -> list[Outcome]:
        message = f"HubSpot has no record with this `{self.target.external_id}`: a list takes records that are there"
        return without_record(batch, message)

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        answer = answer_of(response)
        if not {*_ADDED, "recordIdsRemoved", "recordIdsMissing"} & answer.keys():
            return  # it says nothing of any row
        added = {str(each) for name in _ADDED for each in listed(answer, name)}
        removed = {str(each) for each in listed(answer, "recordIdsRemoved")}
        missing = {str(each) for each in listed(answer, "recordIdsMissing")}
        for record in batch.records:
            if record.destination_id is None:
                continue
            if batch.operation is Operation.DELETE:
                yield _left(record, removed)
            elif record.destination_id in missing:
                message = "HubSpot did not find the record"
                yield Outcome.skipped(record.key, Reason.NOT_FOUND, message, record.destination_id)
            else:
                new = record.destination_id in added
                status = Status.CREATED if new else Status.UPDATED
                yield Outcome(record.key, status, destination_id=record.destination_id, inferred=not new)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The records with each external id, be they members or not."""
        return await Lookup(self.api, self._holds, self.target.external_id, self.target.key_type).ids(external_ids)


_RESTORE = "restore it in HubSpot, which is possible for 90 days, or name another one as `object`"


def _left(record: Record, removed: set[str]) -> Outcome:
    if record.destination_id in removed:
        return Outcome(record.key, Status.DELETED, destination_id=record.destination_id)
    message = "the record was no member of the list"
    return Outcome.skipped(record.key, Reason.ALREADY_GONE, message, record.destination_id)
