"""The page at ``/``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from reverse_etl_assets.sandbox.gate import Context, Vendor


class Page:
    def __init__(self, context: Context, vendors: dict[str, Vendor]) -> None:
        self._context = context
        self._vendors = vendors

    def routes(self) -> list[Route]:
        return [Route("/", self._index)]

    async def _index(self, request: Request) -> Response:
        return PlainTextResponse("sandbox")
