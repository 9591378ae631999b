"""The blocks of a sync's YAML that say how carefully it runs: limits, guards, schedules, prices."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if not isinstance(value, str) or value.startswith("P"):  # ISO 8601, as pydantic writes it
        return value
    match = re.fullmatch(r"\s*(\d+)\s*(s|m|h|d)(ec(ond)?s?|in(ute)?s?|(ou)?rs?|ays?)?\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write it like `30 minutes`, `6 hours` or `1 day`.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str)]


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Limit(Strict):
    """A guard's limit. Whichever of the two is passed first trips the guard."""

    rows: Annotated[int, Field(ge=0)] | None = None
    """A number of rows."""
    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Of the rows that the guard names, mostly the synced rows."""

    @property
    def is_set(self) -> bool:
        return self.rows is not None or self.percent is not None


class RowCount(Limit):
    """How far the model's rows may be from the usual number, the median of earlier runs."""

    percent: Annotated[float, Field(ge=0)] | None = None
    """Of the usual number; judged from 3 earlier runs on."""
    deviations: Annotated[float, Field(gt=0)] | None = None
    """Robust standard deviations (1.4826 times the median absolute deviation) of the earlier runs, each at least 2 % of
    the usual number; judged from 7 earlier runs on."""

    @property
    def is_set(self) -> bool:
        return super().is_set or self.deviations is not None


class FieldGuard(Strict):
    """What may happen to one field."""

    max_changed: Limit = Limit()
    """Rows in which the field's value changes, of the synced rows."""
    max_emptied: Limit = Limit(percent=20)
    """Rows in which the field had a value and loses it (NULL or an empty text), of the synced rows that have one."""


class InFlight(Strict):
    """Ends a run in which too many rows fail, before all of them have."""

    window: Annotated[int, Field(ge=1)] = 200
    """How many of the latest outcomes are looked at; a run of fewer rows is never ended by this."""
    max_failed: Annotated[float, Field(ge=0, le=100)] = 50
    """Percent of them that may have failed; 100: the run is never ended by this."""


class Guards(Strict):
    """What must hold before anything is sent, and `in_flight` while it is."""

    max_added: Limit = Limit()
    """Rows that the destination does not have yet."""
    max_changed: Limit = Limit()
    """Rows of which a field differs."""
    max_removed: Limit = Limit(percent=25)
    """Rows that would be deleted."""
    row_count: RowCount = RowCount(percent=50, deviations=6)
    every_field: FieldGuard = FieldGuard()
    """For fields that are not named in `fields`."""
    fields: dict[str, FieldGuard] = Field(default_factory=dict)
    """By destination field."""
    percent_from: Annotated[int, Field(ge=1)] = 10
    """A percentage trips a guard only if at least this many rows are affected: a tenth of three rows is no anomaly."""
    in_flight: InFlight = InFlight()
    allow_empty_model: bool = False
    require_passing_tests: bool = True
    """Refuse to send when the model's build or one of its dbt tests failed the last time it ran. Where nothing is known
    the guard is not judged, and the rows are sent, unless `true` stands in the file: then that is refused too."""


class Approval(StrEnum):
    WHEN_GUARDED = "when_guarded"  # a plan waits only if a guard trips
    ALWAYS = "always"  # every plan that would send something waits for a person


class OnMissingParent(StrEnum):
    HOLD = "hold"  # the row is held back until the row it belongs to has arrived
    SEND = "send"  # it is sent all the same


class After(Strict):
    """A sync that comes before this one, its parent. Unless its last run ended well this one does not run."""

    sync: str
    """The name of the other sync."""
    key: Annotated[tuple[str, ...], BeforeValidator(_to_list, json_schema_input_type=str | list[str])] = ()
    """This model's column, or columns, that hold the key of the parent's row. Without it only the runs go in order."""
    on_missing_parent: OnMissingParent = OnMissingParent.HOLD
    """What becomes of a row while the parent's row that `key` names is not at the destination."""

    @property
    def holds(self) -> bool:
        """Whether rows are held back."""
        return bool(self.key) and self.on_missing_parent is OnMissingParent.HOLD

    @model_validator(mode="after")
    def _rule_has_a_key(self) -> "After":
        if not self.key and "on_missing_parent" in self.model_fields_set:
            raise PydanticCustomError(
                "sync",
                "`on_missing_parent` needs `key: <column>`, which names the parent's row.",
                {"at": ("on_missing_parent",)},
            )
        return self


class Cutover(StrEnum):
    ADOPT = "adopt"  # the destination holds the rows: they are read back, and what differs is sent
    RESEND = "resend"  # every row of the model is sent once
    RESTART = "restart"  # start from nothing; what the old version wrote is left and listed


class BeforeImages(StrEnum):
    DESTINATION = "destination"  # read back just before a run writes
    SYNCED = "synced"  # the values last acknowledged: costs nothing, and misses people's edits


class OnDuplicateKey(Strict):
    """Which of several rows of one key is sent. Without `latest_by` none is."""

    latest_by: str | None = None
    """A column of the model; the row with its greatest value is sent."""


class Quarantine(Strict):
    """When a row that is refused again and again leaves the loop."""

    after: Annotated[int, Field(ge=1)] | None = 5
    """Times that the destination refuses the same values; null: never."""
    apart: Duration = timedelta(hours=1)
    """Refusals that follow each other within this time count once: retries are no second opinion."""
    hint: str = ""
    """What whoever looks at the list should do; shown with each row."""


class Jobs(Strict):
    """When the results of a job that cannot be read are waited for no more: its rows are in doubt then. Both must be
    true, of the time since its rows were sent and of the runs that have asked."""

    give_up_after: Duration = timedelta(days=7)
    give_up_runs: Annotated[int, Field(ge=1)] = 3


class Repair(StrEnum):
    REPORT = "report"
    RESEND = "resend"


class Drift(Strict):
    """Looks on a schedule whether records still hold what they were sent."""

    cron: str
    sample: Annotated[int, Field(ge=1)] | Literal["all"] = 1000
    """Synced rows looked at each time, picked at random."""
    repair: Repair = Repair.REPORT


class Verify(Strict):
    """Reads back what was acknowledged, and compares."""

    sample: Annotated[int, Field(ge=0)] | Literal["all"] = 100
    """Rows of each run that are read back, picked at random; 0: none."""
    drift: Drift | None = None


class ChangeDetection(Strict):
    """How changed rows are found. Without `last_modified_at` every row is compared with its synced row."""

    last_modified_at: str | None = None
    """A column of type TIMESTAMP or DATE, in UTC. Only rows at or after the last run's newest one (less `lookback`) are
    compared; the newest is never beyond the clock."""
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


_MONTH = 30  # days, for a price a month


class Cost(Strict):
    """Prices for the cost figures, in a currency of your own."""

    per_call: Annotated[float, Field(ge=0)] = 0
    per_row: Annotated[float, Field(ge=0)] = 0
    per_seat: Annotated[float, Field(ge=0)] = 0
    """For each of `seats`, a month."""
    seats: Annotated[int, Field(ge=0)] = 0

    def price(self, *, calls: int, rows: int) -> float:
        """What calls and written rows cost, without seats: they cost as much if nothing runs."""
        return calls * self.per_call + rows * self.per_row

    @property
    def seats_a_day(self) -> float:
        """A thirtieth of what the seats cost a month."""
        return self.seats * self.per_seat / _MONTH
