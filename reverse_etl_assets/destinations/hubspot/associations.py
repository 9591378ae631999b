"""Associations between HubSpot records: `object: associations/contacts/companies`, a row for each pair.

Endpoints: "Associate records" guide of HubSpot's developer documentation, 2026-09 (v4 in the versions before). Ending
associations answers 200 with a body that may have `errors` in dated versions, 204 in v4 (associations.json of both in
HubSpot's public API specifications, read 2026-11-30).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import httpx

from reverse_etl_assets.destinations.hubspot.answers import RETRY_ROW, has_ended, listed, refusal, row_error
from reverse_etl_assets.destinations.hubspot.api import REQUESTS_PER_SECOND, Api, Lookup
from reverse_etl_assets.destinations.hubspot.object import ObjectKind, answer_of, without_record
from reverse_etl_assets.destinations.hubspot.options import HubSpotOptions
from reverse_etl_assets.destinations.hubspot.pairs import pairs_of
from reverse_etl_assets.destinations.hubspot.properties import key_problems
from reverse_etl_assets.errors import CheckFailed, ContractViolation, RequestRejected
from reverse_etl_assets.records import Batch, Capabilities, Operation, Outcome, Reason, Record, Status, Target

PAIRS_PER_REQUEST = 1_000
"""HubSpot's limit of its twin that reads ("Bug Fix: Batch Read Limit for HubSpot Associations API", changelog,
2025-02-10); others have found that writes take 2,000 ("Associate records action (batch)", Workato, 2025-06-16)."""
MAX_BYTES = 1_000_000
"""Our choice: far above a thousand pairs of ids."""

_SIDES = ("from", "to")


class Associations(ObjectKind):
    """An upsert associates two records, without a label; a delete ends every association between the two. Either may be
    sent again, so a batch is halved if an error does not say whom it means.

    The mapping says how each record is found, `from.email: ...` and `to.external_id: ...`; the primary key has the same
    two columns in this order. Rows are found first, and `destination_id` is both records' ids, `101:202`.
    HubSpot does not tell whether two records were associated before, and of a delete it names errors alone.
    """

    def __init__(self, api: Api, target: Target, options: HubSpotOptions) -> None:
        super().__init__(api, target, options)
        _, *self._objects = target.object.split("/")
        self._fields = {side: [name for name in target.fields if name.startswith(f"{side}.")] for side in _SIDES}

    @staticmethod
    def capabilities(target: Target) -> Capabilities:
        able = frozenset({Operation.UPSERT, Operation.DELETE})
        return Capabilities(
            operations=able,
            idempotent=able,
            max_rows=PAIRS_PER_REQUEST,
            max_bytes=MAX_BYTES,
            requests_per_second=REQUESTS_PER_SECOND / 2,  # looking up is two requests
            concurrency=3,
            fold_case=True,
            confirms=False,
            erases=True,  # nothing of it can be restored; the records themselves are of other syncs
            needs_id=able,
        )

    @staticmethod
    def records_of(target: Target, learned: Mapping[str, Sequence[str]]) -> str:
        return target.object.split("/")[1]

    async def check(self) -> None:
        problems = []
        for side, name in zip(_SIDES, self._objects, strict=True):
            try:
                answer = await self.api.get(self.api.path("properties", name))
            except RequestRejected as error:
                problems.append(f"There is no object `{name}` ({error}).")
                continue
            if len(self._fields[side]) == 1:
                problems += key_problems(answer["results"], name, self._key(side))
            else:
                problems.append(f"Map one property of `{name}` to find its records by: `{side}.<property>: <column>`.")
        if self.target.external_id in self.target.fields:
            problems.append("An association has a key of two columns: `primary_key: [<from>, <to>]`.")
        others = set(self.target.fields) - {name for names in self._fields.values() for name in names}
        problems += [f"An association has no field `{name}`." for name in sorted(others)]
        if problems:
            raise CheckFailed(problems)

    def _key(self, side: str) -> str:
        return self._fields[side][0].removeprefix(f"{side}.")

    def build_request(self, batch: Batch) -> httpx.Request:
        pairs = _rows_by_pair(batch)
        if batch.operation is Operation.DELETE:
            return self._post([{"from": {"id": one}, "to": [{"id": other}]} for one, other in pairs], "archive")
        return self._post([{"from": {"id": one}, "to": {"id": other}} for one, other in pairs], "associate", "default")

    def _post(self, inputs: Sequence[Any], *verb: str) -> httpx.Request:
        path = self.api.path("associations", *self._objects, "batch", *verb)
        return self.api.request("POST", path, {"inputs": inputs})

    def not_sendable(self, batch: Batch) -> list[Outcome]:
        message = (
            f"HubSpot has no pair of records with these keys: `{self._key('from')}` of {self._objects[0]} and"
            f" `{self._key('to')}` of {self._objects[1]}, in the order of the primary key"
        )
        return without_record(batch, message)

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterator[Outcome]:
        sent, answer = _rows_by_pair(batch), answer_of(response)
        errors = [(error, pairs_of(error, sent, self._objects)) for error in listed(answer, "errors")]
        if nameless := [error for error, pairs in errors if not pairs]:  # nobody knows whom else it refuses
            raise refusal(nameless[0])
        for error, pairs in errors:
            for pair in pairs if len(pairs) == 1 else ():
                yield from (_refused(batch.operation, record, error) for record in sent.pop(pair, ()))
        for result in listed(answer, "results") if batch.operation is Operation.UPSERT else ():
            for record in sent.pop((_id(result, "from"), _id(result, "to")), ()):
                yield Outcome(record.key, Status.CREATED, destination_id=record.destination_id, inferred=True)
        for error, pairs in errors:  # of a record that is in several pairs
            for pair in pairs:
                yield from (_refused(batch.operation, record, error) for record in sent.pop(pair, ()))
        if batch.operation is Operation.DELETE and has_ended(answer, len(errors)):
            for record in (each for rows in sent.values() for each in rows):
                yield Outcome(record.key, Status.DELETED, destination_id=record.destination_id, inferred=True)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The ids of both records, be they associated or not. Two requests."""
        keys = {each: _split(each) for each in external_ids}
        ids = []
        for at, (side, name) in enumerate(zip(_SIDES, self._objects, strict=True)):
            wanted = list(dict.fromkeys(key[at] for key in keys.values()))
            ids.append(await Lookup(self.api, name, self._key(side)).ids(wanted))
        return {
            each: [":".join(pair) for pair in product(ids[0][one], ids[1][other])]
            for each, (one, other) in keys.items()
        }


def _split(external_id: str) -> tuple[str, str]:
    """The two parts of a key of two columns, which the engine joins by `|`."""
    marked = external_id.replace("\\\\", "\0").replace("\\|", "\1").split("|")
    parts = [part.replace("\1", "|").replace("\0", "\\") for part in marked]
    if len(parts) != 2:
        raise ContractViolation("an association has a key of two columns: `primary_key: [<from>, <to>]`")
    return parts[0], parts[1]


def _rows_by_pair(batch: Batch) -> dict[tuple[str, str], list[Record]]:
    """The rows by the ids of their two records. Several keys, such as a contact's addresses, may mean one pair."""
    rows: dict[tuple[str, str], list[Record]] = {}
    for record in batch.records:
        if record.destination_id:
            one, _, other = record.destination_id.partition(":")
            rows.setdefault((one, other), []).append(record)
    return rows


def _id(result: Mapping[str, Any], side: str) -> str:
    return str((result.get(side) or {}).get("id"))


def _refused(operation: Operation, record: Record, error: Mapping[str, Any]) -> Outcome:
    problem = row_error(error)
    if error.get("category") == "OBJECT_NOT_FOUND":
        gone = Reason.ALREADY_GONE if operation is Operation.DELETE else Reason.NOT_FOUND
        return Outcome.skipped(record.key, gone, problem.message, record.destination_id)
    return Outcome.rejected(record.key, problem, retry=error.get("category") in RETRY_ROW)
