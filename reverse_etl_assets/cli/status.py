"""`reverse-etl status`: what ran when, how it went, what is stopped, what was used today."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.journal_records import Run
    from reverse_etl_assets.spec import Sync

_COUNTS = ("created", "updated", "deleted", "skipped", "failed")


def status(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each sync's last run, the kill switch and its log, and what was used today."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, iso, print_json

    deployed = Deployed()
    journal = deployed.project.journal
    latest = {run.sync: run for run in journal.latest_runs()}
    syncs = [_sync_status(deployed, sync, latest.get(name)) for name, sync in deployed.project.syncs.items()]
    log = [{**vars(entry), "at": iso(entry.at)} for entry in journal.control_log(10)]
    usage = [vars(used) for used in journal.usage(days=1)]
    if json:
        print_json({"syncs": syncs, "kill_switch_log": log, "usage_today": usage})
    else:
        _show(console(), syncs, log, usage)


def _sync_status(deployed: "Deployed", sync: "Sync", run: "Run | None") -> dict[str, Any]:
    from reverse_etl_assets.cli.output import iso

    stop = deployed.project.journal.stopped(sync.destination, sync.sync)
    return {
        "sync": sync.sync,
        "destination": sync.destination,
        "status": run.status.value if run else None,
        "run": run.run_id if run else None,
        "started_at": iso(run.started_at) if run else None,
        "counts": dict(run.counts) if run else {},
        "detail": run.detail if run else None,
        "stopped": {**vars(stop), "at": iso(stop.at)} if stop else None,
        "next_full_compare": _next_full_compare(deployed, sync),
    }


def _next_full_compare(deployed: "Deployed", sync: "Sync") -> str | None:
    """When every row is compared again, if a run does not always do so."""
    from reverse_etl_assets import ledger

    how = sync.change_detection
    if how.last_modified_at is None:
        return None
    with deployed.project.warehouse.open(sync.sync) as con:
        compared = ledger.read_facts(con).get("full_compared_at")
    if compared is None:
        return None
    return (datetime.fromtimestamp(float(compared), UTC) + how.full_compare_every).isoformat()


def _show(out: "Console", syncs: list[dict[str, Any]], log: list[dict[str, Any]], usage: list[dict[str, Any]]) -> None:
    from reverse_etl_assets.cli.output import ago, coloured, escape, number, table

    rows = table("sync", "last run", "status", *_COUNTS, right=_COUNTS)
    for sync in syncs:
        at = ago(sync["started_at"]) if sync["started_at"] else "never"
        rows.add_row(
            sync["sync"], at, coloured(sync["status"] or ""), *(number(sync["counts"].get(name)) for name in _COUNTS)
        )
    out.print(rows)
    for sync in syncs:
        if sync["stopped"]:
            stop = sync["stopped"]
            out.print(
                f"[red]{sync['sync']}: stopped ({stop['scope']}) by {escape(stop['who'])}: {escape(stop['why'])}[/]"
            )
        if sync["detail"]:
            out.print(f"[yellow]{sync['sync']}: {escape(sync['detail'])}[/]")
        if sync["next_full_compare"]:
            out.print(f"[dim]{sync['sync']}: next full compare at {sync['next_full_compare'][:19]} UTC[/]")
    _show_log(out, log)
    _show_usage(out, usage)


def _show_log(out: "Console", log: list[dict[str, Any]]) -> None:
    from reverse_etl_assets.cli.output import escape, table

    if not log:
        return
    rows = table("kill switch", "scope", "who", "when (UTC)", "why")
    for entry in log:
        at = entry["at"][:16].replace("T", " ")
        rows.add_row(
            entry["action"], *(escape(entry[name] or "") for name in ("scope", "who")), at, escape(entry["why"])
        )
    out.print(rows)


def _show_usage(out: "Console", usage: list[dict[str, Any]]) -> None:
    from reverse_etl_assets.cli.output import number, table

    if not usage:
        return
    rows = table("used today", "destination", "calls", "rows", "bytes", right=("calls", "rows", "bytes"))
    for used in usage:
        rows.add_row(used["sync"], used["destination"], *(number(used[name]) for name in ("calls", "rows", "bytes")))
    out.print(rows)
