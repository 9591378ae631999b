"""Servers that answer without an end: too much, too slowly, or in a few bytes that are gigabytes."""

import asyncio
import gzip
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from reverse_etl_assets.accounts.answer_bounds import Bounds
from reverse_etl_assets.accounts.transport import Transport, Usage
from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookConnection
from reverse_etl_assets.errors import RequestRejected, RetryLater
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import FieldType, Operation, Target
from tests.engine.shop import Shop, sink_sync
from tests.heavy import first

LARGEST = 1_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_how_much_is_read_unless_the_connection_says_otherwise() -> None:
    assert WebhookConnection(base_url="https://shop.example").bounds == Bounds(64_000_000, 300.0)


class Server:
    """Answers every request with a head and what `body` yields, on a thread of its own."""

    def __init__(self, body: Callable[[], AsyncIterator[bytes]], head: bytes = HEAD) -> None:
        self._body, self._head = body, head
        self.sent = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._head + b"Connection: close\r\n\r\n")
            async for part in self._body():
                writer.write(part)
                self.sent += len(part)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def close(self) -> None:
        async def end() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.05)


BLANKS = b" " * 50_000_000
GZIPPED, DEFLATED = gzip.compress(BLANKS), zlib.compress(BLANKS)


async def bomb() -> AsyncIterator[bytes]:
    yield GZIPPED


async def zlib_bomb() -> AsyncIterator[bytes]:
    yield DEFLATED


ENDLESS = {
    "endless": (endless, HEAD, "more than 1,000,000 bytes"),
    "drip": (drip, HEAD, "longer than 1 s"),
    "gzip": (bomb, HEAD + b"Content-Encoding: gzip\r\n", "more than 1,000,000 bytes"),
    "deflate": (zlib_bomb, HEAD + b"Content-Encoding: deflate\r\n", "more than 1,000,000 bytes"),
}


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(*how: Any) -> Server:
        servers.append(Server(*how))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def settings(url: str, kind: str) -> WebhookConnection:
    """What is too large is so on a slow machine, too."""
    longest = 1.0 if kind == "drip" else 60.0
    return WebhookConnection(base_url=url, allow_private=True, largest_answer=LARGEST, longest_exchange=longest)


@pytest.mark.parametrize("kind", first(ENDLESS))
def test_a_write_whose_answer_has_no_end_is_in_doubt(shop: Shop, serve: Callable[..., Server], kind: str) -> None:
    body, head, said = ENDLESS[kind]
    server = serve(body, head)
    shop.build("select 'k' || i as id, 'n' || i as name from range(3) r(i)")
    sync = sink_sync(sync_mode="append")
    began = time.monotonic()
    report = shop.run(sync, Account("sink", Webhook, settings(server.url, kind)))
    assert report.status is RunStatus.DONE
    assert report.counts["failed_ambiguous"] == 3
    assert all(said in str(outcome.message) for outcome in shop.by_key(sync, report).values())
    assert server.sent < 20_000_000, "it is not read to its end"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_read_is_asked_for_less_or_later(serve: Callable[..., Server], kind: str) -> None:
    body, head, said = ENDLESS[kind]
    server = serve(body, head)
    target = Target("people", "id", {"name": FieldType.TEXT}, frozenset({Operation.UPSERT}))

    async def read() -> None:
        connection, options = settings(server.url, kind), Webhook.Options.model_validate(sink_sync().options)
        transport = Transport(Usage(), concurrency=1, bounds=connection.bounds)
        async with Webhook.open(connection, target, options, transport) as hook:
            await hook.read(hook.client.build_request("GET", "/people"))

    with pytest.raises(RetryLater if kind == "drip" else RequestRejected, match=said):
        asyncio.run(read())


def without_header(body: bytes) -> bytes:
    return zlib.compress(body)[2:-4]


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, without_header, bytes])
def test_what_is_within_the_bounds_is_whole(serve: Callable[..., Server], encode: Callable[[bytes], bytes]) -> None:
    body = b"".join(b"%d," % number for number in range(150_000))
    sent = encode(body)
    encoding = b"gzip" if sent[:2] == b"\x1f\x8b" else b"identity" if sent == body else b"deflate"

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), 1_000):
            yield sent[start : start + 1_000]

    server = serve(parts, HEAD + b"Content-Encoding: " + encoding + b"\r\n")

    async def get() -> httpx.Response:
        async with Transport(Usage(), concurrency=1, bounds=Bounds(largest=len(body))).client() as client:
            return await client.get(server.url)

    assert asyncio.run(get()).content == body


def test_a_compression_that_nobody_asked_for(serve: Callable[..., Server]) -> None:
    server = serve(bomb, HEAD + b"Content-Encoding: br\r\n")

    async def get() -> None:
        async with Transport(Usage(), concurrency=1).client() as client:
            with pytest.raises(httpx.DecodingError, match="was not asked for"):
                await client.get(server.url)

    asyncio.run(get())
