"""`reverse-etl runs`: earlier runs, for whoever wants to know when something went out, or to undo it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.completion import sync_names

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.journal.records import Run

_COUNTS = ("created", "updated", "deleted", "skipped", "failed")


def runs(
    sync: Annotated[str | None, typer.Argument(help="Only this sync.", autocompletion=sync_names)] = None,
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
        print_json({"runs": [_as_json(deployed, run) for run in found]})
    else:
        _show(console(), deployed, found)
    if not found:
        raise typer.Exit(1)


def detail(deployed: "Deployed", run: "Run") -> str | None:
    """What a run says of its end; of one that has none, what is known of it."""
    if run.status != "open":
        return run.detail
    from reverse_etl_assets.errors import StateError
    from reverse_etl_assets.runs.recovery import job_is_open
    from reverse_etl_assets.state.lock import is_held

    journal, out, answered = deployed.project.journal, set[int](), set[int]()
    for batch in journal.batches(run.run_id):
        out.update(batch.rows)
        answered.update(batch.rows if batch.answered_at is not None else ())
    silent = len(out) - len(answered)
    rows = f"{len(out):,} rows have gone out" + (f", {silent:,} of them without an answer" if silent else "")
    try:
        if is_held(run.sync, deployed.project.warehouse):
            return f"it goes on just now; {rows}"
    except StateError:
        return f"it goes on, or its process was killed; {rows}"
    if job_is_open(journal, run.run_id):
        return f"its job is at the destination; {rows}; the next run folds the results in"
    what = f"{rows}; the next run first folds in what is known of them" if out else "nothing has gone out"
    return f"no process of this machine works on it any more; {what}"


def _as_json(deployed: "Deployed", run: "Run") -> dict[str, Any]:
    from reverse_etl_assets.cli.output import iso

    known = {"started_at": iso(run.started_at), "ended_at": iso(run.ended_at), "detail": detail(deployed, run)}
    return {**vars(run), **known}


def _show(out: "Console", deployed: "Deployed", found: "list[Run]") -> None:
    from reverse_etl_assets.cli.output import coloured, escape, moment

    for run in found:
        kind = (
            " (trial)"
            if run.trial is not None
            else ""
            if run.kind == "sync"
            else f" ({run.kind}{f' of run {run.undoes}' if run.undoes else ''})"
        )
        out.print(f"[bold]{escape(run.run_id)}[/]  {escape(run.sync)}  {coloured(run.status.value)}{escape(kind)}")
        counts = ", ".join(f"{run.counts[name]:,} {name}" for name in _COUNTS if run.counts.get(name))
        counts = counts or ("not at its end" if run.status == "open" else "nothing was sent")
        out.print(f"  [dim]{moment(run.started_at)}[/]  {counts}", soft_wrap=True)
        if message := detail(deployed, run):
            out.print(f"  [yellow]{escape(message)}[/]", soft_wrap=True)
    if not found:
        out.print("There is no run in the journal.")
