"""A sync as an asset: a thin skin over `run_sync`, which knows nothing of Dagster."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from reverse_etl_assets.errors import ReverseEtlError, StateError, SyncBusy
from reverse_etl_assets.guards.finding import tripped
from reverse_etl_assets.journal.records import PlanStatus, RunStatus
from reverse_etl_assets.orchestration import metadata
from reverse_etl_assets.orchestration.checks import as_before, broke_off, check_results, check_specs
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import LoadedSync
from reverse_etl_assets.orchestration.retrying import obeyed_by_run_retries
from reverse_etl_assets.orchestration.run_tags import RunTags
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.previews.kept_plan import find_plan
from reverse_etl_assets.project import Project
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.run import OnEnd, run_sync
from reverse_etl_assets.spec.sync import Sync

_PROGRESS_EVERY = 15.0  # seconds between lines in the log
_MESSAGE = 4_000  # bytes of an error's text; vendors' own words may be in it

Results = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult | dg.AssetObservation]


class SyncConfig(dg.Config):
    """A run needs none of it. With `approve` it sends exactly that plan, or nothing."""

    approve: str = Field("", description="Id of a plan that waits: approve it, and send exactly it.")
    why: str = Field("", description="Why it is approved; for the log, and for whoever asks.")
    who: str = Field("", description="Your name. Left out: the Dagster run.")


def build_sync_asset(loaded: LoadedSync, project: Project, run_tags: RunTags) -> dg.AssetsDefinition:
    """One asset a sync. The asset and each of its checks can be selected alone; checks alone send nothing.

    Its function is not async: Dagster ends an async one without running its `finally`, and the answers in flight
    would be lost. It does not ask Dagster for its destination either: Dagster reads all variables of a run at its
    start, so one that is missing would fail the syncs of every destination, with an error that names none.
    """

    @dg.multi_asset(
        name=loaded.key.to_python_identifier(),
        specs=[loaded.spec],
        check_specs=check_specs(loaded.key),
        can_subset=True,
        pool=loaded.sync.destination,
    )
    def run(context: dg.AssetExecutionContext, config: SyncConfig) -> Results:
        with obeyed_by_run_retries(context):
            if context.selected_asset_keys:
                run_tags.add_to(context)
            yield from _selected(context, _execute(context, config, loaded, project))

    return run


def _selected(context: dg.AssetExecutionContext, results: Results) -> Results:
    """Without the checks that this run did not select."""
    names = {check.name for check in context.selected_asset_check_keys}
    for result in results:
        if not isinstance(result, dg.AssetCheckResult) or result.check_name in names:
            yield result


def _execute(context: dg.AssetExecutionContext, config: SyncConfig, loaded: LoadedSync, project: Project) -> Results:
    sync, key = loaded.sync, loaded.key
    if not context.selected_asset_keys:
        yield from as_before(context.instance, key, "the sync was not selected, and its checks judge its runs")
        return
    ended: list[Report] = []
    try:
        report = _run(context, config, loaded, project, ended.append)
    except SyncBusy as error:
        yield from as_before(context.instance, key, str(error))
        raise _failure(str(error), {}) from None
    except Exception:
        if not ended:
            yield from broke_off(context.instance, key, "the run broke off")
        for report in ended:  # rows did go out, and the guards had been judged
            yield from check_results(context.instance, key, metadata.in_events(report, project))
            yield dg.AssetObservation(key, metadata=metadata.run_metadata(report, project))
        raise
    results = check_results(context.instance, key, metadata.in_events(report, project))
    if report.status is RunStatus.GUARDED:
        figures = metadata.guarded_metadata(report, project, loaded.destination)
        yield from results
        yield dg.AssetObservation(key, metadata=figures)
        waits = f"; plan {report.plan_id} waits for a decision" if report.waits else ""
        del figures["guards"]  # the check has the table
        raise _failure(f"nothing was sent: {report.detail}{waits}", figures, allow_retries=False)
    if report.pending:  # neither a success nor a failure yet
        yield from results
        yield dg.AssetObservation(key, metadata=metadata.pending_metadata(report))
        return
    if report.status is RunStatus.OPEN:
        yield from results
        raise _failure(report.detail or "the run is not finished", metadata.counts(report.counts))
    figures = metadata.run_metadata(report, project)
    if report.ended_well:
        context.add_asset_metadata(figures, asset_key=key)  # in the result they would be kept twice
        yield dg.MaterializeResult(asset_key=key)
        yield from results
        return
    # The event comes before the failure: rows did go out, whatever became of the others.
    yield from results
    yield dg.AssetObservation(key, metadata=figures)
    again = report.status is RunStatus.FAILED and not tripped(report.findings)
    problem = project.mask(sync).text(_problem(report))
    raise _failure(problem, metadata.counts(report.counts), allow_retries=again)


def _run(
    context: dg.AssetExecutionContext,
    config: SyncConfig,
    loaded: LoadedSync,
    project: Project,
    on_end: OnEnd,
) -> Report:
    sync, run_id = loaded.sync, journal_run_id(context, loaded.sync)
    try:
        account = loaded.destination.account(sync.destination)
        plan_id = _approve(context, config, sync, project)
        loaded.hear(context.instance, project)
        return run_sync(
            sync,
            project.environment,
            account,
            plan_id=plan_id,
            run_id=run_id,
            on_progress=_progress(context),
            on_end=on_end,
        )
    except SyncBusy:
        raise
    except ReverseEtlError as error:
        raise _failure(project.mask(sync).text(str(error)), _journaled(project, run_id)) from None
    except dg.DagsterExecutionInterruptedError:
        # A retry policy would start the sync again that somebody has just ended.
        found = _journaled(project, run_id)
        words = found.pop("ended early", "terminated before anything was sent")
        message = f"{words}. What the destination has acknowledged is kept"
        raise _failure(message, found, allow_retries=False) from None


def _approve(context: dg.AssetExecutionContext, config: SyncConfig, sync: Sync, project: Project) -> str | None:
    """The one plan that is to be sent, approved now unless it is already."""
    if not config.approve:
        return None
    if not config.why:
        raise _failure("say `why` you approve: whoever asks later will want to know.", {}, allow_retries=False)
    try:
        plan = find_plan(project.journal, sync, config.approve)
        if plan.status is not PlanStatus.APPROVED:
            who = config.who or f"Dagster run {context.run.run_id[:8]}"
            project.journal.approve(plan.plan_id, who, config.why)
    except StateError as error:
        raise _failure(str(error), {}, allow_retries=False) from None
    return plan.plan_id


def journal_run_id(context: dg.AssetExecutionContext, sync: Sync) -> str:
    """The journal's id of this attempt: it begins with Dagster's run id."""
    retry = context.op_execution_context.retry_number
    return f"{context.run.run_id}/{sync.sync}" + (f"/{retry}" if retry else "")


def _problem(report: Report) -> str:
    if report.status is not RunStatus.DONE:
        return f"the run ended early: {report.detail}"
    return f"{report.counts['failed']} of {report.change_set} rows failed, more than max_failed allows"


def _failure(message: str, figures: Mapping[str, Any], *, allow_retries: bool = True) -> dg.Failure:
    return dg.Failure(clip(message, _MESSAGE), metadata=figures, allow_retries=allow_retries)


def _journaled(project: Project, run_id: str) -> dict[str, Any]:
    """What the journal knows of a run that broke off."""
    try:
        run = project.journal.run(run_id)
    except ReverseEtlError:
        return {}
    if run is None:
        return {}
    early = {"ended early": clip(run.detail, _MESSAGE)} if run.detail else {}
    return {"run in journal": run_id, **metadata.counts(run.counts), **early}


def _progress(context: dg.AssetExecutionContext) -> Callable[[Plan, Mapping[str, int]], None]:
    """Counts in the log now and then. Never values."""
    logged_at = time.monotonic()

    def on_progress(plan: Plan, statuses: Mapping[str, int]) -> None:
        nonlocal logged_at
        if time.monotonic() - logged_at < _PROGRESS_EVERY:
            return
        logged_at = time.monotonic()
        counts = ", ".join(f"{number:,} {status}" for status, number in sorted(statuses.items()))
        context.log.info(f"{sum(statuses.values()):,} of {sum(plan.to_send.values()):,} rows: {counts}")

    return on_progress
