"""Signing in and signing requests, and the guard against addresses inside our own network."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import httpx

from reverse_etl_assets.destinations.auth import ClientCredentials, header_text
from reverse_etl_assets.destinations.webhook.options import WebhookConnection, signing_key
from reverse_etl_assets.errors import ConfigurationError, RetryLater


class WebhookAuth(httpx.Auth):
    """One way to sign in, secret headers, and a signature."""

    requires_request_body = True

    def __init__(
        self, settings: WebhookConnection, client: httpx.AsyncClient, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._tokens: ClientCredentials | None = None
        if settings.token_url and settings.client_id and settings.client_secret:
            self._tokens = ClientCredentials(
                client, settings.token_url, settings.client_id, settings.client_secret, settings.scope
            )

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        settings = self._settings
        if settings.token:
            request.headers["Authorization"] = f"Bearer {header_text(settings.token, 'the token')}"
        if settings.username and settings.password:
            pair = f"{settings.username}:{settings.password.get_secret_value()}"
            request.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        for name, value in settings.secret_headers.items():
            request.headers[name] = header_text(value, f"the secret header `{name}`")
        self._sign(request)
        if self._tokens is None:
            yield request
            return
        flow = self._tokens.async_auth_flow(request)
        response = yield await anext(flow)
        with suppress(StopAsyncIteration):
            yield await flow.asend(response)

    def _sign(self, request: httpx.Request) -> None:
        secret = self._settings.signing_secret
        if secret is None:
            return
        if self._settings.signature == "sha256":
            digest = hmac.digest(secret.get_secret_value().encode(), request.content, hashlib.sha256)
            request.headers[self._settings.signature_header] = f"sha256={digest.hex()}"
        elif "webhook-id" in request.headers:
            request.headers["webhook-timestamp"] = str(int(self._clock()))
            request.headers["webhook-signature"] = _standard_signature(signing_key(secret), request)


def _standard_signature(key: bytes, request: httpx.Request) -> str:
    """By the Standard Webhooks specification ("Signature scheme")."""
    name, moment = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = f"{name}.{moment}.".encode() + request.content
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def redacted(settings: WebhookConnection, text: str) -> str:
    """A text from outside without our secrets: some servers repeat the request in their error."""
    own = (settings.token, settings.password, settings.client_secret, settings.signing_secret)
    for secret in (*own, *settings.secret_headers.values()):
        if secret and secret.get_secret_value():
            text = text.replace(secret.get_secret_value(), "***")
    return text


async def refuse_private_address(url: httpx.URL) -> None:
    """Raises ConfigurationError if a host is this machine or in a private network, whatever its name says.

    It guards against a wrong or borrowed setting. A name server that changes its answer between this look-up and the
    request can pass it; where that matters, let a proxy decide what may be reached.
    """
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RetryLater(f"no connection: the host {url.host} is not found") from error
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if not ip.is_global or ip.is_multicast:
            raise ConfigurationError(
                f"{url.host} leads to {ip}, an address of this machine or a private network: "
                "set `allow_private: true` of the destination if that is meant."
            )
