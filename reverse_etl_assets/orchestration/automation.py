"""When syncs run: at set times, or when they would otherwise be older than promised."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from reverse_etl_assets.spec.sync import Sync


def freshness_policy(sync: Sync) -> dg.FreshnessPolicy | None:
    schedule = sync.schedule
    if schedule is None or schedule.fresh_within is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=schedule.fresh_within, warn_window=schedule.warn_after)


def automation_condition(sync: Sync) -> dg.AutomationCondition[Any] | None:
    """One attempt when the sync grows old, one when it is too old, then one an hour; none while its model is not fit.

    `freshness_failed()` alone stays true after a failed attempt, and would start a run at every tick.
    `since_last_handled()` would forget at the first tick what is due already.
    """
    if freshness_policy(sync) is None:
        return None
    has: Any = dg.AutomationCondition  # its own types tell conditions of assets from those of checks
    grew_old = has.freshness_warned().newly_true() | has.freshness_failed().newly_true()
    still_old = has.freshness_failed() & has.cron_tick_passed("0 * * * *")
    was_old = has.initial_evaluation() & (has.freshness_warned() | has.freshness_failed() | has.missing())
    due = (grew_old | still_old | was_old | has.newly_missing()).since(has.newly_requested() | has.newly_updated())
    ready = ~has.in_progress() & ~has.any_deps_in_progress() & ~has.any_deps_missing()
    fit = has.all_deps_blocking_checks_passed()
    condition: dg.AutomationCondition[Any] = (due & ready & fit).with_label("older than promised")
    return condition


def build_schedules(syncs: Iterable[tuple[Sync, dg.AssetKey]]) -> list[dg.ScheduleDefinition]:
    """A schedule for each sync with a cron line, on: it stands in the sync's file because it shall run."""
    return [
        dg.ScheduleDefinition(
            name=f"{sync.sync}_schedule",
            cron_schedule=sync.schedule.cron,
            execution_timezone="UTC",
            target=dg.AssetSelection.assets(key),
            tags={"destination": sync.destination, "sync": sync.sync},
            description=f"Runs {sync.destination}/{sync.sync} at {sync.schedule.cron} (UTC).",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for sync, key in syncs
        if sync.schedule and sync.schedule.cron
    ]


def build_sensors(syncs: Iterable[tuple[Sync, dg.AssetKey]]) -> list[dg.SensorDefinition]:
    """Dagster's own automation sensor starts switched off, so that freshness would be a promise that nobody keeps."""
    keys = [key for sync, key in syncs if freshness_policy(sync)]
    if not keys:
        return []
    return [
        dg.AutomationConditionSensorDefinition(
            "freshness_sensor",
            target=dg.AssetSelection.assets(*keys),
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Runs syncs that would otherwise be older than their fresh_within.",
        )
    ]
