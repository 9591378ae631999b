"""`reverse-etl list`: the syncs of the project, and which of them a selection is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.selection import Exclude, Names, Select

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.spec.sync import Sync


def list_(
    syncs: Names = None,
    select: Select = None,
    exclude: Exclude = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List syncs: what goes where, after what, when. Opens neither state nor journal, and asks no destination."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.cli.selection import select as chosen

    found = chosen(Deployed().project.syncs, syncs, select, exclude)
    if json:
        print_json({"syncs": [_as_json(sync) for sync in found]})
    else:
        _show(console(), found)


def _as_json(sync: "Sync") -> dict[str, Any]:
    return {
        "sync": sync.sync,
        "description": sync.description,
        "model": sync.model,
        "destination": sync.destination,
        "object": sync.object,
        "sync_mode": sync.sync_mode.value,
        "after": list(sync.parents),
        "tags": dict(sync.tags),
        "owners": list(sync.owners),
        "schedule": _schedule(sync) or None,
    }


def _schedule(sync: "Sync") -> str:
    if sync.schedule is None:
        return ""
    within = sync.schedule.fresh_within
    return sync.schedule.cron or (f"fresh within {within}" if within else "")


def _show(out: "Console", found: "list[Sync]") -> None:
    from reverse_etl_assets.cli.output import escape, show_table, table

    if not found:
        out.print("The project has no syncs yet: reverse-etl new sync MODEL --to DESTINATION", soft_wrap=True)
        return
    rows = table("sync", "model", "destination", "object", "mode", "after", "tags", "schedule", whole=("sync",))
    for sync in found:
        tags = ", ".join(f"{name}={value}" if value else name for name, value in sync.tags.items())
        words = (sync.model, sync.destination, sync.object, sync.sync_mode.value, ", ".join(sync.parents), tags)
        rows.add_row(sync.sync, *map(escape, (*words, _schedule(sync))))
    show_table(out, rows)
