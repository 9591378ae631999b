"""`reverse-etl plan`: what a run would send, row by row and field by field."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.preview import PlannedRow, Preview

_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
_HEAD = ("added", "changed", "removed", "unchanged", "rejected", "held")


def plan(
    sync: Annotated[str, typer.Argument(help="The sync to look at.")],
    limit: Annotated[int, typer.Option(min=0, help="Most rows to list; 0 lists all.")] = 20,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what the next run would send: rows, fields, guards, requests. Sends nothing, writes nothing."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.errors import ConfigurationError
    from reverse_etl_assets.preview import preview

    deployed = Deployed()
    chosen = deployed.sync(sync)
    try:
        account = deployed.account(chosen)
    except ConfigurationError:  # then it cannot be sent, but planned
        account = deployed.account_without_credentials(chosen)
    found = preview(chosen, deployed.project.environment, account, limit=limit or None)
    found = found if reveal else found.masked(deployed.project.mask(chosen))
    if json:
        print_json(_as_json(found))
    else:
        _show(console(), found, limit)


def _as_json(found: "Preview") -> dict[str, Any]:
    return {
        "sync": found.sync.sync,
        "goes_out": found.goes_out,
        "counts": found.plan.counts,
        "to_send": {operation.value: rows for operation, rows in sorted(found.plan.to_send.items())},
        "requests": found.requests,
        "guards": [vars(finding) for finding in found.findings],
        "stopped": vars(found.stop) if found.stop else None,
        "unfinished_runs": list(found.unfinished),
        "rows": [_row_as_json(row) for row in found.rows],
        "refused": [_row_as_json(row) for row in found.refused],
    }


def _row_as_json(row: "PlannedRow") -> dict[str, Any]:
    fields = {name: {"before": old, "after": new} for name, (old, new) in row.fields.items()}
    return {**vars(row), "fields": fields}


def _show(out: "Console", found: "Preview", limit: int) -> None:
    sync, plan = found.sync, found.plan
    out.print(f"[bold]{sync.sync}[/]  {sync.model} -> {sync.destination} {sync.object}, {sync.sync_mode}")
    out.print(f"{plan.model_rows:,} rows in the model, {plan.synced_rows:,} synced\n")
    out.print("  ".join(f"{name} [bold]{getattr(plan, name):,}[/]" for name in _HEAD))
    if not plan.removed_known:
        out.print("[dim]Only rows modified lately are compared; removed rows are found by the next full compare.[/]")
    sends = ", ".join(f"{rows:,} {operation}" for operation, rows in sorted(plan.to_send.items()))
    calls = "" if found.requests is None else f" in {found.requests:,} request{'s' * (found.requests != 1)}"
    out.print(f"Would send {sends}{calls}." if sends else "Nothing to send.")
    for run in found.unfinished:
        out.print(
            f"[yellow]Run {run} was killed; its answers are counted as if they were home, as the next run does.[/]"
        )
    _show_rows(out, found, limit)
    _show_refused(out, found, limit)
    _show_guards(out, found)


def _show_rows(out: "Console", found: "Preview", limit: int) -> None:
    """Like a diff: a line for each row, and below it a line for each field that changes."""
    from rich.padding import Padding

    from reverse_etl_assets.cli.output import shown

    for row in found.rows:
        sign, colour = _SIGNS.get(row.kind, ("=", "dim"))
        out.print(f"\n[{colour}]{sign}[/] [bold]{shown(row.key, 200)}[/]  [dim]{row.kind}, {row.operation}[/]")
        if row.kind == "changed" and not row.fields:
            said = "[dim]no value differs, but the mapping has changed since it was sent[/]"
        elif row.kind == "changed":
            said = "\n".join(f"{shown(n)}: {shown(old)} -> {shown(new)}" for n, (old, new) in row.fields.items())
        else:
            values = ((n, old if row.kind == "removed" else new) for n, (old, new) in row.fields.items())
            said = ", ".join(f"{shown(name)}: {shown(value)}" for name, value in values)
        if said:
            out.print(Padding(said, (0, 0, 0, 4)))
    total = sum(found.plan.to_send.values())
    if len(found.rows) < total:
        out.print(f"\n[dim]{len(found.rows):,} of {total:,} rows; --limit 0 lists all[/]")
    if found.rows:
        out.print()


def _show_refused(out: "Console", found: "Preview", limit: int) -> None:
    from reverse_etl_assets.cli.output import shown, table

    if not found.refused:
        return
    rows = table("key", "reason", "why it would not be sent", title="Not sent")
    for row in found.refused:
        rows.add_row(shown(row.key, 40), row.reason or "", shown(row.message, 200))
    out.print(rows)
    total = found.plan.rejected + found.plan.held
    if len(found.refused) < total:
        out.print(f"[dim]{len(found.refused):,} of {total:,} rows; --limit 0 lists all[/]\n")


def _show_guards(out: "Console", found: "Preview") -> None:
    from reverse_etl_assets.cli.output import escape
    from reverse_etl_assets.guard import tripped

    if found.stop:
        out.print(f"[red]Stopped ({found.stop.scope}) by {escape(found.stop.who)}: {escape(found.stop.why)}[/]")
    stopping = tripped(found.findings)
    for finding in stopping:
        out.print(f"[red]Guard {finding.guard}: {escape(finding.message)}[/]")
    if found.goes_out:
        out.print("[green]All guards pass.[/]")
    else:
        out.print("[red]A run now would send nothing.[/]")
