"""What the engine knows of a destination: two methods that it needs, and further abilities that one may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from reverse_etl_assets.records import Batch, Capabilities, Current, Outcome


class Destination(Protocol):
    """What the engine knows of a destination. Opened for one sync and one run."""

    capabilities: Capabilities

    async def check(self) -> None:
        """Verify credentials, object, key field and every mapped field. Raises CheckFailed with all problems."""

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        """Send one request, or raise a DestinationError. Outcomes carry our keys, in any order."""


NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})


@runtime_checkable
class FindsRecords(Protocol):
    """Can look records up by external id, as many at once as `Capabilities.find_limit` says; needed for the operations
    in `Capabilities.needs_id`."""

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The destination ids of the records that carry each external id now; an absent one has none.

        Keys of the answer are the external ids as they were asked for. One request. It may lag behind writes: a row
        whose id is known is sent to that id if nothing is found.
        """


@runtime_checkable
class ReadsRecords(Protocol):
    """Can read back what it holds, as many at once as `Capabilities.read_limit` says: needed for field rules, exact
    undo, verification, drift and `cutover: adopt`.

    Reads see every write that was answered before them. A search index that lags behind is no place to read from.
    """

    async def read_records(
        self, external_ids: Sequence[str], known: Mapping[str, str] = NOTHING_KNOWN
    ) -> Mapping[str, Sequence[Current]]:
        """The records that carry each external id, with all fields of the target; an absent one has none.

        `known` has the id of the record as we know it, by external id. Where no record carries the external id, the one
        of that id is read, if it is there: somebody has given it another key, or it stands for another row as well. A
        destination that has no ids ignores it.

        Keys of the answer are the external ids as they were asked for. Of several records with one id all are given,
        for the caller to refuse. Usually one request; more if the vendor cuts its answers into pages.
        """

    def same(self, field: str, sent: Any, held: Any) -> bool:
        """Whether this destination would hold `held` after `sent` was written to the field; both as in `Record.fields`
        or `Current.fields`. Forgives what the vendor does to values: case of addresses, digits, zones.

        Asked for every field of every row that is read, so it has to be quick, above all for equal values.
        `values.same_value` is what most vendors have in common.
        """


@runtime_checkable
class RestoresRecords(Protocol):
    """Keeps deleted records for a while, and can bring one back under its own id: an undo asks for that before it makes
    a record anew."""

    async def restore(self, destination_ids: Sequence[str]) -> Mapping[str, bool]:
        """Whether each record is back now; false for one that is not kept any more, or never was gone. One request,
        which may be asked again."""


class JobState(StrEnum):
    """Where a job stands, as far as it matters to whoever waits for it."""

    OPEN = "open"  # not handed over: nothing of it is or will be processed
    RUNNING = "running"
    DONE = "done"  # outcomes can be collected, also those of a job that failed half way
    GONE = "gone"  # the destination does not know it any more


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a job a batch is."""

    number: int = 1
    """Counted from 1."""
    last: bool = True
    """The job starts once it has this part."""


@runtime_checkable
class RunsJobs(Protocol):
    """Takes large change sets as asynchronous jobs, as `Capabilities.jobs` says. The engine keeps the job's id and
    polls, also after a crash."""

    capabilities: Capabilities

    async def open_job(self, batch: Batch) -> str:
        """Create an empty job and return its id. Nothing is processed yet, unless `JobLimits.opens_loaded`."""

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        """Hand the rows over; with the last part let the job start."""

    async def poll(self, job_id: str) -> JobState: ...

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        """One outcome for each row that the job's results name; of a job that spans the run, of the batch's rows
        alone."""
