"""What `reverse-etl status` found, on the terminal."""

from typing import Any

from rich.console import Console

from reverse_etl_assets.cli.output import ago, coloured, escape, number, short_id, show_table, table

_COUNTS = ("created", "updated", "deleted", "skipped", "failed")


def show_status(out: Console, found: dict[str, Any]) -> None:
    for stop in found["stops"]:
        given = f" in {stop['given_in']}" if stop["given_in"] else ""
        text = (
            f"stopped ({stop['scope']}) by {stop['who']}{given} at {stop['at'][:16].replace('T', ' ')}: {stop['why']}"
        )
        out.print(f"[red]{escape(text)}[/]")
    for hold in found["holds"]:
        until, account = hold["until"][:19].replace("T", " "), hold["account"]
        out.print(f"[yellow]{escape(account)} asked to be left alone until {until} UTC[/]")
        out.print(f"[dim]reverse-etl resume --destination {escape(account.partition('/')[0])}[/]", soft_wrap=True)
    for path in found["files_that_stop_nothing"]:
        out.print(f"[yellow]{escape(path)} stops nothing: name it STOP, STOP.destination.NAME or STOP.sync.NAME[/]")
    _show_syncs(out, found["syncs"])
    for plan in found["waiting_plans"]:
        decided = f"approved by {plan['approved_by']}" if plan["approved_by"] else "waits for approval"
        text = f"{plan['sync']}: plan {plan['plan']} {decided}: {'; '.join(plan['findings'])}"
        out.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)
        out.print(f"[dim]reverse-etl plan {plan['sync']} --show waiting[/]", soft_wrap=True)
    _show_log(out, found["kill_switch_log"])
    _show_usage(out, found["usage_today"], found["destinations"])


def _show_syncs(out: Console, syncs: list[dict[str, Any]]) -> None:
    rows = table("sync", "ran ago", "status", *_COUNTS, "run", right=_COUNTS, whole=("sync", "run"))
    for sync in syncs:
        at = ago(sync["started_at"]) if sync["started_at"] else "never"
        what = "trial" if sync["trial"] is not None else sync["kind"]
        kind = "" if what in (None, "sync") else f" ({what})"
        counts = (number(sync["counts"].get(name)) for name in _COUNTS)
        run = escape(short_id(sync["run"])) if sync["run"] else ""
        rows.add_row(sync["sync"], at, coloured(sync["status"] or "") + kind, *counts, run)
    show_table(out, rows)
    for sync in syncs:
        if sync["stopped"]:
            out.print(f"[red]{sync['sync']}: stopped ({escape(sync['stopped']['scope'])})[/]")
        if sync["detail"]:
            out.print(f"[yellow]{sync['sync']}: {escape(sync['detail'])}[/]")
        if sync["state_problem"]:
            out.print(f"[red]{sync['sync']}: {escape(sync['state_problem'])}[/]")
        if sync["held"]:
            are = "row is" if sync["held"] == 1 else "rows are"
            out.print(
                f"[yellow]{sync['sync']}: {sync['held']:,} {are} held, for nobody knows if the last send arrived[/]"
            )
            out.print(f"[dim]reverse-etl release --sync {sync['sync']}[/]", soft_wrap=True)
        for version in sync["versions"]:
            if version["set_aside"]:
                left = (
                    f"rows written by version {version['leaves']} and not followed any more: {version['set_aside']:,}"
                )
                out.print(f"[dim]{sync['sync']}: {left}, since {version['began_at'][:16].replace('T', ' ')}[/]")
        if sync["next_full_compare"]:
            out.print(f"[dim]{sync['sync']}: next full compare at {sync['next_full_compare'][:19]} UTC[/]")


def _show_log(out: Console, log: list[dict[str, Any]]) -> None:
    if not log:
        return
    rows = table("decided", "scope", "who", "when (UTC)", "why", whole=("decided", "scope"))
    for entry in log:
        at = entry["at"][:16].replace("T", " ")
        rows.add_row(
            entry["action"], *(escape(entry[name] or "") for name in ("scope", "who")), at, escape(entry["why"])
        )
    show_table(out, rows)


def _show_usage(out: Console, usage: list[dict[str, Any]], destinations: list[dict[str, Any]]) -> None:
    costs = ("cost",) if any(used["cost"] for used in usage) else ()
    if usage:
        figures = ("calls", "rows", "bytes")
        whose = ("used today", "destination")
        rows = table(*whose, *figures, *costs, right=(*figures, *costs), whole=whose)
        for used in usage:
            priced = [f"{used['cost']:,.2f}" for _ in costs]
            rows.add_row(used["sync"], used["destination"], *(number(used[name]) for name in figures), *priced)
        show_table(out, rows)
    accounts = [each for each in destinations if each["calls"] or each["budget"] or each["vendor_limit"]]
    if accounts:
        columns = ("calls today", "budget", "vendor's count", "of", "rows", "bytes", *costs)
        rows = table("account", *columns, right=columns, whole=("account",))
        for each in accounts:
            names = ("calls", "budget", "vendor_used", "vendor_limit", "rows", "bytes")
            rows.add_row(
                each["destination"], *(number(each[name]) for name in names), *(f"{each['cost']:,.2f}" for _ in costs)
            )
        show_table(out, rows)
    for each in destinations:
        if each["spent"]:
            out.print(f"[yellow]{escape(each['spent'])}[/]")
