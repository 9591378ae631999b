"""Which contacts carry a tag, and which companies they belong to: rows that tie two records of Intercom."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from reverse_etl_assets.destinations.intercom.api import (
    GONE,
    MAX_BYTES,
    REQUESTS_PER_SECOND,
    Api,
    Call,
    IntercomOptions,
    ObjectKind,
    id_of,
)
from reverse_etl_assets.destinations.intercom.records import CONCURRENCY
from reverse_etl_assets.errors import CheckFailed, ConfigurationError, RequestRejected
from reverse_etl_assets.records import Capabilities, Operation, Outcome, Reason, Record, Status, Target

TAGS = "tags/"
MEMBERSHIPS = "company_memberships"
_CONTACT_KEYS = ("external_id", "email")
_PART = re.compile(r"(?:^|\|)((?:\\.|[^|\\])*)")
_BOTH = frozenset({Operation.UPSERT, Operation.DELETE})


class _Links(ObjectKind):
    """A row is a tie. Intercom answers alike for a new one and one that is there, so `created` is inferred."""

    missing: ClassVar[str]
    """Why a row found no two records to tie."""

    @classmethod
    def capabilities(cls, target: Target) -> Capabilities:
        return Capabilities(
            operations=_BOTH,
            idempotent=_BOTH,
            max_rows=1,
            max_bytes=MAX_BYTES,
            requests_per_second=REQUESTS_PER_SECOND,
            concurrency=CONCURRENCY,
            fold_case=target.external_id == "email",
            confirms=False,
            needs_id=_BOTH,
        )

    def unsendable(self, record: Record) -> Outcome | None:
        if record.destination_id is not None:
            return None
        return Outcome.skipped(record.key, Reason.NOT_FOUND, self.missing)

    def _tied(self, operation: Operation, record: Record) -> Outcome:
        if operation is Operation.DELETE:
            return Outcome(record.key, Status.DELETED, destination_id=record.destination_id)
        return Outcome(record.key, Status.CREATED, destination_id=record.destination_id, inferred=True)

    def refused(self, operation: Operation, record: Record, error: RequestRejected) -> Outcome | None:
        if error.code not in GONE:
            return None
        reason = Reason.ALREADY_GONE if operation is Operation.DELETE else Reason.NOT_FOUND
        return Outcome.skipped(record.key, reason, str(error), record.destination_id)

    def _problems(self, allowed: Sequence[str]) -> list[str]:
        key, fields = self.target.external_id, [name for name in self.target.fields if name not in allowed]
        problems = []
        if key not in _CONTACT_KEYS:
            right = "`external_id: external_id` or `external_id: email`"
            problems.append(f"`{key}` is no key of a contact: say how contacts are found, with {right}.")
        problems += [f"`{self.target.object}` has no field `{name}`: take it out of the mapping." for name in fields]
        return problems


class Tag(_Links):
    """`tags/<name>`: the contacts that carry a tag. The row is matched by the contact's `external_id` or `email`.

    One contact a request: many can be tagged at once, but not untagged ("Tags", reference 2.15).
    """

    needs = "`Read and list users and companies`, `Write users and companies`, `Read tags` and `Write tags`"
    missing = "there is no contact with this key; Intercom finds a new one after some minutes"

    def __init__(self, api: Api, target: Target, options: IntercomOptions) -> None:
        super().__init__(api, target, options)
        self.name = target.object.removeprefix(TAGS)
        self._id = ""

    async def check(self) -> None:
        """Makes the tag if there is none of the name; Intercom ignores its case."""
        problems = self._problems([self.target.external_id])
        if not self.name:
            problems.append("`tags/` names no tag: write `object: tags/<name>`.")
        if problems:
            raise CheckFailed(problems)
        tags = await self.api.listed("/tags")
        named = [tag for tag in tags if str(tag.get("name")).lower() == self.name.lower()]
        tag = named[0] if named else await self.api.ask("POST", "/tags", {"name": self.name})
        self._id = str(tag["id"])

    def learned(self) -> Mapping[str, list[str]]:
        return {"tag": [self._id]}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        self._id = learned["tag"][0]

    def call(self, operation: Operation, record: Record) -> Call:
        if operation is Operation.DELETE:
            return "DELETE", f"/contacts/{id_of(record)}/tags/{self._id}", None
        return "POST", f"/contacts/{id_of(record)}/tags", {"id": self._id}

    def outcome(self, operation: Operation, record: Record, answer: Mapping[str, Any]) -> Outcome | None:
        return self._tied(operation, record) if str(answer["id"]) == self._id else None

    def refused(self, operation: Operation, record: Record, error: RequestRejected) -> Outcome | None:
        if operation is Operation.UPSERT and "resource not found" in str(error).lower():
            raise ConfigurationError(
                f"Tag `{self.name}` is gone from Intercom, and with it from every contact. To tag them all anew, raise"
                " the sync's `version` and say `cutover`."
            ) from error
        return super().refused(operation, record, error)

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self.api.users(self.target.external_id, external_ids)


class Memberships(_Links):
    """`company_memberships`: a contact in a company. The primary key is the contact's column and the company's, in
    this order; `external_id` says whether the contact is matched by its `external_id` or `email`.

    The row's id is both of Intercom's ids, `contact/company`, so that it can be taken apart again.
    """

    needs = "`Read and list users and companies` and `Write users and companies`"
    missing = "there is no contact with the first part of this key, or no company with the second"
    find_limit = 1

    async def check(self) -> None:
        await self.api.ask("GET", "/me")
        if problems := self._problems([*_CONTACT_KEYS, "company_id"]):
            raise CheckFailed(problems)

    def call(self, operation: Operation, record: Record) -> Call:
        contact, company = id_of(record).partition("%2F")[::2]
        if operation is Operation.DELETE:
            return "DELETE", f"/contacts/{contact}/companies/{company}", None
        return "POST", f"/contacts/{contact}/companies", {"id": company}

    def outcome(self, operation: Operation, record: Record, answer: Mapping[str, Any]) -> Outcome | None:
        company = (record.destination_id or "").partition("/")[2]
        return self._tied(operation, record) if answer["id"] == company else None

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {each: await self._pairs(each) for each in external_ids}

    async def _pairs(self, key: str) -> list[str]:
        parts = [re.sub(r"\\(.)", r"\1", part) for part in _PART.findall(key)]
        if len(parts) != 2:
            raise ConfigurationError(
                f"`{MEMBERSHIPS}` needs a primary key of two columns, the contact's and the company's; this one has"
                f" {len(parts)}."
            )
        if self.target.external_id == "email":
            contacts = (await self.api.users("email", parts[:1]))[parts[0]]
        else:
            found = await self.api.user(parts[0])
            contacts = [found["id"]] if found else []
        company = await self.api.company(parts[1]) if contacts else None
        return [f"{contact}/{company['id']}" for contact in contacts] if company else []
