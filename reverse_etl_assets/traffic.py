"""The HTTP client of a run, and what went over it."""

from dataclasses import dataclass

import httpx

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0  # seconds


@dataclass
class Traffic:
    """Requests made and bytes of their bodies; token requests, lookups and replays count too."""

    calls: int = 0
    bytes: int = 0

    async def count(self, request: httpx.Request) -> None:
        self.calls += 1
        self.bytes += int(request.headers.get("Content-Length", 0))


def open_client(traffic: Traffic, *, concurrency: int, read_timeout: float = READ_TIMEOUT) -> httpx.AsyncClient:
    """A client that counts. It does not follow redirects: they would send a body and a token somewhere else."""
    return httpx.AsyncClient(
        event_hooks={"request": [traffic.count]},
        timeout=httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT, pool=None),
        limits=httpx.Limits(max_connections=concurrency + 2, max_keepalive_connections=concurrency + 2),
        follow_redirects=False,
        trust_env=False,
    )
