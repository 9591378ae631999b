"""``/_sandbox``: records (and a person's changes to them), snapshots, log, counts, faults, settings and reset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reverse_etl_sandbox.calls import as_json
from reverse_etl_sandbox.gate import Context, Vendor
from reverse_etl_sandbox.people import People
from reverse_etl_sandbox.store import Entry, Table


def reply(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


class Control:
    def __init__(self, context: Context, vendors: dict[str, Vendor]) -> None:
        self._context = context
        self._vendors = vendors
        self.people = People(context, vendors)

    def routes(self) -> list[Route]:
        records = "/_sandbox/records/{vendor}/{object}"
        return [
            Route(records, self._list, methods=["GET"]),
            Route(records, self._add, methods=["POST"]),
            Route(records + "/{id:path}/duplicate", self._duplicate, methods=["POST"]),
            Route(records + "/{id:path}", self._edit, methods=["PATCH"]),
            Route(records + "/{id:path}", self._remove, methods=["DELETE"]),
            Route("/_sandbox/snapshot/{vendor}/{object}", self._snapshot, methods=["GET"]),
            Route("/_sandbox/log", self._log, methods=["GET"]),
            Route("/_sandbox/counts", self._counts, methods=["GET"]),
            Route("/_sandbox/faults", self._faults, methods=["GET"]),
            Route("/_sandbox/faults", self._add_fault, methods=["POST"]),
            Route("/_sandbox/faults", self._clear_faults, methods=["DELETE"]),
            Route("/_sandbox/settings", self._settings, methods=["GET"]),
            Route("/_sandbox/settings", self._set, methods=["POST"]),
            Route("/_sandbox/reset", self._reset, methods=["POST"]),
        ]

    def reset(self) -> None:
        """Forget records, log, faults, limits used, and settings. Tokens stay valid."""
        self._context.settings.reset()
        self._context.faults.clear()
        self._context.log.clear()
        for vendor in self._vendors.values():
            vendor.reset()

    def counts(self) -> dict[str, Any]:
        """Per vendor: calls, statuses, rows, faults, limits hit; per object: records and what happened to them."""
        told: dict[str, Any] = {}
        for name, vendor in self._vendors.items():
            objects = {}
            for table in vendor.tables.values():
                counters = table.counters
                objects[table.name] = {
                    "records": len(table.live()),
                    "created": counters.created,
                    "updated": counters.updated,
                    "deleted": counters.deleted,
                    "refused": counters.refused,
                }
            told[name] = {**self._context.log.counts(name), "objects": objects}
        return told

    async def _list(self, request: Request) -> Response:
        table = self._table(request)
        entries = table.search(request.query_params.get("q", ""))
        start, limit = _whole(request, "offset", 0), _whole(request, "limit", 1_000)
        page = [_entry_json(entry) for entry in entries[start : start + limit]]
        return reply({"total": len(entries), "records": page})

    async def _add(self, request: Request) -> Response:
        values, at = await _object(request), _seconds(request, "at")
        with _told_by_status():
            return reply({"id": self.people.add(*_named(request), values, at)}, 201)

    async def _edit(self, request: Request) -> Response:
        record_id, values = request.path_params["id"], await _object(request)
        with _told_by_status():
            self.people.edit(*_named(request), record_id, values, _seconds(request, "at"))
        return reply(_entry_json(self._table(request).entries[record_id]))

    async def _remove(self, request: Request) -> Response:
        with _told_by_status():
            self.people.remove(*_named(request), request.path_params["id"])
        return Response(status_code=204)

    async def _duplicate(self, request: Request) -> Response:
        with _told_by_status():
            made = self.people.duplicate(*_named(request), request.path_params["id"], _seconds(request, "at"))
        return reply({"id": made}, 201)

    async def _snapshot(self, request: Request) -> Response:
        ids = request.query_params.get("ids", "true") != "false"
        return Response(self._table(request).snapshot(ids=ids), media_type="application/x-ndjson")

    async def _log(self, request: Request) -> Response:
        vendor = request.query_params.get("vendor", "")
        lines = self._context.log.lines(vendor, _whole(request, "after", 0))
        limit = _whole(request, "limit", 1_000)
        return reply([as_json(line) for line in lines[-limit:]])

    async def _counts(self, request: Request) -> Response:
        return reply(self.counts())

    async def _faults(self, request: Request) -> Response:
        return reply([fault.describe() for fault in self._context.faults.active()])

    async def _add_fault(self, request: Request) -> Response:
        options = await _object(request)
        try:
            fault = self._context.faults.add(options.pop("kind", ""), **options)
        except (ValueError, TypeError) as error:
            raise HTTPException(400, str(error)) from None
        return reply(fault.describe(), 201)

    async def _clear_faults(self, request: Request) -> Response:
        self._context.faults.clear()
        return Response(status_code=204)

    async def _settings(self, request: Request) -> Response:
        return reply(self._context.settings.describe())

    async def _set(self, request: Request) -> Response:
        try:
            self._context.settings.change(await _object(request))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return reply(self._context.settings.describe())

    async def _reset(self, request: Request) -> Response:
        self.reset()
        return Response(status_code=204)

    def _table(self, request: Request) -> Table:
        with _told_by_status():
            return self.people.table(*_named(request))


@contextmanager
def _told_by_status() -> Iterator[None]:
    try:
        yield
    except LookupError as error:
        raise HTTPException(404, str(error.args[0])) from None
    except ValueError as error:
        raise HTTPException(400, str(error)) from None


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["vendor"], request.path_params["object"]


def find_table(vendor: Vendor, name: str) -> Table:
    """The table of one object; 404 if there is none."""
    table = vendor.tables.get(name)
    if table is None:
        raise HTTPException(404, f"{vendor.name} has no object {name!r}; objects are {', '.join(vendor.tables)}")
    return table


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "values": entry.values,
        "created_at": entry.created_at,
        "created_by": entry.created_by,
        "updated_at": entry.updated_at,
        "written": {name: {"at": at, "by": by} for name, (at, by) in entry.written.items()},
    }


def _whole(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, "")
    if given and not given.isdigit():
        raise HTTPException(400, f"{name} must be a whole number, got {given!r}")
    return int(given) if given else default


def _seconds(request: Request, name: str) -> float | None:
    given = request.query_params.get(name)
    try:
        return None if given is None else float(given)
    except ValueError:
        raise HTTPException(400, f"{name} must be seconds since 1970, got {given!r}") from None


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(await request.body())
    except msgspec.DecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return body
