"""Whether the syncs that come before another one (`after`) have run well: what follows them builds on it."""

from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.journal.records import TOO_MANY_FAILED, Run, RunStatus
from reverse_etl_assets.spec.sync import Sync

_ENDS = {
    RunStatus.OPEN: "has not ended",
    RunStatus.GUARDED: "was stopped by a guard",
    RunStatus.STOPPED: "ended before its last row",
    RunStatus.FAILED: "failed",
}


def parents_finding(sync: Sync, journal: Journal) -> Finding:
    """Judged by the last run of each parent; trials and undos are none."""
    if not sync.after:
        return Finding("parents", True, "no sync comes before this one")
    wrong = [text for parent in sync.parents if (text := _wrong(parent, journal.last_run(parent)))]
    if wrong:
        return Finding("parents", False, "; ".join(wrong), len(wrong), 0)
    return Finding("parents", True, f"{', '.join(sync.parents)} ran well", 0, 0)


def _wrong(parent: str, run: Run | None) -> str | None:
    if run is None:
        return f"{parent} comes first, and has not run yet"
    end = _ENDS.get(run.status)
    if run.counts.get(TOO_MANY_FAILED):
        end = "ended with more failed rows than it allows"
    return f"{parent} comes first, and its last run {end} (run {run.run_id})" if end else None
