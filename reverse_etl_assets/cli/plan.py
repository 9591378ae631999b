"""`reverse-etl plan`: what a run would send, row by row and field by field."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.run import trial_of
from reverse_etl_assets.cli.selection import Exclude, Names, Select
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.plan.trial import Trial
    from reverse_etl_assets.previews.planned_rows import PlannedRow
    from reverse_etl_assets.previews.preview import Preview
    from reverse_etl_assets.spec.sync import Sync

_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
_HEAD = ("added", "changed", "removed", "unchanged", "rejected", "held")
_IF_ANY = ("quarantined", "superseded", "waiting")
_MOST_FIELDS = 15


def plan(
    syncs: Names = None,
    select: Select = None,
    exclude: Exclude = None,
    show: Annotated[
        str | None, typer.Option(metavar="PLAN|waiting", help="Show a plan that waits, as it was kept.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to list; 0 lists all.")] = 20,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Show what `run --only KEY` would send.")
    ] = None,
    trial: Annotated[int | None, typer.Option(min=1, help="Show what `run --limit` of so many would send.")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a summary for a pull request.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what the next run would send: rows, fields, guards, requests. Sends nothing, writes nothing."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.cli.selection import is_one_name, select as selected
    from reverse_etl_assets.previews.markdown import markdown as in_markdown

    if markdown and json:
        raise typer.BadParameter("give one of --markdown, --json.", param_hint="--markdown")
    if not (syncs or select):
        raise typer.BadParameter("name a sync, or several.", param_hint="SYNC")
    deployed = Deployed()
    chosen = selected(deployed.project.syncs, syncs, select, exclude)
    tries = trial_of(chosen, only, trial, option="--trial")
    if tries and show:
        raise typer.BadParameter("a plan that was kept goes out as a whole.", param_hint="--show")
    if show and len(chosen) > 1:
        raise typer.BadParameter("a plan that was kept is of one sync; name that one alone.", param_hint="--show")
    plans = []
    for sync in chosen:
        found = _look(deployed, sync, show, limit or None, tries)
        plans.append(found if reveal else found.masked(deployed.project.mask(sync)))
    if json and is_one_name(syncs, select):
        print_json(_as_json(plans[0]))
    elif json:
        print_json({"plans": [_as_json(found) for found in plans]})
    elif markdown:
        say("\n".join(in_markdown(found) for found in plans), nl=False)
    else:
        for number, found in enumerate(plans):
            say("\n" * bool(number), nl=False)
            _show(console(), found)


def _look(deployed: "Deployed", sync: "Sync", show: str | None, limit: int | None, trial: "Trial | None") -> "Preview":
    from reverse_etl_assets.errors import ConfigurationError
    from reverse_etl_assets.previews.kept_plan import kept_plan
    from reverse_etl_assets.previews.preview import preview

    try:
        account = deployed.account(sync)
    except ConfigurationError:  # then it cannot be sent, but planned
        account = deployed.account_without_credentials(sync)
    environment = deployed.project.environment
    if show is None:
        deployed.ask_dagster(sync)
        return preview(sync, environment, account, limit=limit, trial=trial)
    return kept_plan(sync, environment, account, None if show == "waiting" else show, limit=limit)


def _as_json(found: "Preview") -> dict[str, Any]:
    from reverse_etl_assets.cli.status import plan_status

    forecast, room = found.forecast, found.room
    return {
        "sync": found.sync.sync,
        "plan": found.plan_id,
        "goes_out": found.goes_out,
        "counts": found.plan.counts,
        "trial": None if found.trial is None else {op.value: rows for op, rows in sorted(found.trial.items())},
        "to_send": {operation.value: rows for operation, rows in sorted(found.plan.to_send.items())},
        "fields": [vars(change) for change in found.plan.field_changes],
        "forecast": {**vars(forecast), "calls": forecast.calls, "saved": forecast.saved} if forecast else None,
        "calls_today": room.calls if room else None,
        "calls_left": room.left if room else None,
        "vendor_used": room.vendor.used if room and room.vendor else None,
        "vendor_limit": room.vendor.limit if room and room.vendor else None,
        "guards": [vars(finding) for finding in found.findings],
        "waiting": plan_status(found.waiting) if found.waiting else None,
        "stopped": vars(found.stop) if found.stop else None,
        "cutover": vars(found.begun) if found.begun else None,
        "unfinished_runs": list(found.unfinished),
        "rows": [_row_as_json(row) for row in found.rows],
        "refused": [_row_as_json(row) for row in found.refused],
    }


def _row_as_json(row: "PlannedRow") -> dict[str, Any]:
    fields = {name: {"before": old, "after": new} for name, (old, new) in row.fields.items()}
    known = {name: value for name, value in vars(row).items() if name != "waits_for" or value}
    return {**known, "fields": fields}


def _show(out: "Console", found: "Preview") -> None:
    from reverse_etl_assets.cli.output import escape
    from reverse_etl_assets.previews.markdown import sends, trial_in_words
    from reverse_etl_assets.warehouses.row_times import in_words

    sync, plan = found.sync, found.plan
    out.print(f"[bold]{sync.sync}[/]  {sync.model} -> {sync.destination} {sync.object}, {sync.sync_mode}")
    out.print(f"{plan.model_rows:,} rows in the model, {plan.synced_rows:,} synced\n")
    head = [*_HEAD, *(name for name in _IF_ANY if getattr(plan, name))]
    out.print("  ".join(f"{name} [bold]{getattr(plan, name):,}[/]" for name in head))
    if not plan.removed_known:
        out.print("[dim]Only rows modified lately are compared; removed rows are found by the next full compare.[/]")
    if plan.unusable_times:
        out.print(f"[yellow]Rows have {in_words(plan.unusable_times)}.[/]")
    if found.begun:
        out.print(f"[yellow]{escape(str(found.begun))}[/]")
    out.print(f"Would send {sends(found)}." if plan.to_send else "Nothing to send.")
    if words := trial_in_words(found):
        out.print(f"[yellow]{words}[/]")
    for run in found.unfinished:
        out.print(
            f"[yellow]Run {run} was killed; its answers are counted as if they were folded in, as the next run does.[/]"
        )
    _show_rows(out, found)
    _show_refused(out, found)
    _show_fields(out, found)
    _show_forecast(out, found)
    _show_guards(out, found)
    _show_approval(out, found)


def _show_rows(out: "Console", found: "Preview") -> None:
    """Like a diff: a line for each row, and below it a line for each field that changes."""
    from reverse_etl_assets.cli.output import indented, shown

    for row in found.rows:
        sign, colour = _SIGNS.get(row.kind, ("=", "dim"))
        out.print(f"\n[{colour}]{sign}[/] [bold]{shown(row.key, 200)}[/]  [dim]{row.kind}, {row.operation}[/]")
        if row.kind == "changed" and not row.fields:
            text = "[dim]no value differs, but the mapping has changed since it was sent[/]"
        elif row.kind == "changed":
            text = "\n".join(_change(name, old, new) for name, (old, new) in row.fields.items())
        else:
            values = ((n, old if row.kind == "removed" else new) for n, (old, new) in row.fields.items())
            text = ", ".join(f"{shown(name)}: {shown(value)}" for name, value in values)
        if text:
            out.print(indented(text, 4))
    total = sum(found.plan.to_send.values())
    if len(found.rows) < total and found.trial is None:
        out.print(f"\n[dim]{len(found.rows):,} of {total:,} rows; --limit 0 lists all[/]")
    if found.rows:
        out.print()


def _change(name: str, old: Any, new: Any) -> str:
    from reverse_etl_assets.cli.output import shown

    if old == new:
        return f"{shown(name)}: {shown(new)} [dim](not sent yet as the mapping has it now)[/]"
    return f"{shown(name)}: {shown(old)} -> {shown(new)}"


def _show_refused(out: "Console", found: "Preview") -> None:
    from reverse_etl_assets.cli.output import shown, table

    refused = [row for row in found.refused if row.kind != "superseded"]  # a later row of their key is sent
    if not refused:
        return
    rows = table("key", "reason", "why it would not be sent", title="Not sent")
    for row in refused:
        rows.add_row(shown(row.key, 40), row.reason or "", shown(row.message, 200))
    out.print(rows)
    total = found.plan.rejected + found.plan.held + found.plan.quarantined + found.plan.waiting
    if len(refused) < total:
        out.print(f"[dim]{len(refused):,} of {total:,} rows; --limit 0 lists all[/]\n")


def _show_fields(out: "Console", found: "Preview") -> None:
    """In how many rows each field changes, and in how many it loses its value."""
    from reverse_etl_assets.cli.output import number, shown, table

    changes = sorted(found.plan.field_changes, key=lambda change: -change.changed)
    if not changes:
        return
    rows = table("field that changes", "rows", "emptied", right=("rows", "emptied"))
    for change in changes[:_MOST_FIELDS]:
        rows.add_row(shown(change.field), number(change.changed), number(change.emptied))
    out.print(rows)
    if len(changes) > _MOST_FIELDS:
        out.print(f"[dim]and {len(changes) - _MOST_FIELDS:,} more fields in fewer rows; --json names all[/]\n")


def _show_forecast(out: "Console", found: "Preview") -> None:
    from reverse_etl_assets.cli.output import escape
    from reverse_etl_assets.previews.markdown import forecast_lines

    for line in forecast_lines(found):
        out.print(f"[dim]{escape(line)}[/]")


def _show_guards(out: "Console", found: "Preview") -> None:
    from reverse_etl_assets.cli.output import escape
    from reverse_etl_assets.guards.finding import tripped

    if found.stop:
        out.print(f"[red]Stopped ({found.stop.scope}) by {escape(found.stop.who)}: {escape(found.stop.why)}[/]")
    stopping = tripped(found.findings)
    for finding in stopping:
        out.print(f"[red]Guard {finding.guard}: {escape(finding.message)}[/]")
    if found.goes_out:
        out.print("[green]All guards pass.[/]")
    else:
        out.print("[red]A run now would send nothing.[/]")


def _show_approval(out: "Console", found: "Preview") -> None:
    """The plan's id, and how it is let out if it is kept back."""
    from reverse_etl_assets.cli.output import escape, moment
    from reverse_etl_assets.guards import to_decide

    if found.plan_id is None:
        if found.forecast:
            out.print("[dim]The plan has no id before the records are read.[/]")
        return
    out.print(f"Plan {found.plan_id}.")
    kept = found.waiting
    if kept and found.waits:
        out.print(f"[dim]Kept by run {escape(kept.run_id)} at {moment(kept.made_at)}.[/]")
    if kept and found.waits and kept.who is not None:
        out.print(f"[green]Approved by {escape(kept.who)}: {escape(kept.why or '')}[/]")
    elif found.plan.to_send and to_decide(found.findings):
        first = "" if found.waits else "A run keeps it and sends nothing. "
        out.print(f'{first}To send exactly this: reverse-etl approve {found.plan_id} --why "..." --run')
