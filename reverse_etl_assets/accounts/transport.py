"""The way from a run to its destination, and what went over it."""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import httpx

from reverse_etl_assets.accounts.answer_bounds import BoundedTransport, Bounds
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
class Usage:
    """Requests made and bytes of their bodies; token requests, lookups and replays count too."""

    calls: int = 0
    bytes: int = 0
    waited: float = 0.0
    """Seconds in which at least one request waited for the account's turn."""

    def count(self, size: int) -> None:
        self.calls += 1
        self.bytes += size


@dataclass
class Watched:
    """What a piece of work has sent so far."""

    calls: int = 0
    writes: int = 0
    """Calls that may have changed something."""


_watched: ContextVar[Watched | None] = ContextVar("watched", default=None)
_only_reads: ContextVar[bool] = ContextVar("only_reads", default=False)


@contextmanager
def watched() -> Iterator[Watched]:
    """Watches the calls that are made meanwhile by this task, or by tasks that it starts."""
    work = Watched()
    token = _watched.set(work)
    try:
        yield work
    finally:
        _watched.reset(token)


@contextmanager
def only_reads() -> Iterator[None]:
    """The calls meanwhile change nothing: they ask for records, or for a token."""
    token = _only_reads.set(True)
    try:
        yield
    finally:
        _only_reads.reset(token)


class CountsCalls(Protocol):
    """Has a say before every request: a budget.Meter."""

    async def take(self) -> None: ...

    def learn(self, quota: Quota) -> None: ...


class Transport:
    """The way to a destination: it counts every call, and asks the meter before it.

    `quota` reads the vendor's own counter from an answer.
    """

    def __init__(
        self,
        usage: Usage,
        *,
        concurrency: int,
        meter: CountsCalls | None = None,
        quota: Callable[[httpx.Response], Quota | None] = lambda response: None,
        bounds: Bounds | None = None,
    ) -> None:
        self._usage, self._concurrency, self._meter, self._quota = usage, concurrency, meter, quota
        self._bounds = bounds or Bounds()

    async def call(self, size: int) -> None:
        """Has to be awaited before each call that does not go over `client`; `size` in bytes."""
        if self._meter:
            await self._meter.take()
        self._usage.count(size)
        if work := _watched.get():
            work.calls += 1
            work.writes += not _only_reads.get()

    def client(self, read_timeout: float = READ_TIMEOUT) -> httpx.AsyncClient:
        """An HTTP client whose calls count by themselves.

        It does not follow redirects: they would send a body and a token somewhere else.
        """
        return httpx.AsyncClient(
            event_hooks={"request": [self._before], "response": [self._after]},
            timeout=httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT, pool=None),
            follow_redirects=False,
            trust_env=False,
            transport=bounded(self._bounds, self._concurrency + 2),
            headers={"Accept-Encoding": "gzip, deflate"},
        )

    async def _before(self, request: httpx.Request) -> None:
        await self.call(int(request.headers.get("Content-Length", 0)))

    async def _after(self, response: httpx.Response) -> None:
        if self._meter and (counter := _counter_of(self._quota, response)):
            self._meter.learn(counter)


def bounded(bounds: Bounds, connections: int) -> BoundedTransport:
    """A way out for so many requests at once, with answers of a bounded size and time."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return BoundedTransport(httpx.AsyncHTTPTransport(verify=certificates(), limits=limits, trust_env=False), bounds)


@cache
def certificates() -> ssl.SSLContext:
    """Read once: it takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=False)


def _counter_of(quota: Callable[[httpx.Response], Quota | None], response: httpx.Response) -> Quota | None:
    try:
        return quota(response)
    except Exception as error:  # a counter that cannot be read must not put in doubt what the answer says
        _logger.debug("the vendor's counter of calls cannot be read: %s", type(error).__name__)
        return None
