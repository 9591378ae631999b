"""Contacts and companies of Intercom: one record a request."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

from reverse_etl_assets.destinations.intercom.api import (
    GONE,
    MAX_BYTES,
    REQUESTS_PER_SECOND,
    Api,
    Call,
    IntercomOptions,
    ObjectKind,
    folded,
    id_of,
)
from reverse_etl_assets.destinations.intercom.fields import Fields
from reverse_etl_assets.destinations.status_errors import bare
from reverse_etl_assets.errors import CheckFailed, RequestRejected
from reverse_etl_assets.records import (
    Capabilities,
    Current,
    Operation,
    Outcome,
    Reason,
    Record,
    RowError,
    Status,
    Target,
)

CONCURRENCY = 40
"""Requests in flight: at 165 a second and about a quarter of a second each."""
_EXISTING = re.compile(r"\bid=(\w+)")
_ARCHIVED = "archived/"
"""Before the id of a contact that has to be brought back first. Such an id is never kept."""


class _Records(ObjectKind):
    """What contacts and companies have in common: attributes, and reading one by its key."""

    model: ClassVar[str]
    path: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]
    needs = (
        "`Read and list users and companies`, `Read and write users`, `Write users and companies`, and, to make"
        " attributes, `Write data attributes`"
    )

    def __init__(self, api: Api, target: Target, options: IntercomOptions) -> None:
        super().__init__(api, target, options)
        self.fields = Fields(self.model, target)

    async def check(self) -> None:
        """Reads the attributes; makes those that are missing, if that is asked for and all else is right."""
        attributes = await self.api.listed(f"/data_attributes?model={self.model}&include_archived=true")
        made = self.fields.missing(attributes) if self.options.create_attributes else {}
        problems = [*self._key_problems(), *self.fields.problems(attributes, made)]
        if problems:
            raise CheckFailed(problems)
        self.fields.learn_from(attributes)
        for name, kind in made.items():
            try:
                await self.api.ask("POST", "/data_attributes", {"name": name, "model": self.model, "data_type": kind})
            except RequestRejected as error:
                raise CheckFailed([f"Attribute `{name}` could not be made: {bare(error)}."]) from error

    def learned(self) -> Mapping[str, list[str]]:
        return self.fields.learned()

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        self.fields.recall(learned)

    def _key_problems(self) -> list[str]:
        if self.target.external_id in self.keys:
            return []
        right = " or ".join(f"`{key}`" for key in self.keys)
        return [f"`{self.target.external_id}` is no key of `{self.target.object}`: match by {right}."]

    async def read(self, external_id: str, known: str | None = None) -> list[Current]:
        found = await self._held(external_id)
        if found is None and known:
            found = await self.api.one(f"{self.path}/{quote(_plain(known), safe='')}", self.model)
        if found is None:
            return []
        changed = found.get("updated_at")
        at = datetime.fromtimestamp(changed, UTC) if isinstance(changed, int) else None
        return [Current(found["id"], self.fields.held(found), at)]

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return self.fields.same(field, sent, held)

    @abstractmethod
    async def _held(self, external_id: str) -> dict[str, Any] | None: ...

    def _written(self, record: Record, status: Status, answer: Mapping[str, Any], *, inferred: bool = False) -> Outcome:
        if cut := self.fields.cut(record.fields, answer):
            return Outcome.rejected(record.key, cut)
        return Outcome(record.key, status, destination_id=answer["id"], inferred=inferred)


class Contacts(_Records):
    """Users, matched by `external_id` or `email`. Intercom gives leads ids of its own, so they are left alone.

    A row whose id is not known is sent as a new contact. If there is one, Intercom answers 409 and names its id ("A
    contact matching those details already exists with id=..."), and the row is sent again to that id; an archived one
    ("An archived contact ...") is brought back before ("Create contact", reference 2.15, and its pull request 543).
    """

    model, path = "contact", "/contacts"
    keys = ("external_id", "email")

    @classmethod
    def capabilities(cls, target: Target) -> Capabilities:
        """Everything may be sent twice: a second create is a 409. An update leaves other fields alone, of the custom
        attributes too ("Update a contact", reference 2.15). An archived contact can be deleted for good by its id
        (intercom/intercom-ruby, pull request 592, 2022-11-16)."""
        return Capabilities(
            operations=frozenset(Operation),
            idempotent=frozenset(Operation),
            max_rows=1,
            max_bytes=MAX_BYTES,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=CONCURRENCY,
            fold_case=target.external_id == "email",
            needs_id=frozenset({Operation.UPDATE, Operation.DELETE}),
            partial=frozenset({Operation.UPDATE, Operation.UPSERT}),
            several_records=frozenset({"unique_user_constraint"}),
            erases=True,
            reaches_deleted=True,
        )

    @classmethod
    def reads_back(cls, target: Target) -> bool:
        """Only a search finds a contact by its address, and that lags behind writes."""
        return target.external_id != "email"

    def call(self, operation: Operation, record: Record) -> Call:
        fields = self.fields.body(record.fields)
        match operation:
            case Operation.DELETE if self.options.delete == "permanently" or self.target.for_good:
                return "DELETE", f"/contacts/{id_of(record)}", None
            case Operation.DELETE:
                return "POST", f"/contacts/{id_of(record)}/archive", None
            case Operation.UPDATE:
                return "PUT", f"/contacts/{id_of(record)}", fields
        keyed = {self.target.external_id: record.external_id} | fields
        if operation is Operation.INSERT or record.destination_id is None:
            return "POST", "/contacts", {"role": "user"} | self.fields.filled(keyed)
        if record.destination_id.startswith(_ARCHIVED):
            return "POST", f"/contacts/{quote(_plain(record.destination_id), safe='')}/unarchive", None
        return "PUT", f"/contacts/{id_of(record)}", keyed

    def outcome(self, operation: Operation, record: Record, answer: Mapping[str, Any]) -> Outcome | None:
        known = record.destination_id
        if operation is Operation.INSERT or known is None:
            key = self.target.external_id
            theirs = folded(key, str(answer.get(key)))
            return self._written(record, Status.CREATED, answer) if theirs == folded(key, record.external_id) else None
        if answer["id"] != _plain(known):
            return None
        if operation is Operation.DELETE:
            return _removed(record, known, answer)
        if known.startswith(_ARCHIVED):
            return _again(record, "Intercom has brought the contact back, and did not take the row yet", answer["id"])
        return self._written(record, Status.UPDATED, answer)

    def refused(self, operation: Operation, record: Record, error: RequestRejected) -> Outcome | None:
        existing = _EXISTING.search(str(error)) if error.code == "conflict" else None
        if existing and operation is Operation.INSERT:
            return Outcome.skipped(record.key, Reason.ALREADY_EXISTS, str(error), existing[1])
        if existing and operation is Operation.UPSERT and record.destination_id is None:
            return self._standing_in_the_way(record, str(error), existing[1])
        if error.code not in GONE or record.destination_id is None:
            return None
        reason = Reason.ALREADY_GONE if operation is Operation.DELETE else Reason.NOT_FOUND
        return Outcome.skipped(record.key, reason, str(error), _plain(record.destination_id))

    def _standing_in_the_way(self, record: Record, text: str, existing: str) -> Outcome:
        if "archived" not in text.lower():
            return _again(record, text, existing)
        if self.options.unarchive:
            return _again(record, text, _ARCHIVED + existing)
        message = f"{bare(text)}; bring it back in Intercom, or set `unarchive: true`"
        return Outcome.rejected(record.key, RowError(message, "ARCHIVED"))

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self.api.users(self.target.external_id, external_ids)

    async def _held(self, external_id: str) -> dict[str, Any] | None:
        return await self.api.user(external_id)


class Companies(_Records):
    """Companies, matched by `company_id`.

    An upsert answers alike for a company that is new and one that is not, so created and updated are inferred from the
    times that it tells, and from the id if it is known. A delete is taken at once and carried out later: "archival is
    processed asynchronously" ("Delete a company", reference 2.15).
    """

    model, path = "company", "/companies"
    keys = ("company_id",)
    find_limit = 1

    @classmethod
    def capabilities(cls, target: Target) -> Capabilities:
        """There is no create that would refuse what is there already, so no insert."""
        able = frozenset({Operation.UPSERT, Operation.UPDATE, Operation.DELETE})
        return Capabilities(
            operations=able,
            idempotent=able,
            max_rows=1,
            max_bytes=MAX_BYTES,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=CONCURRENCY,
            confirms=False,
            needs_id=frozenset({Operation.UPDATE, Operation.DELETE}),
            partial=frozenset({Operation.UPDATE, Operation.UPSERT}),
        )

    @classmethod
    def reads_back(cls, target: Target) -> bool:
        return True

    def call(self, operation: Operation, record: Record) -> Call:
        fields = self.fields.body(record.fields)
        match operation:
            case Operation.DELETE:
                return "DELETE", f"/companies/{id_of(record)}", None
            case Operation.UPDATE:
                return "PUT", f"/companies/{id_of(record)}", fields
        return "POST", "/companies", {"company_id": record.external_id} | fields

    def outcome(self, operation: Operation, record: Record, answer: Mapping[str, Any]) -> Outcome | None:
        match operation:
            case Operation.UPSERT:
                if answer.get("company_id") != record.external_id:
                    return None
                made, changed = answer.get("created_at"), answer.get("updated_at")
                new = answer["id"] != record.destination_id and made is not None and made == changed
                return self._written(record, Status.CREATED if new else Status.UPDATED, answer, inferred=True)
            case Operation.DELETE:
                return _removed(record, answer["id"], answer) if answer["id"] == record.destination_id else None
        return self._written(record, Status.UPDATED, answer) if answer["id"] == record.destination_id else None

    def refused(self, operation: Operation, record: Record, error: RequestRejected) -> Outcome | None:
        if error.code not in GONE or operation is Operation.UPSERT:
            return None
        reason = Reason.ALREADY_GONE if operation is Operation.DELETE else Reason.NOT_FOUND
        return Outcome.skipped(record.key, reason, str(error), record.destination_id)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found = {each: await self.api.company(each) for each in external_ids}
        return {each: [company["id"]] if company else [] for each, company in found.items()}

    async def _held(self, external_id: str) -> dict[str, Any] | None:
        return await self.api.company(external_id)


def _plain(destination_id: str) -> str:
    return destination_id.removeprefix(_ARCHIVED)


def _removed(record: Record, destination_id: str, answer: Mapping[str, Any]) -> Outcome | None:
    """The outcome of a delete that was answered for this record. The reference calls neither word required: an answer
    without both of them says that it is done, one that says false says that it is not."""
    flags = [answer[name] for name in ("archived", "deleted") if name in answer]
    if flags and not any(flags):
        return None
    return Outcome(record.key, Status.DELETED, destination_id=destination_id, inferred=not flags)


def _again(record: Record, text: str, destination_id: str) -> Outcome:
    """The row goes out once more, to this id."""
    error = RowError(text, "conflict")
    return Outcome(record.key, Status.FAILED, Reason.UNAVAILABLE, error, destination_id=destination_id, retry=True)
