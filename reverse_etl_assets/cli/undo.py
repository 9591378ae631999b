"""`reverse-etl undo`: put back what a run wrote."""

import getpass
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.errors import ENDED, exit_code
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.previews.undo import UndoPreview, UndoRow
    from reverse_etl_assets.runs.report import Report
    from reverse_etl_assets.spec.sync import Sync

_SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
_WAYS = {"added": "to be made again", "changed": "to be set back", "removed": "to be deleted"}
_SOURCES = {"destination": "what the record held just before the run", "synced": "our last write before the run"}
_LOST = "A record that is made again has a new id, and only the fields that the sync maps."


def undo(
    run: Annotated[str, typer.Argument(help="The run, by its id in the journal or how that begins.")],
    who: Annotated[str, typer.Option(default_factory=getpass.getuser, show_default="you", help="Who does it.")],
    why: Annotated[str, typer.Option(help="The reason, for the log and for whoever asks.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be put back; write nothing.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most rows that --dry-run lists; 0 lists all.")] = 20,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show personal data, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put back what a run wrote, where nobody has written since, and stop its sync. Exit code 1 if not all is back."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.runs.undo import run_meant

    if not why and not dry_run:
        raise typer.BadParameter("say why: whoever finds the sync stopped will ask.", param_hint="--why")
    deployed = Deployed()
    found = run_meant(deployed.project.journal, run)
    run, sync = found.run_id, deployed.sync(found.sync)
    if dry_run:
        _preview(deployed, sync, run, limit=limit, reveal=reveal, json=json)
    else:
        _undo(deployed, sync, run, who=who, why=why, json=json)


def _undo(deployed: "Deployed", sync: "Sync", run: str, *, who: str, why: str, json: bool) -> None:
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.cli.reports import problem, report_as_json, show_reports
    from reverse_etl_assets.cli.run import finish
    from reverse_etl_assets.runs.undo import is_whole, summary, undo_run

    account, environment = deployed.account(sync), deployed.project.environment
    ended: list[Report] = []
    try:
        report = undo_run(run, sync, environment, account, who=who, why=why, on_end=ended.append)
    except ENDED as error:
        with suppress(typer.Exit):
            finish(deployed, ended, {}, json=json)
        if ended:  # it says how far it came
            raise typer.Exit(exit_code(error)) from None
        raise
    sentences = summary(deployed.project.journal, report, account.type)
    if json:
        print_json({**report_as_json(report), "undoes": run, "said": sentences})
    else:
        show_reports(console(), deployed, [report])
        for sentence in sentences:
            say(sentence)
        if report.waits:
            say(f'To let it out: reverse-etl approve {report.plan_id} --why "...", then the same undo again.')
    if problem(report) or not is_whole(report):
        raise typer.Exit(1)


def _preview(deployed: "Deployed", sync: "Sync", run: str, *, limit: int, reveal: bool, json: bool) -> None:
    from reverse_etl_assets.cli.output import console, print_json
    from reverse_etl_assets.errors import ConfigurationError
    from reverse_etl_assets.previews.undo import preview_undo

    try:
        account = deployed.account(sync)
    except ConfigurationError:  # then nobody can look at the records
        account = deployed.account_without_credentials(sync)
    found = preview_undo(run, sync, deployed.project.environment, account, limit=limit or None)
    found = found if reveal else found.masked(deployed.project.mask(sync))
    if json:
        print_json(_as_json(found))
    else:
        _show(console(), found)


def _as_json(found: "UndoPreview") -> dict[str, Any]:
    return {
        "sync": found.sync.sync,
        "undoes": found.undone.run_id,
        "plan": found.plan_id,
        "goes_out": found.goes_out,
        "counts": found.plan.counts,
        "to_send": {operation.value: rows for operation, rows in sorted(found.plan.to_send.items())},
        "guards": [vars(finding) for finding in found.findings],
        "stopped": vars(found.stop) if found.stop else None,
        "unfinished_runs": list(found.unfinished),
        "rows": [_row_as_json(row) for row in found.rows],
        "refused": [_row_as_json(row) for row in found.refused],
        "left_alone": None if found.left is None else [vars(row) for row in found.left],
    }


def _row_as_json(row: "UndoRow") -> dict[str, Any]:
    known = {name: value for name, value in vars(row).items() if name != "waits_for"}  # an undo waits for nothing
    return {**known, "fields": {name: {"now": now, "then": then} for name, (now, then) in row.fields.items()}}


def _show(out: "Console", found: "UndoPreview") -> None:
    from reverse_etl_assets.cli.output import escape, moment
    from reverse_etl_assets.guards.finding import tripped

    sync, plan = found.sync, found.plan
    out.print(f"[bold]{sync.sync}[/]  undo of run {escape(found.undone.run_id)} of {moment(found.undone.started_at)}")
    counts = {"to set back": plan.changed, "to delete": plan.removed, "to make again": plan.added}
    refused = {"left alone": plan.unchanged, "not possible": plan.rejected}
    out.print("  ".join(f"{name} [bold]{rows:,}[/]" for name, rows in {**counts, **refused}.items()))
    for source, words in _SOURCES.items():
        if rows := plan.more.get(f"from_{source}"):
            out.print(f"[dim]{rows:,} rows get back {words}.[/]")
    if found.left:
        out.print(f"[yellow]{len(found.left):,} of them would stay as they are, for what their records hold now.[/]")
    if plan.added:
        out.print(f"[yellow]{_LOST}[/]")
    for run in found.unfinished:
        out.print(f"[yellow]Run {escape(run)} was killed; its answers are counted as if they were folded in.[/]")
    _show_rows(out, found)
    _show_not_sent(out, found)
    if found.stop:
        out.print(f"[red]Stopped ({found.stop.scope}) by {escape(found.stop.who)}: {escape(found.stop.why)}[/]")
    guarded = tripped(found.findings)
    for finding in guarded:
        out.print(f"[red]Guard {finding.guard}: {escape(finding.message)}[/]")
    if guarded and found.plan_id:
        out.print(f"[dim]plan {found.plan_id}[/]", soft_wrap=True)
    out.print("[green]All guards pass.[/]" if found.goes_out else "[red]An undo now would send nothing.[/]")


def _show_rows(out: "Console", found: "UndoPreview") -> None:
    from reverse_etl_assets.cli.output import indented, shown

    for row in found.rows:
        sign, colour = _SIGNS[row.kind]
        source = f", from {row.source}" if row.source else ""
        out.print(f"\n[{colour}]{sign}[/] [bold]{shown(row.key, 200)}[/]  [dim]{_WAYS[row.kind]}{source}[/]")
        if row.kind == "changed":
            lines = "\n".join(
                f"{shown(name)}: {shown(now)} -> {shown(then)}" for name, (now, then) in row.fields.items()
            )
        else:
            values = ((name, now if row.kind == "removed" else then) for name, (now, then) in row.fields.items())
            lines = ", ".join(f"{shown(name)}: {shown(value)}" for name, value in values)
        out.print(indented(lines, 4))
    total = sum(found.plan.to_send.values()) - len(found.left or ())
    if len(found.rows) < total:
        out.print(f"\n[dim]{len(found.rows):,} of {total:,} rows; --limit 0 lists all[/]")
    if found.rows:
        out.print()


def _show_not_sent(out: "Console", found: "UndoPreview") -> None:
    """Rows that a later run wrote or that cannot be put back, and those that somebody has edited at the destination."""
    from reverse_etl_assets.cli.output import shown, table

    refused = [(row.key, row.reason, row.message) for row in found.refused]
    left = [(row.key, row.reason, row.message) for row in found.left or ()]
    if refused or left:
        rows = table("key", "reason", "why it is left as it is", title="Not put back")
        for key, reason, message in (*refused, *left):
            rows.add_row(shown(key, 40), reason or "", shown(message, 200))
        out.print(rows)
    total = found.plan.unchanged + found.plan.rejected
    if len(refused) < total:
        out.print(
            f"[dim]{len(refused):,} of {total:,} rows are listed besides the edited ones; --limit 0 lists all[/]\n"
        )
    if found.left is None:
        out.print(f"[yellow]{found.sync.destination} cannot be read, so nobody knows who has edited a record since.[/]")
