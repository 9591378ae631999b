"""`reverse-etl runs`: earlier runs, for whoever wants to know when something went out, or to undo it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.journal.records import Run

_COUNTS = ("created", "updated", "deleted", "skipped", "failed")


def runs(
    sync: Annotated[str | None, typer.Argument(help="Only this sync.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most runs that are listed.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List earlier runs, the latest first, with their ids. Exit code 1 if there are none."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, print_json

    deployed = Deployed()
    journal = deployed.project.journal
    found = journal.history(deployed.sync(sync).sync if sync else None, limit)
    if json:
        print_json({"runs": [_as_json(run) for run in found]})
    else:
        _show(console(), found)
    if not found:
        raise typer.Exit(1)


def _as_json(run: "Run") -> dict[str, Any]:
    from reverse_etl_assets.cli.output import iso

    return {**vars(run), "started_at": iso(run.started_at), "ended_at": iso(run.ended_at)}


def _show(out: "Console", found: "list[Run]") -> None:
    from reverse_etl_assets.cli.output import coloured, escape, moment

    for run in found:
        kind = "" if run.kind == "sync" else f" ({run.kind}{f' of run {run.undoes}' if run.undoes else ''})"
        out.print(f"[bold]{escape(run.run_id)}[/]  {escape(run.sync)}  {coloured(run.status.value)}{escape(kind)}")
        counts = ", ".join(f"{run.counts[name]:,} {name}" for name in _COUNTS if run.counts.get(name))
        if run.status == "open":
            counts = "its answers are not home yet: the next run brings them"
        out.print(f"  [dim]{moment(run.started_at)}[/]  {counts or 'nothing was sent'}", soft_wrap=True)
        if run.detail:
            out.print(f"  [yellow]{escape(run.detail)}[/]", soft_wrap=True)
    if not found:
        out.print("There is no run in the journal.")
