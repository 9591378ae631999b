"""Request limits: a rolling window and a daily allowance."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable


class RollingWindow:
    """At most ``limit()`` requests in any ``seconds``; a refused request does not count."""

    def __init__(self, limit: Callable[[], int], seconds: Callable[[], float], clock: Callable[[], float]) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._times: deque[float] = deque()

    def admit(self) -> bool:
        self._expire()
        if len(self._times) >= self._limit():
            return False
        self._times.append(self._clock())
        return True

    def remaining(self) -> int:
        self._expire()
        return max(0, self._limit() - len(self._times))

    def wait(self) -> int:
        """Whole seconds until the next request is admitted."""
        self._expire()
        if self.remaining() or not self._times:
            return 0
        oldest = self._times[max(0, len(self._times) - self._limit())]
        return max(1, math.ceil(oldest + self._seconds() - self._clock()))

    def clear(self) -> None:
        self._times.clear()

    def _expire(self) -> None:
        edge = self._clock() - self._seconds()
        while self._times and self._times[0] <= edge:
            self._times.popleft()


class DailyAllowance:
    """At most ``limit()`` requests in 24 hours from the first one; other tools use ``others()`` of them."""

    DAY = 86_400.0

    def __init__(self, limit: Callable[[], int], others: Callable[[], int], clock: Callable[[], float]) -> None:
        self._limit = limit
        self._others = others
        self._clock = clock
        self._since = clock()
        self._own = 0

    @property
    def used(self) -> int:
        return self._own + self._others()

    def admit(self) -> bool:
        if self._clock() - self._since >= self.DAY:
            self.clear()
        if self.used >= self._limit():
            return False
        self._own += 1
        return True

    def remaining(self) -> int:
        return max(0, self._limit() - self.used)

    def clear(self) -> None:
        self._since = self._clock()
        self._own = 0
