"""An answer has a largest size and a longest time: one without an end must not fill the memory, nor take for ever."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import httpx

T = TypeVar("T")

LARGEST, LONGEST = 64_000_000, 300.0  # bytes, decompressed; seconds
_PART = 65_536  # bytes that are decompressed at once
_COMPRESSED = ("gzip", "x-gzip", "deflate")


@dataclass(frozen=True)
class Bounds:
    """Of one exchange: bytes of the body as it is read, and seconds from the first byte that goes to the last one."""

    largest: int = LARGEST
    longest: float = LONGEST


class TooLarge(httpx.TransportError):
    """The answer has more bytes than are read."""


class TooLong(httpx.TransportError):
    """The exchange took longer than it may."""


class BoundedTransport(httpx.AsyncBaseTransport):
    """Decompresses by itself, a part at a time: a few bytes can be gigabytes."""

    def __init__(self, inner: httpx.AsyncBaseTransport, bounds: Bounds) -> None:
        self._inner, self._bounds = inner, bounds

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        clock = _Deadline(self._bounds.longest)
        response = await clock.keep(self._inner.handle_async_request(request))
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - the contract of async transports
        encoding = response.headers.pop("Content-Encoding", "").strip().lower()
        stream = _BoundedStream(response.stream, encoding, self._bounds.largest, clock)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Deadline:
    def __init__(self, longest: float) -> None:
        self._longest, self._ends = longest, asyncio.get_running_loop().time() + longest

    async def keep(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout_at(self._ends):
                return await work
        except TimeoutError:
            raise TooLong(f"it took longer than {self._longest:g} s (`longest_exchange`)") from None


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, encoding: str, largest: int, clock: _Deadline) -> None:
        self._inner, self._encoding, self._largest, self._clock = inner, encoding, largest, clock

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts, size = aiter(self._inner), 0
        decode = _Decoder(self._encoding)
        while (raw := await self._clock.keep(anext(parts, None))) is not None:
            for part in decode(raw):
                size += len(part)
                if size > self._largest:
                    raise TooLarge(f"it has more than {self._largest:,} bytes (`largest_answer`)")
                yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Decoder:
    """Raises httpx.DecodingError for what is not compressed as it says, or in another way than was asked for."""

    def __init__(self, encoding: str) -> None:
        if encoding and encoding != "identity" and encoding not in _COMPRESSED:
            raise httpx.DecodingError(f"an answer in `{encoding}` was not asked for")
        self._compressed = encoding in _COMPRESSED
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
        self._begun = False

    def __call__(self, raw: bytes) -> Iterator[bytes]:
        if not self._compressed:
            yield raw
            return
        try:
            if not self._begun:
                yield self._first(raw[:_PART])
                raw = self._inflate.unconsumed_tail + raw[_PART:]
            while raw:
                yield self._inflate.decompress(raw, _PART)
                raw = self._inflate.unconsumed_tail
        except zlib.error as error:
            raise httpx.DecodingError(str(error)) from error

    def _first(self, raw: bytes) -> bytes:
        """Some servers send `deflate` without its header."""
        self._begun = True
        try:
            return self._inflate.decompress(raw, _PART)
        except zlib.error:
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._inflate.decompress(raw, _PART)
