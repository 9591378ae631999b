"""The page at ``/``: what the vendors hold, who wrote it, what was called, and which faults are on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from reverse_etl_sandbox.control import find_table
from reverse_etl_sandbox.gate import Context, Vendor
from reverse_etl_sandbox.store import Entry, Table

ROWS = 15
LOG_LINES = 50
# Scripts, images and requests to elsewhere have no place on this page.
CSP = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Cell:
    value: Any
    by: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    cells: list[Cell]
    by: str
    at: str
    ago: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the request asks to see."""

    vendor: str
    object: str
    q: str
    number: int

    def link(self, **changes: Any) -> str:
        asked = {"vendor": self.vendor, "object": self.object, "q": self.q, "page": self.number} | changes
        return "/?" + urlencode({name: value for name, value in asked.items() if value not in ("", 1)})


class Page:
    def __init__(self, context: Context, vendors: dict[str, Vendor], bases: dict[str, str]) -> None:
        self._context = context
        self._vendors = vendors
        self._bases = bases
        templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = templates.get_template("index.html")

    def routes(self) -> list[Route]:
        return [Route("/", self._index)]

    async def _index(self, request: Request) -> Response:
        shown = self._shown(request)
        table = self._table(shown)
        found = table.search(shown.q) if table is not None else []
        columns = _columns(found[:1_000])
        start = (shown.number - 1) * ROWS
        html = self._template.render(
            shown=shown,
            url=str(request.base_url).rstrip("/"),
            vendors=[self._vendor(name, shown) for name in self._vendors],
            title=f"{self._vendors[shown.vendor].title} · {shown.object}" if table is not None else "",
            columns=columns,
            rows=[self._row(entry, columns) for entry in found[start : start + ROWS]],
            total=len(found),
            first=start + 1,
            last=min(start + ROWS, len(found)),
            older=shown.link(page=shown.number + 1) if start + ROWS < len(found) else "",
            newer=shown.link(page=shown.number - 1) if shown.number > 1 else "",
            log=[_log_line(line) for line in reversed(self._context.log.lines()[-LOG_LINES:])],
            faults=[_fault(fault.describe()) for fault in self._context.faults.active()],
        )
        return HTMLResponse(html, headers={"Content-Security-Policy": CSP, "Cache-Control": "no-store"})

    def _shown(self, request: Request) -> Shown:
        """What is asked for; without a choice the object that was written last."""
        asked = request.query_params
        number = asked.get("page", "1")
        vendor, name = asked.get("vendor", ""), asked.get("object", "")
        if not (vendor and name):
            latest = max(
                (
                    (next(reversed(table.entries.values())).updated_at, vendor_name, table.name)
                    for vendor_name, held in self._vendors.items()
                    for table in held.tables.values()
                    if table.entries
                ),
                default=(0.0, "salesforce", "Contact"),
            )
            vendor, name = latest[1], latest[2]
        return Shown(vendor, name, asked.get("q", ""), max(1, int(number)) if number.isdigit() else 1)

    def _table(self, shown: Shown) -> Table | None:
        vendor = self._vendors.get(shown.vendor)
        return find_table(vendor, shown.object) if vendor is not None else None

    def _vendor(self, name: str, shown: Shown) -> dict[str, Any]:
        counts = self._context.log.counts(name)
        statuses = counts["status"]
        objects = [
            {
                "name": table.name,
                "records": len(table.live()),
                "counters": table.counters,
                "chosen": (name, table.name) == (shown.vendor, shown.object),
                "link": Shown(name, table.name, "", 1).link(),
            }
            for table in self._vendors[name].tables.values()
        ]
        return {
            "name": name,
            "title": self._vendors[name].title,
            "base": self._bases[name],
            "objects": objects,
            "calls": counts["calls"]["total"],
            "failed": sum(count for status, count in statuses.items() if not status.startswith(("2", "3"))),
            "faulted": sum(counts["faults"].values()),
            "limited": sum(counts["limits"].values()),
        }

    def _row(self, entry: Entry, columns: Sequence[str]) -> Row:
        cells = []
        for name in columns:
            at, by = entry.written.get(name, (0.0, ""))
            title = f"{name}: written by {by} at {_clock(at)}" if by else ""
            value = entry.values.get(name)
            cells.append(Cell(str(value).lower() if isinstance(value, bool) else value, by, title))
        _, by = max(entry.written.values(), default=(entry.created_at, entry.created_by))
        ago = _ago(self._context.clock() - entry.updated_at)
        return Row(entry.id, cells, by, _clock(entry.updated_at), ago)


def _columns(entries: Sequence[Entry]) -> list[str]:
    """The fields that anybody wrote, keys first."""
    seen: dict[str, None] = {}
    for entry in entries:
        seen.update(dict.fromkeys(entry.written))
    return sorted(seen, key=lambda name: "external_id" not in name.casefold())


def _log_line(line: Any) -> dict[str, Any]:
    why = f"fault: {line.fault}" if line.fault else f"limit: {line.limit}" if line.limit else ""
    level = "bad" if line.status == 0 or line.status >= 500 else "warn" if line.status >= 300 or why else "good"
    return {"line": line, "at": _clock(line.at), "why": why, "level": level}


def _fault(told: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in told.items() if name not in ("kind", "hits", "vendor")}
    return {
        "kind": told["kind"],
        "vendor": told.get("vendor", "all"),
        "hits": told["hits"],
        "options": ", ".join(f"{name} {value}" for name, value in options.items()) or "every request",
    }


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
