"""Undo as a job: launch it with the id of a run, and what that run wrote is put back."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from reverse_etl_assets.errors import ReverseEtlError, StateError
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.orchestration.checks import findings_table
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import Loaded, LoadedSync
from reverse_etl_assets.orchestration.metadata import run_metadata
from reverse_etl_assets.orchestration.retrying import obeyed_by_run_retries
from reverse_etl_assets.runs.report import Report
from reverse_etl_assets.runs.undo import find_run, is_whole, summary, undo_run

_MESSAGE = 4_000  # bytes
_OF_A_SYNC = ("dagster/row_count", "before-images")  # figures that an undo does not have


class Undo(dg.Config):
    run: str = Field(description="The run to put back: `run in journal` of its materialisation.")
    why: str = Field(description="Shown to everyone who finds the sync stopped.")
    who: str = Field("", description="Your name. Left out: the Dagster run.")


def build_undo_job(loaded: Loaded) -> dg.JobDefinition:
    @dg.op(
        name=loaded.named("undo"),
        description="Puts back what a run wrote, where nobody has written since, and stops its sync.",
    )
    def undo(context: dg.OpExecutionContext, config: Undo) -> Any:
        with obeyed_by_run_retries(context):
            yield from _execute(context, config, loaded)

    @dg.job(
        name=loaded.named("undo_run"),
        description="Puts back what a run of a sync wrote. Look at it first: `reverse-etl undo RUN --dry-run`.",
    )
    def job() -> None:
        undo()

    return job


def _execute(
    context: dg.OpExecutionContext, config: Undo, loaded: Loaded
) -> Iterator[dg.AssetObservation | dg.Output[None]]:
    project = loaded.project
    of, report = _undo(context, config, loaded)
    sentences = summary(project.journal, report, of.destination.destination_type)
    if report.status is RunStatus.GUARDED:
        waits = f"; plan {report.plan_id} waits for a decision" if report.waits else ""
        guards = {"guards": findings_table(report.findings)}
        raise _failure(f"nothing was put back{waits}: {report.detail}", guards)
    found = run_metadata(report, project)
    figures: Any = {"undoes": config.run, **{n: value for n, value in found.items() if n not in _OF_A_SYNC}}
    for sentence in sentences:
        context.log.info(sentence)
    # The event comes before the failure: rows were put back, whatever became of the others.
    yield dg.AssetObservation(of.key, description="\n".join(sentences), metadata=figures)
    if not is_whole(report):
        raise _failure("not all was put back. " + " ".join(sentences), figures)
    yield dg.Output(None, metadata=figures)


def _undo(context: dg.OpExecutionContext, config: Undo, loaded: Loaded) -> tuple[LoadedSync, Report]:
    project, mask = loaded.project, None
    try:
        name = find_run(project.journal, config.run).sync
        if name not in loaded.syncs:
            raise StateError(f"run {config.run} is of sync {name}, which is no longer in the project.")
        of = loaded.syncs[name]
        mask = project.mask(of.sync)
        report = undo_run(
            config.run,
            of.sync,
            project.environment,
            of.destination.account(of.sync.destination),
            who=config.who or f"Dagster run {context.run.run_id[:8]}",
            why=config.why,
            run_id=f"{context.run.run_id}/{name}",
        )
    except ReverseEtlError as error:
        raise _failure(mask.text(str(error)) if mask else str(error), {}) from None
    return of, report


def _failure(message: str, figures: Mapping[str, Any]) -> dg.Failure:
    return dg.Failure(clip(message, _MESSAGE), metadata=figures, allow_retries=False)
