"""What a run has to say of itself, in figures. The rows are in the sync's state."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reverse_etl_assets.delivery.forecast import Forecast
from reverse_etl_assets.guards.finding import Finding, beyond
from reverse_etl_assets.journal.records import TOO_MANY_FAILED, RunKind, RunStatus
from reverse_etl_assets.readback.differences import Verified
from reverse_etl_assets.reasons import NEVER_TRIED
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.state.cutover import Begun


@dataclass(frozen=True)
class Report:
    """One run. `counts` holds the plan's and the outcomes' numbers."""

    run_id: str
    sync: Sync
    status: RunStatus
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    detail: str | None = None
    plan_id: str | None = None
    waits: bool = False
    """The plan is kept for a person's decision."""
    forecast: Forecast | None = None
    """What the plan was to take; None if nothing was planned."""
    kind: RunKind = RunKind.SYNC
    trial: int | None = None
    """How many rows a trial was to send; None if the run was none."""
    calls: int = 0
    bytes: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    recovered: tuple[str, ...] = ()
    given_up: str = ""
    """What could not be folded in of them: the results of jobs that stayed unreadable, so that rows are in doubt."""
    verified: Verified | None = None
    """What reading records back found; None if the run did not get that far."""
    pending: bool = False
    """The rows are handed over, and the destination has not said yet what became of them: the next run asks."""
    unusable_times: Mapping[str, int] = field(default_factory=dict)
    """Rows whose time cannot be used, by column."""
    begun: Begun | None = None
    """How the sync's version began, as long as nothing of it was sent before."""

    @property
    def change_set(self) -> int:
        return sum(self.counts.get(name, 0) for name in ("created", "updated", "deleted", "skipped", "failed"))

    @property
    def too_many_failed(self) -> bool:
        """Rows that were never sent are a share of the model, refused ones of what was sent: bad rows that come
        back in every run must not redden it, nor unchanged rows hide that all that was sent was refused."""
        return self._beyond_max_failed(but=0)

    @property
    def too_many_written_failed(self) -> bool:
        """The same without deletions: what builds on the records that are there need not wait for those."""
        return self._beyond_max_failed(but=self.counts.get("failed_deletions", 0))

    def _beyond_max_failed(self, *, but: int) -> bool:
        failed, rejected = self.counts.get("failed", 0) - but, self.counts.get("failed_invalid", 0)
        sent = self.change_set - but - rejected - sum(self.counts.get(f"skipped_{reason}", 0) for reason in NEVER_TRIED)
        percent = self.sync.max_failed.model_copy(update={"rows": None})
        return (
            beyond(self.sync.max_failed.model_copy(update={"percent": None}), failed, 0)
            or beyond(percent, rejected, self.counts.get("model_rows", 0))
            or beyond(percent, failed - rejected, sent)
        )

    @property
    def ended_well(self) -> bool:
        """To its end, with no more rows failed than allowed: what others may build on, and what counts as fresh. A
        trial leaves rows behind, so it never does."""
        return self.status is RunStatus.DONE and not self.too_many_failed and self.trial is None

    @property
    def written(self) -> int:
        """Rows."""
        return sum(self.counts.get(name, 0) for name in ("created", "updated", "deleted"))

    @property
    def cost(self) -> float:
        return self.sync.cost.price(calls=self.calls, rows=self.written)

    @property
    def journaled(self) -> dict[str, int]:
        """Its figures as the journal keeps them."""
        return {
            **self.counts,
            "calls": self.calls,
            "bytes": self.bytes,
            "milliseconds": int(self.seconds * 1000),
            **({TOO_MANY_FAILED: 1} if self.too_many_written_failed else {}),
        }
