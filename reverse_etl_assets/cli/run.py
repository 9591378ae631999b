"""`reverse-etl run`: run syncs here and now, without Dagster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reverse_etl_assets.cli.errors import ENDED, exit_code
from reverse_etl_assets.cli.selection import Exclude, Names, Select
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.plan.change_set import Plan
    from reverse_etl_assets.plan.trial import Trial
    from reverse_etl_assets.runs.report import Report
    from reverse_etl_assets.runs.sending import Progress
    from reverse_etl_assets.spec.sync import Sync

NOT_RUN = "not run"
_OUTCOMES = ("created", "updated", "deleted", "skipped", "failed")


def run(
    syncs: Names = None,
    select: Select = None,
    exclude: Exclude = None,
    all_: Annotated[bool, typer.Option("--all", help="Run every sync.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Try a row: send it alone. May be given several times.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Try the first so many rows, by their keys.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run syncs, one after the other, parents before children. Exit code 1 if one sent nothing, broke off, or too many
    of its rows failed.

    With --only or --limit it is a trial: the guards judge the whole plan, a few of its rows go out, and the next run
    sends the rest. It counts for no sync that comes after.
    """
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.cli.selection import select as selected

    if bool(syncs or select) == all_:
        raise typer.BadParameter("name syncs, or give --all.", param_hint="SYNC")
    deployed = Deployed()
    chosen = selected(deployed.project.syncs, syncs, select, exclude)
    trial = trial_of(chosen, only, limit)
    reports: list[Report] = []
    errors: dict[str, str] = {}
    begun: list[Sync] = []
    try:
        for sync in chosen:
            begun.append(sync)
            if failed := [parent for parent in sync.parents if parent in errors]:
                errors[sync.sync] = f"{NOT_RUN}: it comes after {', '.join(failed)}, which did not run"
            else:
                run_one(deployed, sync, reports, errors, trial=trial)
    except ENDED as ended:
        _tell_interrupted(deployed, chosen, begun, reports, errors)
        with suppress(typer.Exit):
            finish(deployed, reports, errors, json=json)
        raise typer.Exit(exit_code(ended)) from None
    finish(deployed, reports, errors, json=json)


def trial_of(
    chosen: "Sequence[Sync]", only: "Sequence[str] | None", first: int | None, *, option: str = "--limit"
) -> "Trial | None":
    """What is to be tried; keys are those of one sync."""
    from reverse_etl_assets.plan.trial import Trial

    if only and first:
        raise typer.BadParameter(f"give --only or {option}, not both.", param_hint="--only")
    if only and len(chosen) > 1:
        raise typer.BadParameter("a key is a row of one sync; name that one alone.", param_hint="--only")
    return Trial(tuple(only or ()), first) if only or first else None


def _tell_interrupted(
    deployed: "Deployed",
    chosen: "Sequence[Sync]",
    begun: "Sequence[Sync]",
    reports: "Sequence[Report]",
    errors: dict[str, str],
) -> None:
    """Of the sync that was interrupted, if its report does not say it, and of those that were still to come."""
    from reverse_etl_assets.errors import StateError

    name = begun[-1].sync
    if not any(report.sync.sync == name for report in reports):
        errors[name] = "interrupted before anything was sent"
        with suppress(StateError):
            if deployed.project.journal.open_runs(name):
                errors[name] = "interrupted; the next run first folds in what the destination has said"
    errors.update({sync.sync: "not begun" for sync in chosen[len(begun) :]})


def finish(deployed: "Deployed", reports: "Sequence[Report]", errors: Mapping[str, str], *, json: bool) -> None:
    """Print what became of the runs, and end with their exit code."""
    from reverse_etl_assets.cli.output import console, print_json

    if json:
        print_json({"runs": [report_as_json(report) for report in reports], "errors": errors})
    else:
        show_reports(console(), deployed, reports, errors)
    if errors or any(problem(report) for report in reports):
        raise typer.Exit(1)


def run_one(
    deployed: "Deployed",
    sync: "Sync",
    reports: "list[Report]",
    errors: dict[str, str],
    *,
    plan_id: str | None = None,
    trial: "Trial | None" = None,
) -> None:
    """An error of one sync is no reason to leave the others."""
    from reverse_etl_assets.errors import ReverseEtlError
    from reverse_etl_assets.runs.run import run_sync

    ended: list[Report] = []
    try:
        with _progress(sync.sync) as on_progress:
            account = deployed.account(sync)
            deployed.ask_dagster(sync)
            environment = deployed.project.environment
            report = run_sync(
                sync,
                environment,
                account,
                plan_id=plan_id,
                trial=trial,
                on_progress=on_progress,
                on_end=ended.append,
            )
    except BaseException as error:
        for report in ended:  # it says itself what became of it
            reports.append(report)
            _tell_dagster(deployed, report)
        if not isinstance(error, ReverseEtlError):
            raise
        if not ended:
            errors[sync.sync] = deployed.project.mask(sync).text(str(error))
        return
    reports.append(report)
    _tell_dagster(deployed, report)


def problem(report: "Report") -> str | None:
    """What is wrong with a run as a whole, if anything is."""
    from reverse_etl_assets.journal.records import RunStatus

    if report.pending:
        return None
    if report.status is not RunStatus.DONE:
        return report.detail or report.status.value
    if report.too_many_failed:
        return f"{report.counts['failed']:,} of {report.change_set:,} rows failed, more than max_failed allows"
    if report.verified and report.verified.wrong:
        return f"not every row arrived as it was sent. {report.verified}"
    return None


def _word(report: "Report") -> str:
    """How the run is called in the table."""
    from reverse_etl_assets.guards.finding import tripped

    waits = [finding.guard for finding in tripped(report.findings)] == ["parents"]
    return NOT_RUN if waits else report.status.value


def report_as_json(report: "Report") -> dict[str, Any]:
    from reverse_etl_assets.cli.verify import verified_as_json

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
    out: "Console", deployed: "Deployed", reports: "Sequence[Report]", errors: Mapping[str, str] | None = None
) -> None:
    from reverse_etl_assets.cli.output import coloured, escape, number, show_table, table
    from reverse_etl_assets.journal.records import RunKind, RunStatus

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
        out.print(f"[red]{name}: {escape(message)}[/]")


def _rows(number: int) -> str:
    return f"{number:,} row{'s' * (number != 1)}"


def show_verified(out: "Console", report: "Report") -> None:
    """What reading back found, if it is not as it should be."""
    from reverse_etl_assets.cli.output import escape
    from reverse_etl_assets.cli.verify import show_differences
    from reverse_etl_assets.journal.records import RunStatus

    found = report.verified if report.status is RunStatus.DONE else None
    if found and (found.duplicates or found.not_judged) and not found.wrong:
        out.print(f"[yellow]{report.sync.sync}: read back: {escape(str(found))}[/]")
    if found:
        show_differences(out, found)


def show_reasons(out: "Console", deployed: "Deployed", report: "Report") -> None:
    """Why rows failed or were skipped, a line for each reason."""
    from rich.padding import Padding

    from reverse_etl_assets.cli.output import coloured, shown
    from reverse_etl_assets.state import outcomes

    if not report.counts.get("failed") and not report.counts.get("skipped"):
        return
    with deployed.project.warehouse.open(report.sync.sync) as con:
        mask = deployed.project.mask(report.sync)
        groups = [group.masked(mask) for group in outcomes.error_groups(con, report.run_id)]
    for group in groups:
        words = " ".join(filter(None, (group.code, group.message)))
        example = f"  [dim]e.g. {shown(group.example, 40)}[/]" if group.example else ""
        reason = f"{group.rows:,} {coloured(group.status)} {group.reason}: {shown(words, 120)}{example}"
        out.print(Padding(f"{report.sync.sync}: {reason}", (0, 0, 0, 2)))


@contextmanager
def _progress(name: str) -> "Iterator[Progress]":
    """A bar on the terminal: rows settled of rows to send, by status. Nothing where nobody looks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from reverse_etl_assets.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
    with Progress(
        *columns, console=console(err=True), transient=True, disable=not console(err=True).is_terminal
    ) as bar:
        task = bar.add_task(name, total=None, words="planning")

        def on_progress(plan: "Plan", statuses: Mapping[str, int]) -> None:
            words = ", ".join(f"{rows:,} {status}" for status, rows in sorted(statuses.items()))
            bar.update(task, total=sum(plan.to_send.values()), completed=sum(statuses.values()), words=words)

        yield on_progress


def _tell_dagster(deployed: "Deployed", report: "Report") -> None:
    """Show the run in Dagster too, if this machine has an instance. It has gone out, so no failure here matters."""

    from reverse_etl_assets.journal.records import RunStatus

    if not deployed.has_dagster or report.status in (RunStatus.GUARDED, RunStatus.OPEN):
        return
    import dagster as dg

    from reverse_etl_assets.orchestration.loaded import loaded_as
    from reverse_etl_assets.orchestration.metadata import run_event, run_metadata

    key = loaded_as(deployed.project, deployed.destinations).syncs[report.sync.sync].key
    event = run_event(report, key, run_metadata(report, deployed.project))
    try:
        with dg.DagsterInstance.get() as instance:
            instance.report_runless_asset_event(event)
    except Exception as error:
        say(f"Dagster was not told of the run: {type(error).__name__}", err=True)
