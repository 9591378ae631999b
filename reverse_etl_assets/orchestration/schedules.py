"""What starts syncs: at set times, and when they would otherwise be older than promised."""

import dagster as dg

from reverse_etl_assets.orchestration.loaded import Loaded


def build_schedules(loaded: Loaded) -> list[dg.ScheduleDefinition]:
    """A schedule for each sync with a cron line, on: it stands in the sync's file because it shall run."""
    return [
        dg.ScheduleDefinition(
            name=loaded.named(f"{name}_schedule"),
            cron_schedule=each.sync.schedule.cron,
            execution_timezone="UTC",
            target=dg.AssetSelection.assets(each.key),
            tags=each.tags,
            description=f"Runs {each.key.to_user_string()} at {each.sync.schedule.cron} (UTC).",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for name, each in loaded.syncs.items()
        if each.sync.schedule and each.sync.schedule.cron
    ]


def build_sensors(loaded: Loaded) -> list[dg.SensorDefinition]:
    """One for each destination, whose name its runs carry as a tag while they wait in Dagster's queue. Dagster's own
    automation sensor starts switched off, so that freshness would be a promise that nobody keeps."""
    keys: dict[str, list[dg.AssetKey]] = {}
    for each in loaded.syncs.values():
        if each.spec.automation_condition:
            keys.setdefault(each.sync.destination, []).append(each.key)
    return [
        dg.AutomationConditionSensorDefinition(
            loaded.named(f"{destination}_freshness"),
            target=dg.AssetSelection.assets(*theirs),
            default_status=dg.DefaultSensorStatus.RUNNING,
            run_tags={"destination": destination},
            description=f"Runs syncs to {destination} that would otherwise be older than their fresh_within.",
        )
        for destination, theirs in keys.items()
    ]
