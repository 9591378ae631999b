"""Troubles of the network and of servers, put between a destination and its server."""

from collections.abc import Awaitable, Callable

import httpx

from reverse_etl_assets.accounts.transport import certificates

Handle = Callable[[httpx.Request], Awaitable[httpx.Response]]
Trouble = Callable[[httpx.Request, Handle], Awaitable[httpx.Response]]


class Interference(httpx.AsyncBaseTransport):
    """Passes requests on, but for those to `method` and `path`, which meet the `troubles`, each once and in order.

    `sent` holds every request that came by, `answered` counts those that came to an end. A trouble put in `always`
    meets them all.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._inner = inner or httpx.AsyncHTTPTransport(verify=certificates())
        self.troubles: list[Trouble] = []
        self.always: Trouble | None = None
        self.method = self.path = ""
        self.sent: list[httpx.Request] = []
        self.answered = 0

    def aim(self, request: httpx.Request) -> None:
        """Interfere with requests like this one from now on."""
        self.method, self.path = request.method, request.url.path

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        try:
            if (request.method, request.url.path) == (self.method, self.path):
                trouble = self.troubles.pop(0) if self.troubles else self.always
                if trouble is not None:
                    return await trouble(request, self._inner.handle_async_request)
            return await self._inner.handle_async_request(request)
        finally:
            self.answered += 1

    async def aclose(self) -> None:
        await self._inner.aclose()


def answers(status: int, content: bytes = b"", **headers: str) -> Trouble:
    """The server refuses: an answer, and the request is not carried out."""

    async def trouble(request: httpx.Request, handle: Handle) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Response(status, headers=named, content=content, request=request)

    return trouble


def repeats_the_request(status: int) -> Trouble:
    """The server refuses with a page that shows the request's headers, as some proxies do."""

    async def trouble(request: httpx.Request, handle: Handle) -> httpx.Response:
        shown = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        return httpx.Response(status, text=shown, request=request)

    return trouble


def says_instead(content: bytes) -> Trouble:
    """The request is carried out, and the answer's body is another one."""

    async def trouble(request: httpx.Request, handle: Handle) -> httpx.Response:
        response = await handle(request)
        await response.aread()
        return httpx.Response(200, content=content, request=request)

    return trouble


async def garbles_the_answer(request: httpx.Request, handle: Handle) -> httpx.Response:
    """The request is carried out, and its answer says that it is compressed, and is not."""
    response = await handle(request)
    body = httpx.ByteStream(b"no gzip" + await response.aread())
    return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=body, request=request)


async def loses_the_answer(request: httpx.Request, handle: Handle) -> httpx.Response:
    """The request is carried out, and the connection breaks before its answer."""
    await (await handle(request)).aread()
    raise httpx.ReadError("connection lost", request=request)


async def times_out(request: httpx.Request, handle: Handle) -> httpx.Response:
    """The request is carried out, and its answer never comes."""
    await (await handle(request)).aread()
    raise httpx.ReadTimeout("no answer", request=request)


async def refuses_connections(request: httpx.Request, handle: Handle) -> httpx.Response:
    """Nobody listens."""
    raise httpx.ConnectError("connection refused", request=request)
