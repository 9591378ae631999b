"""The blocks of a sync's YAML that say how carefully it runs: limits, guards, schedules, prices."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if not isinstance(value, str) or value.startswith("P"):  # ISO 8601, as pydantic writes it
        return value
    match = re.fullmatch(r"\s*(\d+)\s*(s|m|h|d)(ec(ond)?s?|in(ute)?s?|(ou)?rs?|ays?)?\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write it like `30 minutes`, `6 hours` or `1 day`.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Limit(Strict):
    """A guard's limit. Whichever of the two is passed first trips the guard."""

    rows: Annotated[int, Field(ge=0)] | None = None
    percent: Annotated[float, Field(ge=0, le=100)] | None = None


class Guards(Strict):
    """What must hold before anything is sent. `max_removed.percent` is of the synced rows, the others' too."""

    max_added: Limit = Limit()
    max_changed: Limit = Limit()
    max_removed: Limit = Limit(percent=25)
    row_count: Limit = Limit(percent=50)
    """How far the model's rows may be from the median of the last runs."""
    allow_empty_model: bool = False
    require_passing_tests: bool = True
    """Refuse to send when the model's build or one of its dbt tests failed the last time it ran."""


class ChangeDetection(Strict):
    """How changed rows are found. Without `last_modified_at` every row is compared with its synced row."""

    last_modified_at: str | None = None
    """A timestamp column. Only rows at or after the last run's newest one (less `lookback`) are compared."""
    lookback: Duration = timedelta(hours=1)
    full_compare_every: Duration = timedelta(days=1)
    """When every row is compared all the same: finds removed rows and those that came late."""


class Schedule(Strict):
    """When the sync runs: at set times, or whenever it would otherwise be older than promised."""

    cron: str | None = None
    fresh_within: Duration | None = None
    warn_after: Duration | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Schedule":
        if (self.cron is None) == (self.fresh_within is None):
            raise ValueError("give either `cron` or `fresh_within`.")
        if self.warn_after and (self.fresh_within is None or self.warn_after >= self.fresh_within):
            raise ValueError("`warn_after` must be shorter than `fresh_within`.")
        return self


class Cost(Strict):
    """Prices for the cost figures, in a currency of your own."""

    per_call: Annotated[float, Field(ge=0)] = 0
    per_row: Annotated[float, Field(ge=0)] = 0
