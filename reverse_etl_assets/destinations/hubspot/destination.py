"""HubSpot: records, the members of static lists, and associations between records."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import httpx

from reverse_etl_assets.destinations.auth import BearerToken
from reverse_etl_assets.destinations.base import NOTHING_KNOWN, HttpDestination
from reverse_etl_assets.destinations.hubspot import credentials
from reverse_etl_assets.destinations.hubspot.api import RECORDS_PER_REQUEST, Api, object_type_id
from reverse_etl_assets.destinations.hubspot.associations import Associations
from reverse_etl_assets.destinations.hubspot.lists import Members
from reverse_etl_assets.destinations.hubspot.object import ObjectKind
from reverse_etl_assets.destinations.hubspot.options import API, HubSpotConnection, HubSpotOptions
from reverse_etl_assets.destinations.hubspot.records import Records
from reverse_etl_assets.destinations.hubspot.request_errors import category, quota
from reverse_etl_assets.errors import AuthenticationFailed, CheckFailed, DestinationError, RequestRejected
from reverse_etl_assets.records import Batch, Capabilities, Current, Outcome, Quota, Target

_PORTAL = "portal"
"""What `check` learned of the account: its id, and the host of its pages."""


class HubSpot(HttpDestination[HubSpotConnection, HubSpotOptions]):
    """What a sync's `object` names decides who writes: `contacts`, `lists/12` or `associations/contacts/companies`."""

    Connection = HubSpotConnection
    Options = HubSpotOptions
    kind: ClassVar[str] = "hubspot"
    api = API
    describes: ClassVar[bool] = True
    after_deletion = (
        "HubSpot keeps an archived record, and can restore it for 90 days. A contact is deleted for good, as the GDPR"
        " asks, by `reverse-etl forget --permanently`; other records in HubSpot itself."
    )
    after_erasure = "HubSpot deletes a contact for good with all that belongs to it; nobody can restore it."

    def __init__(
        self, connection: HubSpotConnection, target: Target, options: HubSpotOptions, client: httpx.AsyncClient
    ) -> None:
        super().__init__(connection, target, options, client)
        self._api = Api(self, connection.api_version)
        self._object = _kind_of(target)(self._api, target, options)
        self._portal: Mapping[str, list[str]] = {}

    @classmethod
    def capabilities_for(cls, target: Target, options: HubSpotOptions) -> Capabilities:
        able = _kind_of(target).capabilities(target)
        return replace(able, find_limit=RECORDS_PER_REQUEST, read_limit=RECORDS_PER_REQUEST)

    @classmethod
    def reads_back(cls, target: Target, options: HubSpotOptions) -> bool:
        return _kind_of(target).reads_back

    @classmethod
    def quota(cls, response: httpx.Response) -> Quota | None:
        return quota(response)

    def version_used(self) -> str:
        version = super().version_used()
        return "v4" if version == "v3" and self.target.object.startswith("associations/") else version

    def auth(self) -> httpx.Auth:
        return BearerToken(self.connection.access_token)

    def error_for(self, response: httpx.Response) -> DestinationError:
        error = self._object.error_for(response)
        if response.status_code == 401:
            return AuthenticationFailed(f"{error} {credentials.advice(self._token, category(response))}")
        return error

    @property
    def _token(self) -> str:
        return self.connection.access_token.get_secret_value()

    @classmethod
    def record_link(
        cls, base_url: str, target: Target, destination_id: str, learned: Mapping[str, Sequence[str]]
    ) -> str | None:
        """The record's page, if `check` was told the portal; of an association the first record's."""
        object_type = object_type_id(_kind_of(target).records_of(target, learned))
        if object_type is None or not learned.get(_PORTAL):
            return None
        portal, app = learned[_PORTAL]
        return f"https://{app}/contacts/{portal}/record/{object_type}/{destination_id.split(':')[0]}"

    async def check(self) -> None:
        try:
            await self._object.check()
        except (CheckFailed, RequestRejected):  # nor is there any object in a version that is not there
            if await self._lacks_version():
                version, right = self.connection.api_version, HubSpotConnection.model_fields["api_version"].default
                raise CheckFailed(
                    [f"HubSpot has no version `{version}` of its API for this account: set `api_version` to `{right}`."]
                ) from None
            raise
        if self.client.base_url.host.endswith(".hubapi.com"):  # else there are no pages to link to
            with suppress(AuthenticationFailed, RequestRejected):  # nor if the token may not see the account
                account = await self._api.get(self._api.account_path())
                self._portal = {_PORTAL: [str(account["portalId"]), str(account.get("uiDomain") or "app.hubspot.com")]}

    async def _lacks_version(self) -> bool:
        try:
            await self._api.get(self._api.account_path())
        except RequestRejected:
            return True
        except DestinationError:  # of another reason, such as a scope: so there is the page
            return False
        return False

    def learned(self) -> Mapping[str, list[str]]:
        return {**self._object.learned(), **self._portal}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        self._object.recall(learned)

    def build_request(self, batch: Batch) -> httpx.Request:
        return self._object.build_request(batch)

    def read_response(self, batch: Batch, response: httpx.Response) -> Iterable[Outcome]:
        return self._object.read_response(batch, response)

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """One request; none if HubSpot has nothing that the rows name; one more if it does not say whom it means."""
        outcomes = self._object.not_sendable(batch)
        if len(outcomes) < len(batch.records):
            try:
                response = await self.exchange(self.build_request(batch))
                outcomes += self.read_response(batch, response)
            except RequestRejected as error:
                if len(batch.records) == 1 and (outcome := self._object.refused_alone(batch, error)):
                    return [outcome]
                raise
            if len(outcomes) < len(batch.records):
                outcomes += await self._object.named_by_record(batch, response)
        self._object.settled(outcomes)
        return outcomes

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return await self._object.find(external_ids)

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        return await self._object.read_records(external_ids, known)

    def same(self, field: str, sent: Any, held: Any) -> bool:
        return self._object.same(field, sent, held)


def _kind_of(target: Target) -> type[ObjectKind]:
    match target.object.split("/"):
        case ["lists", _]:
            return Members
        case ["associations", _, _]:
            return Associations
    return Records
