"""What became of runs, as the commands print it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from reverse_etl_assets.cli.deployed import Deployed
from reverse_etl_assets.cli.output import coloured, escape, indented, number, show_table, shown, table
from reverse_etl_assets.cli.verify import show_differences, verified_as_json
from reverse_etl_assets.guards.finding import tripped
from reverse_etl_assets.journal.records import RunKind, RunStatus
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.state import outcomes

NOT_RUN = "not run"
_OUTCOMES = ("created", "updated", "deleted", "skipped", "failed")


def problem(report: Report) -> str | None:
    """What is wrong with a run as a whole, if anything is."""
    if report.pending:
        return None
    if report.status is not RunStatus.DONE:
        return report.detail or report.status.value
    if report.too_many_failed:
        return f"{report.counts['failed']:,} of {report.change_set:,} rows failed, more than max_failed allows"
    if report.verified and report.verified.wrong:
        return f"not every row arrived as it was sent. {report.verified}"
    return None


def _word(report: Report) -> str:
    """How the run is called in the table."""
    waits = [finding.guard for finding in tripped(report.findings)] == ["parents"]
    return NOT_RUN if waits else report.status.value


def report_as_json(report: Report) -> dict[str, Any]:
    return {
        "sync": report.sync.sync,
        "run": report.run_id,
        "status": report.status.value,
        "plan": report.plan_id,
        "waits": report.waits,
        "trial": report.trial,
        "problem": problem(report),
        "counts": dict(report.counts),
        "guards": [vars(finding) for finding in report.findings],
        "calls": report.calls,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "waited_seconds": round(report.waited, 3),
        "cost": report.cost,
        "recovered_runs": list(report.recovered),
        "given_up": report.given_up or None,
        "verified": verified_as_json(report.verified) if report.verified else None,
        "cutover": vars(report.begun) if report.begun else None,
    }


def show_reports(
    out: Console, deployed: Deployed, reports: Sequence[Report], errors: Mapping[str, str] | None = None
) -> None:
    numbers = (*_OUTCOMES, "calls", "s")
    rows = table("sync", "status", *numbers, right=numbers, whole=("sync",))
    for report in reports:
        counts = [number(report.counts.get(name)) for name in _OUTCOMES]
        figures = (*counts, number(report.calls), f"{report.seconds:.1f}")
        rows.add_row(report.sync.sync, coloured(_word(report)), *figures)
    for name, message in (errors or {}).items():
        word = NOT_RUN if message.startswith(f"{NOT_RUN}: ") else "error"
        rows.add_row(name, coloured(word), *("" for _ in numbers))
    show_table(out, rows)
    for report in reports:
        for run_id in report.recovered:
            out.print(
                f"[yellow]{report.sync.sync}: folded in the answers of run {run_id}, which had no end.[/]",
                soft_wrap=True,
            )
        if report.given_up:
            out.print(f"[red]{report.sync.sync}: {escape(report.given_up)}[/]")
        if report.pending:
            out.print(f"[yellow]{report.sync.sync}: {escape(report.detail or '')}[/]")
        if report.trial is not None and report.status is not RunStatus.GUARDED:
            rest = "the others are as they were, and the next run sends them"
            out.print(f"[yellow]{report.sync.sync}: a trial of {_rows(report.trial)}; {rest}.[/]")
        if report.begun:
            out.print(f"[yellow]{report.sync.sync}: {report.begun}[/]")
        if why := problem(report):
            out.print(f"[red]{report.sync.sync}: {escape(why)}[/]")
        if same := report.counts.get("possible_duplicates"):
            words = f"{same:,} row{'s' * (same != 1)} share a record with another row, or a key that several carry"
            out.print(f"[yellow]{report.sync.sync}: {words}; `reverse-etl why KEY` names the others.[/]")
        if report.waits and report.kind is RunKind.SYNC:
            out.print(f"Look at it: reverse-etl plan {report.sync.sync} --show {report.plan_id}", soft_wrap=True)
            out.print(f'Send it:    reverse-etl approve {report.plan_id} --why "..." --run', soft_wrap=True)
        if report.written and report.kind is RunKind.SYNC:
            out.print(f"[dim]{report.sync.sync}: run {escape(report.run_id)}[/]", soft_wrap=True)
            out.print("[dim]`reverse-etl undo RUN --dry-run` shows what taking it back would do[/]")
        show_reasons(out, deployed, report)
        show_verified(out, report)
    for name, message in (errors or {}).items():
        named = message if message.startswith(f"{name}: ") else f"{name}: {message}"
        out.print(f"[red]{escape(named)}[/]")


def _rows(number: int) -> str:
    return f"{number:,} row{'s' * (number != 1)}"


def show_verified(out: Console, report: Report) -> None:
    """What reading back found, if it is not as it should be."""
    found = report.verified if report.status is RunStatus.DONE else None
    if found and (found.duplicates or found.not_judged) and not found.wrong:
        out.print(f"[yellow]{report.sync.sync}: read back: {escape(str(found))}[/]")
    if found:
        show_differences(out, found)


def show_reasons(out: Console, deployed: Deployed, report: Report) -> None:
    """Why rows failed or were skipped, a line for each reason."""
    if not report.counts.get("failed") and not report.counts.get("skipped"):
        return
    with deployed.project.warehouse.open(report.sync.sync) as con:
        mask = deployed.project.mask(report.sync)
        groups = [group.masked(mask) for group in outcomes.error_groups(con, report.run_id)]
    for group in groups:
        words = " ".join(filter(None, (group.code, group.message)))
        example = f"  [dim]e.g. {shown(group.example, 40)}[/]" if group.example else ""
        reason = f"{group.rows:,} {coloured(group.status)} {group.reason}: {shown(words, 120)}{example}"
        out.print(indented(f"{report.sync.sync}: {reason}", 2))
