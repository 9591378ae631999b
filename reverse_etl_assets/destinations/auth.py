"""How requests are signed in."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import httpx
import msgspec
from pydantic import SecretStr

from reverse_etl_assets.destinations.base import retry_after
from reverse_etl_assets.errors import AuthenticationFailed, RetryLater


class BearerToken(httpx.Auth):
    """A token that does not change (RFC 6750)."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


class ClientCredentials(httpx.Auth):
    """OAuth 2.0 client credentials grant (RFC 6749, section 4.4).

    The token is fetched with the first request and shared by all. On a 401 it is fetched anew, once however many
    requests meet the 401 at the same time, and the request is sent again.
    """

    def __init__(self, client: httpx.AsyncClient, path: str, client_id: str, client_secret: SecretStr) -> None:
        self._client = client
        self._path = path
        self._client_id = client_id
        self._client_secret = client_secret
        self._token: str | None = None
        self._lock = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._token_other_than(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {await self._token_other_than(token)}"
            yield request

    async def _token_other_than(self, stale: str | None) -> str:
        async with self._lock:
            if self._token is None or self._token == stale:
                self._token = None
                self._token = await self._fetch()
            return self._token

    async def _fetch(self) -> str:
        secret = self._client_secret.get_secret_value()
        form = {"grant_type": "client_credentials", "client_id": self._client_id, "client_secret": secret}
        try:
            response = await self._client.send(self._client.build_request("POST", self._path, data=form), auth=None)
        except httpx.TransportError as error:
            # Not ambiguous: the request that needs the token was never sent.
            raise RetryLater(f"no token: {type(error).__name__}") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise RetryLater(f"no token: HTTP {response.status_code}", retry_after(response))
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, object])
        except msgspec.DecodeError:
            answer = {}
        token = answer.get("access_token")
        if response.is_success and isinstance(token, str):
            return token
        said = [str(answer[name]) for name in ("error", "error_description") if name in answer]
        reason = ": ".join(said) or f"HTTP {response.status_code} without an access_token; is base_url right?"
        raise AuthenticationFailed(f"the token was refused: {reason}")
