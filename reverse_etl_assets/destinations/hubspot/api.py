"""HubSpot's paths and requests, and finding records by a property with unique values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from reverse_etl_assets.destinations.base import NOTHING_KNOWN, HttpDestination, encode_json
from reverse_etl_assets.destinations.values import key_form
from reverse_etl_assets.errors import RetryLater
from reverse_etl_assets.records import FieldType

RECORD_ID = "hs_object_id"
OBJECT_IDS = {"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-5": "tickets"}
RECORDS_PER_REQUEST = 100
"""Inputs of a batch of records ("Using object APIs", HubSpot developer documentation, 2026-09)."""
REQUESTS_PER_SECOND = 18.7
"""190 requests in 10 seconds for a service key of a Professional or Enterprise account ("API usage guidelines and
limits", 2026; Free and Starter: 100); a little less, because requests bunch up on their way and the window's edge
counts on both sides."""

_OTHER_EMAILS = "hs_additional_emails"

Result = Mapping[str, Any]


def object_name(name: str) -> str:
    return OBJECT_IDS.get(name, name)


def object_type_id(name: str) -> str | None:
    """`0-1` of contacts; a custom object's is known only if the sync names it so."""
    ids = {each: number for number, each in OBJECT_IDS.items()}
    return ids.get(name, name if re.fullmatch(r"\d+-\d+", name) else None)


def by_email(name: str, key: str) -> bool:
    """Contacts are matched by any of their addresses."""
    return object_name(name) == "contacts" and key == "email"


def names_of(name: str, key: str, result: Result) -> list[str]:
    """The keys by which a record of an object is found, in lower case: of a contact first its primary address."""
    if key == RECORD_ID:
        return [str(result.get("id"))]
    properties = result.get("properties") or {}
    others = str(properties.get(_OTHER_EMAILS) or "").lower().split(";") if by_email(name, key) else ()
    return [each for each in (str(properties.get(key) or "").lower(), *others) if each]


class Api:
    """Requests in the version of the API that the account names; the shapes are the same in all of them."""

    def __init__(self, destination: HttpDestination[Any, Any], version: str) -> None:
        self._destination = destination
        self._version = version

    def path(self, api: str, *names: str) -> str:
        """`/crm/v3/objects/contacts`, with `2026-03`: `/crm/objects/2026-03/contacts`."""
        rest = "".join(f"/{quote(name, safe='')}" for name in names)
        if self._version == "v3":
            return f"/crm/{'v4' if api == 'associations' else 'v3'}/{api}{rest}"
        return f"/crm/{api}/{self._version}{rest}"

    def account_path(self) -> str:
        return f"/account-info/{self._version}/details"

    def request(self, method: str, path: str, body: Mapping[str, Any]) -> httpx.Request:
        headers = {"Content-Type": "application/json"}
        return self._destination.client.build_request(method, path, content=encode_json(body), headers=headers)

    async def get(self, path: str) -> Any:
        return await self._destination.read_json(self._destination.client.build_request("GET", path))

    async def results(self, path: str, body: Mapping[str, Any]) -> list[Result]:
        """What a batch read answers; raises RetryLater if it does not say who is there."""
        answer = await self._destination.read_json(self.request("POST", path, body))
        if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
            raise RetryLater("the answer to a read has no results")
        return list(answer["results"])


class Lookup:
    """Finds the records of one object by a property with unique values, or by their id.

    With batch/read, which sees every write that was answered before; search lags behind them.
    """

    def __init__(self, api: Api, name: str, key: str, key_type: FieldType = FieldType.TEXT) -> None:
        self._api, self._name, self._key, self._key_type = api, name, key, key_type
        self._by_email = by_email(name, key)

    async def ids(self, keys: Sequence[str]) -> dict[str, list[str]]:
        return {each: [result["id"] for result in results] for each, results in (await self.read(keys)).items()}

    async def read(
        self, keys: Sequence[str], properties: Iterable[str] = (), known: Mapping[str, str] = NOTHING_KNOWN
    ) -> dict[str, list[Result]]:
        """The records that carry each key, spelt as it was asked for, or else have the id that is known.

        One request of 100 keys at most, and one more for keys that no record carries and whose id is known.
        """
        found = await self._carrying(keys, properties)
        ids = {known[each]: each for each, results in found.items() if not results and each in known}
        if ids and self._key != RECORD_ID:
            for record_id, results in (
                await Lookup(self._api, self._name, RECORD_ID).read(list(ids), properties)
            ).items():
                found[ids[record_id]] = results
        return found

    async def _carrying(self, keys: Sequence[str], properties: Iterable[str]) -> dict[str, list[Result]]:
        asked: dict[str, list[str]] = {}  # a key may be asked for in several spellings, which HubSpot takes for one
        for each in keys:
            asked.setdefault(self._folded(each), []).append(each)
        others = [_OTHER_EMAILS] if self._by_email else []
        body: dict[str, Any] = {
            "properties": list(dict.fromkeys([self._key, *others, *properties])),
            "propertiesWithHistory": [],
            "inputs": [{"id": spellings[0]} for spellings in asked.values()],
        }
        if self._key != RECORD_ID:
            body["idProperty"] = self._key
        found: dict[str, dict[str, Result]] = {each: {} for each in keys}
        for result in await self._api.results(self._api.path("objects", self._name, "batch", "read"), body):
            for name in self.names(result):
                for each in asked.get(self._folded(name), ()):
                    found[each][result["id"]] = result  # once, though several of its addresses were asked for
        return {each: list(results.values()) for each, results in found.items()}

    def _folded(self, key: str) -> str:
        return key_form(self._key_type, key, fold_case=True)

    def names(self, result: Result) -> set[str]:
        """The keys by which a record is found, in lower case."""
        return set(names_of(self._name, self._key, result))
