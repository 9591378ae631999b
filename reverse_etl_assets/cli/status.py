"""`reverse-etl status`: what ran when and how it went, what is stopped, what waits, what was used today."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.selection import Exclude, Names, Select
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.journal import Journal
    from reverse_etl_assets.journal.records import Run, WaitingPlan
    from reverse_etl_assets.spec.sync import Sync
    from reverse_etl_assets.warehouses.connection import Connection

_STATE_WAIT = 2.0  # seconds


def status(
    syncs: Names = None,
    select: Select = None,
    exclude: Exclude = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show each sync's last run, what is stopped or waits for approval, the log of both, and what was used today."""
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.output import console, iso, print_json
    from reverse_etl_assets.cli.selection import select as selected
    from reverse_etl_assets.cli.status_tables import show_status

    deployed = Deployed()
    chosen = selected(deployed.project.syncs, syncs, select, exclude)
    of_all = len(chosen) == len(deployed.project.syncs)
    names, places = {sync.sync for sync in chosen}, {sync.destination for sync in chosen}
    journal = _journal(deployed)
    latest = {run.sync: run for run in journal.latest_runs()}
    usage = _usage(deployed)
    plans = [plan for plan in journal.waiting_plans() if of_all or plan.sync in names]
    found: dict[str, Any] = {
        "syncs": [_sync_status(deployed, sync, latest.get(sync.sync)) for sync in chosen],
        "stops": [{**vars(stop), "at": iso(stop.at)} for stop in journal.stops()],
        "holds": [{"account": name, "until": iso(until)} for name, until in journal.holds().items()],
        "files_that_stop_nothing": [str(path) for path in journal.signals.misnamed()],
        "waiting_plans": [plan_status(plan) for plan in plans],
        "kill_switch_log": [{**vars(entry), "at": iso(entry.at)} for entry in journal.control_log(10)],
        "usage_today": [used for used in usage if of_all or used["sync"] in names],
        "destinations": [
            _destination_status(deployed, name, usage) for name in deployed.destinations if of_all or name in places
        ],
    }
    if json:
        print_json(found)
    else:
        show_status(console(), found)


def _journal(deployed: "Deployed") -> "Journal":
    """Without it nothing is known of runs, but stops by file still hold, and whoever asks should know."""
    from reverse_etl_assets.errors import StateError

    try:
        return deployed.project.journal
    except StateError:
        for stop in deployed.project.stop_signals.all():
            say(f"stopped ({stop.scope}) by {stop.who} in {stop.given_in}: {stop.why}", err=True)
        raise


def _sync_status(deployed: "Deployed", sync: "Sync", run: "Run | None") -> dict[str, Any]:
    from reverse_etl_assets.cli.output import iso
    from reverse_etl_assets.cli.runs import detail

    stop = deployed.project.journal.stopped(sync.destination, sync.sync)
    return {
        "sync": sync.sync,
        "destination": sync.destination,
        "status": run.status.value if run else None,
        "kind": run.kind.value if run else None,
        "trial": run.trial if run else None,
        "run": run.run_id if run else None,
        "started_at": iso(run.started_at) if run else None,
        "counts": dict(run.counts) if run else {},
        "detail": detail(deployed, run) if run else None,
        "stopped": {**vars(stop), "at": iso(stop.at)} if stop else None,
        **_of_state(deployed, sync),
    }


def _of_state(deployed: "Deployed", sync: "Sync") -> dict[str, Any]:
    """What the sync's state says; nothing while it is written to, for nobody waits for that here."""
    from reverse_etl_assets.errors import FileLocked, StateError
    from reverse_etl_assets.state import held_rows

    found: dict[str, Any] = {"held": None, "next_full_compare": None, "versions": [], "state_problem": None}
    try:
        with replace(deployed.project.warehouse, lock_wait=_STATE_WAIT).open(sync.sync) as con:
            found["held"] = held_rows.count(con)
            found["next_full_compare"] = _next_full_compare(con, sync)
            found["versions"] = _versions(con, sync)
    except FileLocked:
        pass
    except StateError as error:
        found["state_problem"] = str(error)
    return found


def _next_full_compare(con: "Connection", sync: "Sync") -> str | None:
    """When every row is compared again, if a run does not always do so."""
    from reverse_etl_assets.state.facts import read_facts

    how = sync.change_detection
    if how.last_modified_at is None:
        return None
    compared = read_facts(con).full_compared_at
    if compared is None:
        return None
    return (datetime.fromtimestamp(compared, UTC) + how.full_compare_every).isoformat()


def _versions(con: "Connection", sync: "Sync") -> list[dict[str, Any]]:
    """Those that were begun, and what each left of the one before; nothing for a sync that never had another."""
    from reverse_etl_assets.cli.output import iso
    from reverse_etl_assets.state.versions import history

    if sync.version == 1 and sync.cutover is None:
        return []
    known = history(con)
    return [
        {
            "version": version.number,
            "cutover": version.cutover,
            "began_at": iso(version.began_at.replace(tzinfo=UTC).timestamp()),
            "leaves": before.number if before else None,
            "set_aside": version.set_aside,
            "adopted": version.adopted,
        }
        for before, version in zip([None, *known], known, strict=False)
    ]


def plan_status(plan: "WaitingPlan") -> dict[str, Any]:
    from reverse_etl_assets.cli.output import iso

    return {
        "plan": plan.plan_id,
        "sync": plan.sync,
        "status": plan.status.value,
        "made_at": iso(plan.made_at),
        "run": plan.run_id,
        "findings": [finding.message for finding in plan.findings],
        "approved_by": plan.who,
        "approved_at": iso(plan.decided_at),
        "why": plan.why,
    }


def _usage(deployed: "Deployed") -> list[dict[str, Any]]:
    """What each sync used today and what that cost; also of those whose seats cost without a run."""
    from reverse_etl_assets.journal.records import Usage
    from reverse_etl_assets.spec.policies import Cost

    syncs = deployed.project.syncs
    used = deployed.project.journal.usage(days=1)
    idle = {name for name, sync in syncs.items() if sync.cost.seats_a_day} - {each.sync for each in used}
    today = datetime.now(UTC).date().isoformat()
    used += [Usage(today, syncs[name].destination, name, 0, 0, 0) for name in sorted(idle)]

    def cost(each: Usage) -> float:
        prices = syncs[each.sync].cost if each.sync in syncs else Cost()
        return prices.price(calls=each.calls, rows=each.rows) + prices.seats_a_day

    return [{**vars(each), "cost": cost(each)} for each in used]


def _destination_status(deployed: "Deployed", name: str, usage: list[dict[str, Any]]) -> dict[str, Any]:
    """What all syncs took of the account today, what they may take, and what the vendor itself counts."""
    from reverse_etl_assets.accounts.budget import spent
    from reverse_etl_assets.cli.output import iso
    from reverse_etl_assets.journal.usage import Allowance

    journal, budget = deployed.project.journal, deployed.destinations[name].budget(name)
    room = journal.room(name, Allowance(budget.calls, budget.leave))
    mine = [used for used in usage if used["destination"] == name]
    vendor = room.vendor
    return {
        "destination": name,
        "calls": room.calls,
        "budget": budget.calls,
        "calls_left": room.left,
        "vendor_used": vendor.used if vendor else None,
        "vendor_limit": vendor.limit if vendor else None,
        "vendor_counted_at": iso(vendor.at) if vendor else None,
        "left_for_others_percent": budget.leave,
        "spent": spent(journal, name, budget),
        "rows": sum(used["rows"] for used in mine),
        "bytes": sum(used["bytes"] for used in mine),
        "cost": sum(used["cost"] for used in mine),
    }
