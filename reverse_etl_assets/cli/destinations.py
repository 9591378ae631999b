"""`reverse-etl destinations`: what each destination can do for the syncs that write to it, from its declared data."""

from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.records import Capabilities
    from reverse_etl_assets.spec.sync import Sync

COLUMNS = (
    "destination",
    "object",
    "operations",
    "rows a request",
    "requests a second",
    "at once",
    "safe to send twice",
    "tells created",
    "reads back",
    "checks fields",
    "jobs",
    "quota",
    "version",
    "supported until",
    "checked on",
)


def destinations(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what each destination can do for its syncs: operations, batches, rates, reading back."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, escape, indented, print_json
    from reverse_etl_assets.destinations.registry import destination_type, destination_types
    from reverse_etl_assets.errors import ConfigurationError

    deployed = Deployed()
    found = list(abilities(deployed))
    if json:
        print_json(found)
    elif markdown:
        say(as_markdown(found))
    else:
        out = console()
        for each in found:
            out.print(f"[bold]{escape(each['destination'])}[/] {escape(each['object'])}")
            out.print(indented(f"{_limits(each)}; {', '.join(_remarks(each)) or 'nothing more'}", 2))

        used = {resource.destination_type for resource in deployed.destinations.values()}
        idle = []
        for name in sorted(destination_types()):
            try:
                idle += [name] if destination_type(name) not in used else []
            except ConfigurationError as error:
                out.print(f"[yellow]{escape(str(error))}[/]")
        if idle:
            out.print(f"[dim]Installed, and in no account of this deployment: {', '.join(idle)}[/]")


def _limits(ability: "Mapping[str, str]") -> str:
    rate = ability["requests a second"]
    rows = "1 row" if ability["rows a request"] == "1" else f"{ability['rows a request']} rows"
    pace = f"{rate} requests a second" if rate != "no limit" else "no limit of the rate"
    done = "all operations" if ability["operations"] == "all" else ability["operations"]
    return f"{done}; {rows} a request, {pace}, {ability['at once']} at once"


def rates(able: "Capabilities") -> str:
    """Of all requests, and of reads where they are counted apart."""
    of_all = rate(able.requests_per_second) if able.requests_per_second else "no limit"
    return f"{of_all}, {rate(able.reads_per_second)} to read" if able.reads_per_second else of_all


def rate(a_second: float) -> str:
    """`1.38`, `18.7`, `1,000`, `0.012`: as many digits as anybody reads."""
    return f"{a_second:,.2f}".rstrip("0").rstrip(".") if a_second >= 0.1 else f"{a_second:.2g}"


def _remarks(ability: "Mapping[str, str]") -> "Iterator[str]":
    """What a person does not expect, or may build on."""
    if ability["safe to send twice"] != "all":
        yield f"safe to send twice: {ability['safe to send twice']}"
    for name in COLUMNS[7:]:
        if ability[name] == "yes":
            yield name
    if ability["checked on"]:
        version = f"version {ability['version']}, " if ability["version"] else ""
        until = f"supported until {ability['supported until']}, " if ability["supported until"] else ""
        yield f"{version}{until}checked on {ability['checked on']}"


def abilities(deployed: "Deployed") -> "Iterator[dict[str, str]]":
    """One for each destination type, object and way of writing that a sync uses, the same ones once."""
    seen = set()
    for sync in sorted(deployed.project.syncs.values(), key=lambda each: (each.destination, each.object, each.sync)):
        row = _ability(deployed, sync)
        if (words := tuple(row.values())) not in seen:
            seen.add(words)
            yield row


def _ability(deployed: "Deployed", sync: "Sync") -> "dict[str, str]":
    from reverse_etl_assets.destinations.base import BaseDestination
    from reverse_etl_assets.records import Operation
    from reverse_etl_assets.spec.route import Route

    resource = deployed.destinations[sync.destination]
    kind, api = resource.destination_type, resource.destination_type.api
    version = str(resource.known("api_version") or (api.version if api else ""))
    end = api.end_of(version) if api else None
    route = Route(sync, kind)
    able = route.capabilities
    repeatable = (able.idempotent | able.idempotent_by_id) & able.operations
    values: Mapping[str, object] = {
        "destination": kind.__name__,
        "object": sync.object,
        "operations": "all" if len(able.operations) == len(Operation) else ", ".join(sorted(able.operations)),
        "rows a request": f"{able.max_rows:,}",
        "requests a second": rates(able),
        "at once": able.concurrency,
        "safe to send twice": "all" if repeatable == able.operations else ", ".join(sorted(repeatable)) or "none",
        "tells created": _yes(able.confirms),
        "reads back": _yes(route.reads_back),
        "checks fields": _yes(kind.describes),
        "jobs": _yes(able.jobs is not None),
        "quota": _yes(kind.quota.__func__ is not BaseDestination.quota.__func__),  # type: ignore[attr-defined]
        "version": version,
        "supported until": end or "",
        "checked on": api.checked_on if api else "",
    }
    return {name: str(value) for name, value in values.items()}


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def as_markdown(found: "list[dict[str, str]]") -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(each[name].replace("|", "\\|") for name in COLUMNS) + " |" for each in found]
    return "\n".join(lines)
