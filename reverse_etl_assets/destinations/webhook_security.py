"""Signing in and signing requests, and the guard against addresses inside our own network."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable, Generator

import httpx

from reverse_etl_assets.destinations.webhook_options import WebhookConnection, signing_key
from reverse_etl_assets.errors import ConfigurationError, RetryLater


class WebhookAuth(httpx.Auth):
    """Token, secret headers, and a signature by the Standard Webhooks specification ("Signature scheme")."""

    requires_request_body = True

    def __init__(self, settings: WebhookConnection, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._key = signing_key(settings.signing_secret) if settings.signing_secret else None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._settings.token:
            request.headers["Authorization"] = f"Bearer {self._settings.token.get_secret_value()}"
        for name, value in self._settings.secret_headers.items():
            request.headers[name] = value.get_secret_value()
        if self._key and "webhook-id" in request.headers:
            request.headers["webhook-timestamp"] = str(int(self._clock()))
            request.headers["webhook-signature"] = self._signature(self._key, request)
        yield request

    @staticmethod
    def _signature(key: bytes, request: httpx.Request) -> str:
        name, moment = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = f"{name}.{moment}.".encode() + request.content
        return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def redacted(settings: WebhookConnection, text: str) -> str:
    """A text from outside without our secrets: some servers repeat the request in their error."""
    for secret in (settings.token, settings.signing_secret, *settings.secret_headers.values()):
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
