"""The guard of a run that is under way: too many of its latest rows failed, so the next ones would too."""

from collections import deque

from reverse_etl_assets.guards.finding import Finding
from reverse_etl_assets.spec.policies import InFlight


class FailureWindow:
    """Looks at the latest outcomes that say yes or no. Once it has tripped it stays so."""

    def __init__(self, policy: InFlight) -> None:
        self.tripped = False
        self._policy = policy
        self._latest: deque[bool] = deque(maxlen=policy.window)
        self._failed = 0  # of the latest
        self._worst: float | None = None  # percent of a full window
        self._seen = 0

    def add(self, failed: bool) -> None:
        """One row's final outcome."""
        if len(self._latest) == self._policy.window:
            self._failed -= self._latest[0]
        self._latest.append(failed)
        self._failed += failed
        self._seen += 1
        if len(self._latest) == self._policy.window:
            percent = 100 * self._failed / self._policy.window
            self._worst = max(percent, self._worst or 0)
            self.tripped = self._worst > self._policy.max_failed

    @property
    def finding(self) -> Finding:
        window, limit = self._policy.window, self._policy.max_failed
        figures = {"rows": self._seen, "limit percent": limit}
        if self._worst is None:
            return Finding("in_flight", True, f"{self._seen} rows; judged from {window} on", None, limit, figures)
        message = f"up to {self._worst:.0f} % of the latest {window} rows failed; the limit is {limit:g} %"
        return Finding("in_flight", not self.tripped, message, self._worst, limit, {**figures, "percent": self._worst})
