"""The kill switch as two jobs: launch one as it is, and every sync stops before its next batch."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import dagster as dg
from pydantic import Field

from reverse_etl_assets.errors import ConfigurationError, ReverseEtlError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.project import Project


class KillSwitch(dg.Config):
    scope: str = Field("all", description="all, destination:<name> or sync:<name>")
    why: str = Field("no reason given", description="Shown to everyone whose sync is stopped.")
    who: str = Field("", description="Your name. Left out: the Dagster run.")


def build_jobs(project: Project) -> list[dg.JobDefinition]:
    @dg.op(description="No batch of the scope begins after this; batches already sent still get their answers.")
    def stop(context: dg.OpExecutionContext, config: KillSwitch) -> dg.Output[None]:
        return _switch(context, config, project, project.journal.stop)

    @dg.op(description="Lifts the stop of this very scope; stops of other scopes stay.")
    def resume(context: dg.OpExecutionContext, config: KillSwitch) -> dg.Output[None]:
        return _switch(context, config, project, project.journal.resume)

    @dg.job(description="Stops syncs at once: all of them, or those of the scope in the launchpad.")
    def stop_syncs() -> None:
        stop()

    @dg.job(description="Lets stopped syncs run again. It starts none.")
    def resume_syncs() -> None:
        resume()

    return [stop_syncs, resume_syncs]


def _switch(context: dg.OpExecutionContext, config: KillSwitch, project: Project, act: Any) -> dg.Output[None]:
    who = config.who or f"Dagster run {context.run.run_id[:8]}"
    try:
        _check_scope(config.scope, project)
        act(config.scope, who, config.why)
        figures = {"did": f"{context.op.name} {config.scope}", "who": who, **_in_force(project.journal)}
    except ReverseEtlError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.log.info(f"{figures['did']} by {who}: {config.why}")
    return dg.Output(None, metadata=figures)


def _check_scope(scope: str, project: Project) -> None:
    """A stop with a misspelt name would stop nothing, and nobody would notice."""
    right = ["all", *_named("destination", project.destinations), *_named("sync", project.syncs)]
    if scope not in right:
        near = get_close_matches(scope, right, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigurationError(f"there is no scope {scope!r}; {hint}Known are {', '.join(right)}.")


def _named(kind: str, names: Iterable[str]) -> list[str]:
    return [f"{kind}:{name}" for name in names]


def _in_force(journal: Journal) -> dict[str, Any]:
    stops = journal.stops()
    rows = [dg.TableRecord({"scope": stop.scope, "who": stop.who, "why": stop.why}) for stop in stops]
    figures: dict[str, Any] = {"stops in force": len(stops)}
    return {**figures, "stops": dg.MetadataValue.table(rows)} if rows else figures
