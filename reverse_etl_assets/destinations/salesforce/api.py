"""Requests below the version of Salesforce's API that the account names."""

from collections.abc import Mapping
from typing import Any

import httpx

from reverse_etl_assets.destinations.base import HttpDestination, encode_json

_JSON = {"Content-Type": "application/json"}


class Api:
    def __init__(self, destination: HttpDestination[Any, Any], version: str) -> None:
        self._destination, self.version = destination, version
        self.root = f"/services/data/v{version}"

    @property
    def address(self) -> str:
        return f"{self._destination.client.base_url}{self.root}"

    async def versions(self) -> list[str]:
        """Those that the org has."""
        listed = await self._destination.read_json(self._destination.client.build_request("GET", "/services/data"))
        return [str(each["version"]) for each in listed]

    async def get(self, path: str, **params: str) -> Any:
        """The JSON answer of something that only reads."""
        return await self._destination.read_json(self._request("GET", path, params=params or None))

    async def text(self, path: str, accept: str) -> str:
        request = self._request("GET", path, headers={"Accept": accept})
        return (await self._destination.read(request)).text

    async def write(self, method: str, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return await self.write_as(method, path, encode_json(body), _JSON)

    async def write_as(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        return await self._destination.exchange(self._request(method, path, content=body, headers=headers))

    def _request(self, method: str, path: str, **how: Any) -> httpx.Request:
        return self._destination.client.build_request(method, self.root + path, **how)
