"""How many rows a model usually has, judged by its earlier runs. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import median

DAY = 86_400  # seconds
LOOK_BACK = 64 * DAY  # seconds; nine weeks and a day
RECENT = 10  # runs
_WEEKS = 4  # earlier days of one weekday that are compared with, and needed for that
_FOR_PERCENT, _FOR_DEVIATIONS = 3, 7  # recent runs that are needed
_TO_SIGMA = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation
_LEAST_SIGMA = 0.02  # of the median: where counts hardly ever change, one row more is no anomaly
_WEEKDAYS = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")  # 1970 began on a Thursday


@dataclass(frozen=True)
class EarlierRun:
    """A run that ended well: when it started, in seconds since 1970, and how many rows the model had."""

    at: float
    rows: int


@dataclass(frozen=True)
class Usual:
    """What a row count is compared with. `runs` names them; `later` of them had to be left out."""

    counts: tuple[int, ...]
    runs: str
    by_weekday: bool
    later: int = 0

    @property
    def enough(self) -> bool:
        return self.by_weekday or len(self.counts) >= _FOR_PERCENT

    @property
    def enough_for_deviations(self) -> bool:
        return self.by_weekday or len(self.counts) >= _FOR_DEVIATIONS

    @cached_property
    def rows(self) -> float:
        """The median. Only if there are `enough`."""
        return median(self.counts)

    @cached_property
    def sigma(self) -> float:
        """A standard deviation that a few odd runs do not move. Zero only if the usual number is."""
        spread = _TO_SIGMA * median(abs(rows - self.rows) for rows in self.counts)
        return max(spread, _LEAST_SIGMA * self.rows)


def usual(history: Iterable[EarlierRun], now: float) -> Usual:
    """The last run of each of the last days of today's weekday, or the recent runs if these are too few.

    Days are UTC. Runs that are dated later than `now` are left out: the clock was wrong then, or is now.
    """
    runs = sorted(history, key=lambda run: run.at, reverse=True)
    past = [run for run in runs if run.at <= now]
    today = int(now // DAY)
    last_of_day: dict[int, int] = {}
    for run in past:
        last_of_day.setdefault(int(run.at // DAY), run.rows)
    same = [rows for day, rows in last_of_day.items() if day < today and (today - day) % 7 == 0][:_WEEKS]
    later = len(runs) - len(past)
    if len(same) == _WEEKS:
        return Usual(tuple(same), f"the last {_WEEKS} {_WEEKDAYS[today % 7]}s", True, later)
    recent = tuple(run.rows for run in past[:RECENT])
    return Usual(recent, f"the last {len(recent)} runs", False, later)
