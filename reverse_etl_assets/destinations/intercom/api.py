"""What every kind of Intercom object needs: requests at a pinned version, look-ups, and a frame to fill in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import httpx
from pydantic import SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, HttpDestination, SyncOptions, encode_json
from reverse_etl_assets.errors import ContractViolation, RequestRejected, RetryLater
from reverse_etl_assets.records import Capabilities, Current, Operation, Outcome, Record, Target

API_VERSION = "2.15"
"""Sent with every request: without it the app's own default version would answer ("API versioning" of Intercom's
developer documentation, 2026)."""
REQUESTS_PER_SECOND = 165.0
"""10,000 a minute for a private app, dealt out in windows of 10 seconds, 1,667 in each ("Rate limiting", reference
2.x of Intercom's developer documentation, 2026); a little less, because requests bunch up on their way. All private
apps of a workspace together have 25,000 a minute."""
FOUND_AT_ONCE = 50
"""Values of one IN of a search: the documentation names no limit ("Search contacts", reference 2.15), 50 is our
choice."""
PAGE = 150
"""Most contacts of one page of a search; more are refused ("Per Page is too big")."""
MAX_BYTES = 1_000_000
"""Our choice: Intercom publishes none, and a request holds one record."""
GONE = frozenset({"not_found", "company_not_found", "404"})
"""Codes of a contact, company or tag that is not there ("Errors", reference 2.15)."""


class IntercomConnection(ConnectionSettings):
    """An Intercom workspace; a private app's access token signs in, in the region that the workspace is in."""

    base_url: str = "https://api.intercom.io"
    """`https://api.eu.intercom.io` or `https://api.au.intercom.io` for a workspace in Europe or Australia."""
    access_token: SecretStr
    """The app's access token."""


class IntercomOptions(SyncOptions):
    """Settings of a sync."""

    create_attributes: bool = False
    """Make custom attributes that the mapping names and Intercom does not have, of the type of their column."""
    delete: Literal["archive", "permanently"] = "archive"
    """What happens to the contact of a removed row. A company is always archived."""
    unarchive: bool = True
    """Bring an archived contact back when its row is sent; if false, the row is refused."""


Call = tuple[str, str, Mapping[str, Any] | None]
"""Method, path and JSON body of a request."""


class Api:
    """Requests to Intercom on behalf of one open destination."""

    def __init__(self, destination: HttpDestination[Any, Any]) -> None:
        self._destination = destination

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Request:
        headers = {"Accept": "application/json", "Intercom-Version": API_VERSION}
        content = None
        if body is not None:
            content = encode_json(body)
            headers["Content-Type"] = "application/json"
        return self._destination.client.build_request(method, path, content=content, headers=headers)

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a request that may be repeated. Raises RetryLater if it is no object, and DestinationErrors."""
        answer = await self._destination.read_json(self.request(method, path, body))
        if not isinstance(answer, dict):
            raise RetryLater("the answer is no object")
        return answer

    async def listed(self, path: str) -> list[dict[str, Any]]:
        return _data(await self.ask("GET", path))

    async def one(self, path: str, kind: str) -> dict[str, Any] | None:
        """The record at a path, or None if there is none. It is read from where writes show at once."""
        try:
            answer = await self.ask("GET", path)
        except RequestRejected as error:
            if error.code in GONE:
                return None
            raise
        if answer.get("type") == "list":  # the reference shows a company that is asked for by its key in a list
            if not (data := _data(answer)):
                return None
            answer = data[0]
        if answer.get("type") != kind or not isinstance(answer.get("id"), str):
            raise RetryLater(f"the answer is no {kind}")
        return answer

    async def user(self, external_id: str) -> dict[str, Any] | None:
        """The contact with an external id. Writes show at once, unlike in a search."""
        found = await self.one(f"/contacts/find_by_external_id/{quote(external_id, safe='')}", "contact")
        return found if found and found.get("external_id") == external_id else None

    async def company(self, company_id: str) -> dict[str, Any] | None:
        found = await self.one(f"/companies?company_id={quote(company_id, safe='')}", "company")
        return found if found and found.get("company_id") == company_id else None

    async def users(self, key: str, values: Sequence[str]) -> dict[str, list[str]]:
        """The ids of the users (not leads) that carry each external id or address.

        A search: "this delay can take a few minutes" until a new contact is found ("Search contacts", reference 2.15).
        """
        found: dict[str, list[str]] = {value: [] for value in values}
        asked = {folded(key, value): value for value in values}
        after = None
        while True:
            answer = await self.ask("POST", "/contacts/search", _query(key, values, after))
            for contact in _data(answer):
                if each := asked.get(folded(key, str(contact.get(key) or ""))):
                    found[each].append(str(contact["id"]))
            after = ((answer.get("pages") or {}).get("next") or {}).get("starting_after")
            if after is None:
                return found


def _query(key: str, values: Sequence[str], after: str | None) -> dict[str, Any]:
    wanted = [
        {"field": key, "operator": "IN", "value": list(values)},
        {"field": "role", "operator": "=", "value": "user"},
    ]
    page = {"per_page": PAGE} | ({"starting_after": after} if after else {})
    return {"query": {"operator": "AND", "value": wanted}, "pagination": page}


def _data(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = answer.get("data")
    if not isinstance(data, list):
        raise RetryLater("the answer is no list")
    return data


def folded(key: str, value: str) -> str:
    """As Intercom compares it: addresses without case."""
    return value.lower() if key == "email" else value


def id_of(record: Record) -> str:
    """Intercom's id of the record, safe in a path."""
    if record.destination_id is None:
        raise ContractViolation(f"row {record.key} has no Intercom id: it has to be found first")
    return quote(record.destination_id, safe="")


class ObjectKind(ABC):
    """One kind of object that a sync can write to. Requests and outcomes are pure, as a destination's are."""

    needs: ClassVar[str]
    """The permissions of the app that it takes."""
    find_limit: int = FOUND_AT_ONCE

    def __init__(self, api: Api, target: Target, options: IntercomOptions) -> None:
        self.api, self.target, self.options = api, target, options

    @classmethod
    @abstractmethod
    def capabilities(cls, target: Target) -> Capabilities: ...

    @classmethod
    def reads_back(cls, target: Target) -> bool:
        return False

    @abstractmethod
    async def check(self) -> None:
        """Raises CheckFailed with every problem found."""

    @abstractmethod
    def call(self, operation: Operation, record: Record) -> Call:
        """The request for one record."""

    @abstractmethod
    def outcome(self, operation: Operation, record: Record, answer: Mapping[str, Any]) -> Outcome | None:
        """What a 2xx answer says of the record; None if it does not speak of it."""

    @abstractmethod
    def refused(self, operation: Operation, record: Record, error: RequestRejected) -> Outcome | None:
        """What a refusal means, if it is more than that the row is bad."""

    def unsendable(self, record: Record) -> Outcome | None:
        """The outcome of a row that no request can be made for."""
        return None

    @abstractmethod
    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]: ...

    async def read(self, external_id: str, known: str | None = None) -> list[Current]:
        raise NotImplementedError(f"{self.target.object} cannot be read back")

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return bool(sent == held)

    def learned(self) -> Mapping[str, list[str]]:
        return {}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        """What an earlier check learned."""
        return
