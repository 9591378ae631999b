"""The kill switch as two jobs: launch one as it is, and every sync stops before its next batch."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import dagster as dg
from pydantic import Field

from reverse_etl_assets.errors import ConfigurationError, ReverseEtlError
from reverse_etl_assets.journal.records import ControlEntry, Stop
from reverse_etl_assets.orchestration.clipping import clip
from reverse_etl_assets.orchestration.loaded import Loaded
from reverse_etl_assets.project import Project
from reverse_etl_assets.runs import kill_switch

_MESSAGE = 2_000  # bytes


class KillSwitch(dg.Config):
    scope: str = Field("all", description="all, destination:<name> or sync:<name>")
    why: str = Field("no reason given", description="Shown to everyone whose sync is stopped.")
    who: str = Field("", description="Your name. Left out: the Dagster run.")


def build_jobs(loaded: Loaded) -> list[dg.JobDefinition]:
    project, name = loaded.project, loaded.named

    @dg.op(
        name=name("stop"),
        description="No batch of the scope begins after this; batches already sent still get their answers.",
    )
    def stop(context: dg.OpExecutionContext, config: KillSwitch) -> dg.Output[None]:
        return _switch(context, config, project, "stop", kill_switch.stop)

    @dg.op(name=name("resume"), description="Lifts the stop of this very scope; stops of other scopes stay.")
    def resume(context: dg.OpExecutionContext, config: KillSwitch) -> dg.Output[None]:
        return _switch(context, config, project, "resume", lambda *given: kill_switch.resume(*given).problem)

    @dg.job(
        name=name("stop_syncs"), description="Stops syncs at once: all of them, or those of the scope in the launchpad."
    )
    def stop_syncs() -> None:
        stop()

    @dg.job(name=name("resume_syncs"), description="Lets stopped syncs run again. It starts none.")
    def resume_syncs() -> None:
        resume()

    return [stop_syncs, resume_syncs]


def _switch(
    context: dg.OpExecutionContext,
    config: KillSwitch,
    project: Project,
    action: str,
    act: Callable[[Project, str, str, str], str | None],
) -> dg.Output[None]:
    who = config.who or f"Dagster run {context.run.run_id[:8]}"
    try:
        _check_scope(config.scope, project)
        problem = act(project, config.scope, who, config.why)
    except ReverseEtlError as error:
        raise dg.Failure(clip(str(error), _MESSAGE), allow_retries=False) from None
    figures = {"did": f"{action} {config.scope}", "who": who, **_in_force(project)}
    context.log.info(f"{figures['did']} by {who}: {config.why}")
    if problem:
        context.log.warning(problem)
        figures["problem"] = problem
    return dg.Output(None, metadata=figures)


def _check_scope(scope: str, project: Project) -> None:
    """A stop with a misspelt name would stop nothing, and nobody would notice."""
    if scope == "all":
        return
    right = ["all", *_named("destination", project.destinations), *_named("sync", project.syncs)]
    if scope not in right:
        near = get_close_matches(scope, right, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigurationError(f"there is no scope {scope!r}; {hint}Known are {', '.join(right)}.")


def _named(kind: str, names: Iterable[str]) -> list[str]:
    return [f"{kind}:{name}" for name in names]


def _in_force(project: Project) -> dict[str, Any]:
    """What is stopped now, and the latest that people did with the switch; without the journal, what files say."""
    try:
        stops, log = project.journal.stops(), project.journal.control_log(10)
    except ReverseEtlError:
        stops, log = project.stop_signals.all(), []
    figures: dict[str, Any] = {"stops in force": len(stops)}
    if stops:
        figures["stops"] = _table({**_row(stop), "given in": stop.given_in or "journal"} for stop in stops)
    if log:
        figures["log"] = _table({"action": entry.action, **_row(entry)} for entry in log)
    return figures


def _row(entry: Stop | ControlEntry) -> dict[str, str]:
    when = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds")
    return {"scope": entry.scope, "who": entry.who, "when (UTC)": when, "why": entry.why}


def _table(rows: Iterable[dict[str, str]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
