"""How requests are signed in."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import httpx
import msgspec
from pydantic import SecretStr

from reverse_etl_assets.accounts.transport import only_reads
from reverse_etl_assets.destinations.base import reachable, retry_after, status_words
from reverse_etl_assets.destinations.status_errors import bare, words_in
from reverse_etl_assets.errors import AuthenticationFailed, ConfigurationError, RetryLater

_SECRETS = ("client_secret", "refresh_token", "assertion")
_LATER = frozenset({408, 423, 425, 429})
"""Of a token endpoint: nothing that was asked with the token went out, so each may be tried again."""


def header_text(secret: SecretStr, name: str) -> str:
    """The secret, if a header can hold it (RFC 9110, 5.5). Raises ConfigurationError, without it."""
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or text != text.strip() or not text:
        raise ConfigurationError(
            f"{name} is empty, or has a line break, a blank at an end or a letter beyond ASCII in it, as one that"
            " was pasted or read from a file may have: give it alone."
        )
    return text


class HeaderToken(httpx.Auth):
    """A token that does not change, in a header of its own: `HeaderToken("X-Api-Key", key)`."""

    def __init__(self, header: str, token: SecretStr, *, scheme: str = "") -> None:
        """`scheme` is a word before the token, as `Token` in `Authorization: Token 4f1c...`."""
        self._header, self._token, self._scheme = header, token, scheme

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = header_text(self._token, "the token")
        request.headers[self._header] = f"{self._scheme} {token}" if self._scheme else token
        yield request


class BearerToken(HeaderToken):
    """A token that does not change (RFC 6750)."""

    def __init__(self, token: SecretStr) -> None:
        super().__init__("Authorization", token, scheme="Bearer")


class FetchedToken(httpx.Auth, ABC):
    """A token that is fetched with the first request and shared by all (OAuth 2.0, RFC 6749).

    On a 401 it is fetched anew, once however many requests meet the 401 at the same time, and the request is sent
    again. `url` may be a path below the client's base.
    """

    as_json: ClassVar[bool] = False
    """The endpoint takes JSON, where the RFC has a form."""
    advice: Mapping[str, str] = MappingProxyType({})
    """What to do about an error of the endpoint, by its code or its HTTP status."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url
        self._token: str | None = None
        self._lock = asyncio.Lock()

    @abstractmethod
    def _form(self) -> Mapping[str, Any]:
        """What is asked for: the grant."""

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._token_other_than(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {await self._token_other_than(token)}"
            yield request

    async def token(self, stale: str | None = None) -> str:
        """The token itself, where a request does not carry it in its header; another one than `stale`."""
        return await self._token_other_than(stale)

    async def _token_other_than(self, stale: str | None) -> str:
        async with self._lock:
            if self._token is None or self._token == stale:
                self._token = None
                self._token = await self._fetch()
            return self._token

    async def _fetch(self) -> str:
        asked = dict(self._form())
        form, json = (None, asked) if self.as_json else (asked, None)
        request = self._client.build_request("POST", self._url, data=form, json=json)
        reachable(request.url, "token_url")
        try:
            with only_reads():
                response = await self._client.send(request, auth=None)
        except httpx.RequestError as error:
            # Not ambiguous: the request that needs the token was never sent.
            raise RetryLater(f"no token: {type(error).__name__}") from error
        if response.status_code in _LATER or response.status_code >= 500:
            raise RetryLater(f"no token: {status_words(response)}", retry_after(response))
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, object])
        except msgspec.DecodeError:
            answer = {}
        token = answer.get("access_token")
        if response.is_success and isinstance(token, str):
            return token
        word = str(answer.get("error") or "")
        words = [each for each in (word, words_in(response, answer, but=word)) if each]
        for secret in filter(None, (str(asked.get(name) or "") for name in _SECRETS)):  # some endpoints quote it
            words = [each.replace(secret, "***") for each in words]
        reason = ": ".join(words) or f"{bare(status_words(response))}, without an access_token"
        advice = self.advice.get(str(answer.get("error"))) or self.advice.get(str(response.status_code))
        if not words and not advice:
            setting = "base_url" if httpx.URL(self._url).is_relative_url else "token_url"
            advice = f"look whether `{setting}` is right"
        problem = f"the token was refused: {bare(reason)}"
        raise AuthenticationFailed(f"{problem}; {advice}." if advice else f"{problem}.")


class ClientCredentials(FetchedToken):
    """The client credentials grant (RFC 6749, section 4.4)."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, client_id: str, client_secret: SecretStr, scope: str | None = None
    ) -> None:
        super().__init__(client, url)
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = {"scope": scope} if scope else {}

    def _form(self) -> Mapping[str, Any]:
        secret = self._client_secret.get_secret_value()
        own = {"grant_type": "client_credentials", "client_id": self._client_id, "client_secret": secret}
        return own | self._scope


class RefreshToken(FetchedToken):
    """The refresh token of a person who has consented once (RFC 6749, section 6)."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, client_id: str, client_secret: SecretStr, token: SecretStr
    ) -> None:
        super().__init__(client, url)
        self._client_id = client_id
        self._client_secret = client_secret
        self._refresh_token = token

    def _form(self) -> Mapping[str, str]:
        return {
            "grant_type": "refresh_token",
            "client_id": self._client_id,
            "client_secret": self._client_secret.get_secret_value(),
            "refresh_token": self._refresh_token.get_secret_value(),
        }


class JwtBearer(FetchedToken):
    """An assertion that is signed with a private key (RFC 7523, section 2.1), RS256.

    `claims` are all but the times: who asks (`iss`), for whom (`sub`), whom (`aud`), for what (`scope`), as the vendor
    wants them. `lifetime` is in seconds; Salesforce takes 180, Google 3600. `key_id` names the key, where there are
    several. Raises AuthenticationFailed for a key that is no RSA private key in PEM.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        key: SecretStr,
        claims: Mapping[str, str],
        *,
        lifetime: int = 180,
        key_id: str | None = None,
    ) -> None:
        super().__init__(client, url)
        self._key = key
        self._claims = claims
        self._lifetime = lifetime
        self._headers = {"kid": key_id} if key_id else None

    def _form(self) -> Mapping[str, str]:
        import jwt  # only who signs in like this waits for it

        now = int(time.time())
        claims = {**self._claims, "iat": now, "exp": now + self._lifetime}
        try:
            assertion = jwt.encode(claims, self._key.get_secret_value(), algorithm="RS256", headers=self._headers)
        except (jwt.InvalidKeyError, ValueError, TypeError):
            raise AuthenticationFailed(
                "the private key is no RSA key in PEM (`-----BEGIN PRIVATE KEY-----`)."
            ) from None
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
