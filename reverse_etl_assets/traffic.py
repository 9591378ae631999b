"""The HTTP client of a run, and what went over it."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import httpx

from reverse_etl_assets.records import Quota

_logger = logging.getLogger(__name__)

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0  # seconds


class _HostsAlone(logging.Filter):
    """httpx logs each address, and what follows the host may hold a row's key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_host(each) if isinstance(each, httpx.URL) else each for each in record.args)
        return True


def _host(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}/..."


logging.getLogger("httpx").addFilter(_HostsAlone())


@dataclass
class Traffic:
    """Requests made and bytes of their bodies; token requests, lookups and replays count too."""

    calls: int = 0
    bytes: int = 0
    waited: float = 0.0
    """Seconds in which at least one request waited for the account's turn."""

    def count(self, request: httpx.Request) -> None:
        self.calls += 1
        self.bytes += int(request.headers.get("Content-Length", 0))


class CountsCalls(Protocol):
    """Has a say before every request: a budget.Meter."""

    async def take(self) -> None: ...

    def learn(self, quota: Quota) -> None: ...


def open_client(
    traffic: Traffic,
    *,
    concurrency: int,
    meter: CountsCalls | None = None,
    quota: Callable[[httpx.Response], Quota | None] = lambda response: None,
    read_timeout: float = READ_TIMEOUT,
) -> httpx.AsyncClient:
    """A client that counts, and asks the meter first. `quota` reads the vendor's own counter from an answer.

    It does not follow redirects: they would send a body and a token somewhere else.
    """

    async def before(request: httpx.Request) -> None:
        if meter:
            await meter.take()
        traffic.count(request)

    async def after(response: httpx.Response) -> None:
        if meter and (told := _told(quota, response)):
            meter.learn(told)

    return httpx.AsyncClient(
        event_hooks={"request": [before], "response": [after]},
        timeout=httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT, pool=None),
        limits=httpx.Limits(max_connections=concurrency + 2, max_keepalive_connections=concurrency + 2),
        follow_redirects=False,
        trust_env=False,
        verify=_certificates(),
    )


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=False)


def _told(quota: Callable[[httpx.Response], Quota | None], response: httpx.Response) -> Quota | None:
    try:
        return quota(response)
    except Exception as error:  # a counter that cannot be read must not put in doubt what the answer says
        _logger.debug("the vendor's counter of calls cannot be read: %s", type(error).__name__)
        return None
