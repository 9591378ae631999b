"""When a sync would be older than promised, and when it then runs."""

from typing import Any

import dagster as dg

from reverse_etl_assets.spec.sync import Sync


def freshness_policy(sync: Sync) -> dg.FreshnessPolicy | None:
    schedule = sync.schedule
    if schedule is None or schedule.fresh_within is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=schedule.fresh_within, warn_window=schedule.warn_after)


def automation_condition(sync: Sync, *, partitioned: bool = False) -> dg.AutomationCondition[Any] | None:
    """One attempt when the sync grows old, one when it is too old, then one an hour; none while its model is not fit.

    `freshness_failed()` alone stays true after a failed attempt, and would start a run at every tick.
    `since_last_handled()` would forget at the first tick what is due already. Of a `partitioned` model the latest
    partition has to be there: one that was never built, long ago, is no reason to wait.
    """
    if freshness_policy(sync) is None:
        return None
    has: Any = dg.AutomationCondition  # its own types tell conditions of assets from those of checks
    grew_old = has.freshness_warned().newly_true() | has.freshness_failed().newly_true()
    still_old = has.freshness_failed() & has.cron_tick_passed("0 * * * *")
    was_old = has.initial_evaluation() & (has.freshness_warned() | has.freshness_failed() | has.missing())
    due = (grew_old | still_old | was_old | has.newly_missing()).since(has.newly_requested() | has.newly_updated())
    latest = has.any_deps_match(has.missing() & has.in_latest_time_window())
    missing = latest if partitioned else has.any_deps_missing()
    ready = ~has.in_progress() & ~has.any_deps_in_progress() & ~missing
    fit = has.all_deps_blocking_checks_passed()
    condition: dg.AutomationCondition[Any] = (due & ready & fit).with_label("older than promised")
    return condition
