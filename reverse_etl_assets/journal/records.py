"""What the journal holds, and the packed form in which it stores the rows of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from reverse_etl_assets.errors import ReverseEtlError
from reverse_etl_assets.records import Operation, Reason, RowError, Status


class RunStatus(StrEnum):
    OPEN = "open"  # its outcomes are not folded yet
    DONE = "done"
    GUARDED = "guarded"  # a guard tripped; nothing was sent
    STOPPED = "stopped"
    FAILED = "failed"


class RunKind(StrEnum):
    SYNC = "sync"
    UNDO = "undo"  # puts back what the run `undoes` overwrote
    FORGET = "forget"  # deletes what is known of a person


TOO_MANY_FAILED = "too_many_failed"
"""Among the counts of a run in which more rows failed than the sync allows, deletions aside."""


@dataclass(frozen=True)
class Run:
    """`version` is that of the sync's file; `plan_id` names what the run was about to send, `state` is the id of the
    state that it ran with. A `trial` was to send so many rows of its plan, and to leave the others as they were."""

    run_id: str
    sync: str
    destination: str
    status: RunStatus
    started_at: float
    ended_at: float | None
    model_rows: int | None
    counts: Mapping[str, int]
    detail: str | None
    kind: RunKind = RunKind.SYNC
    plan_id: str | None = None
    version: int = 1
    undoes: str | None = None
    state: str | None = None
    trial: int | None = None


class PlanStatus(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"  # the next run that plans the same sends it
    APPLIED = "applied"
    SUPERSEDED = "superseded"  # a later run planned something else


class Tripped(msgspec.Struct, frozen=True):
    """A guard that stopped a plan, as it was shown to whoever decides on the plan."""

    guard: str
    message: str
    value: float | None = None
    limit: float | None = None
    field: str | None = None


@dataclass(frozen=True)
class WaitingPlan:
    """A plan that a person has to decide on. `basis` is the digest of each part that makes its id."""

    plan_id: str
    sync: str
    run_id: str
    made_at: float
    counts: Mapping[str, int]
    findings: Sequence[Tripped]
    basis: Mapping[str, str]
    status: PlanStatus = PlanStatus.WAITING
    who: str | None = None
    why: str | None = None
    decided_at: float | None = None
    applied_run: str | None = None


@dataclass(frozen=True)
class Intent:
    """A batch that is about to be sent; `rows` are row numbers of the outbox.

    `once` are those of which a second send could do harm, `anew` those that go out without an id of their record.
    """

    number: int
    operation: Operation
    rows: Sequence[int]
    notes: Sequence["Note"] = ()
    once: Sequence[int] = ()
    anew: Sequence[int] = ()


class Note(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What was read of a row's record just before it was sent, and what the field rules made of it.

    `row` is its number in the outbox. `before` is JSON of what the record held in the fields that are about to be
    written (all of them for a delete); None if there was no record, or none was read. `sent` names the fields that went
    out, None for all.
    """

    row: int
    read: bool = False
    before: str | None = None
    sent: list[str] | None = None
    conflicts: list["Conflict"] | None = None


class Conflict(msgspec.Struct, frozen=True, array_like=True):
    """A field on which row and record disagreed: the rule, our last write and both values (JSON), who won and why."""

    field: str
    rule: str
    base: str
    ours: str
    theirs: str
    winner: str
    why: str


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What became of one row; `row` is its number in the outbox, the rest is as in `records.Outcome`."""

    row: int
    status: Status
    reason: Reason | None = None
    destination_id: str | None = None
    error: RowError | None = None
    inferred: bool = False


@dataclass(frozen=True)
class SentBatch:
    """An intent and what came of it; without `answered_at` nobody knows. `job` is the destination's id of a job.

    `once` and `anew` are None for a batch of an earlier release, which did not note them.
    """

    number: int
    operation: Operation
    rows: Sequence[int]
    job: str | None
    sent_at: float
    answered_at: float | None
    answers: Sequence[Answer]
    notes: Sequence[Note] = ()
    once: Sequence[int] | None = None
    anew: Sequence[int] | None = None


@dataclass(frozen=True)
class Stop:
    """The kill switch is on for `scope`: `all`, `destination:<name>` or `sync:<name>`.

    `given_in` is the file or environment variable that says so, if it is not the journal.
    """

    scope: str
    who: str
    why: str
    at: float
    given_in: str | None = None


def scopes_of(destination: str, sync: str, *, obeys_sync_stop: bool = True) -> tuple[str, ...]:
    """The scopes whose stop covers a sync, the widest first. An undo need not obey the stop of its own sync alone."""
    scopes = ("all", f"destination:{destination}", f"sync:{sync}")
    return scopes if obeys_sync_stop else scopes[:2]


@dataclass(frozen=True)
class ControlEntry:
    """What a person decided: `stop` or `resume` of a scope, `approve` of a `plan:<id>`, `forget` in a `sync:<name>`."""

    action: str
    scope: str
    who: str
    why: str
    at: float


@dataclass(frozen=True)
class Usage:
    """What a sync asked of a destination in one UTC day (`2025-01-31`); `bytes` are those of request bodies."""

    day: str
    destination: str
    sync: str
    calls: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class VendorCount:
    """A vendor's own counter of an account's calls, as it stood `at`; `since` is what we took after that."""

    used: int
    limit: int
    at: float
    since: int
    asked_at: float
    """When a call was last made to learn whether there is room again."""


class Refusal(StrEnum):
    BUDGET = "budget"  # the day's calls are used up
    VENDOR = "vendor"  # by the vendor's own counter only what is left for other tools is there


@dataclass(frozen=True)
class Room:
    """How an account stands: `calls` made on this UTC day by all syncs, and how many are `left` (None: any number)."""

    calls: int
    vendor: VendorCount | None
    left: int | None
    refused: Refusal | None = None
    asks: bool = False
    """There is no room by the vendor's counter, but it is old: what is left is for learning what it says now."""


@dataclass(frozen=True)
class Taken:
    """Calls that were counted on a UTC `day` and may be made, and how the account stood before."""

    day: str
    calls: int
    room: Room


@dataclass(frozen=True)
class ModelResult:
    """The last result of a model's dbt test: `pass`, `fail`, `warn`, `error` or `skipped`."""

    test: str
    status: str
    at: float


class Stopped(ReverseEtlError):
    """The kill switch is on; `stop` says for what, by whom and why."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        at = datetime.fromtimestamp(stop.at, UTC).isoformat(timespec="seconds")
        given = f" in {stop.given_in}" if stop.given_in else ""
        super().__init__(f"stopped ({stop.scope}) by {stop.who}{given} at {at}: {stop.why}")
