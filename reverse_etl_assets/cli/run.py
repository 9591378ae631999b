"""`reverse-etl run`: run syncs here and now, without Dagster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from reverse_etl_assets.cli.errors import ENDED, exit_code
from reverse_etl_assets.cli.selection import Exclude, Names, Select
from reverse_etl_assets.cli.terminal import say

if TYPE_CHECKING:
    from reverse_etl_assets.cli.deployed import Deployed
    from reverse_etl_assets.plan.change_set import Plan
    from reverse_etl_assets.plan.trial import Trial
    from reverse_etl_assets.runs.report import Report
    from reverse_etl_assets.runs.sending import Progress
    from reverse_etl_assets.spec.sync import Sync


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
    from reverse_etl_assets.cli.reports import NOT_RUN
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
    from reverse_etl_assets.cli.reports import problem, report_as_json, show_reports

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
    """Show the run in Dagster too, if this machine has an instance. It has ended, so no failure here matters."""
    if not deployed.has_dagster:
        return
    import dagster as dg

    from reverse_etl_assets.orchestration.elsewhere import show_run
    from reverse_etl_assets.orchestration.loaded import loaded_as

    loaded = loaded_as(deployed.project, deployed.destinations).syncs[report.sync.sync]
    try:
        with dg.DagsterInstance.get() as instance:
            show_run(instance, loaded, deployed.project, report)
    except Exception as error:
        say(f"Dagster was not told of the run: {type(error).__name__}", err=True)
