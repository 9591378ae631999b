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
    """Can look records up by external id; needed for operations named in `Capabilities.needs_id`."""

    find_limit: int
    """Most external ids in one lookup."""

    async def find(self, external_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The destination ids of the records that carry each external id now; an absent one has none.

        Keys of the answer are the external ids as they were asked for. One request. It may lag behind writes: a row
        whose id is known is sent to that id if nothing is found.
        """


@runtime_checkable
class ReadsRecords(Protocol):
    """Can read back what it holds: needed for field rules, exact undo, verification, drift and `cutover: adopt`.

    Reads see every write that was answered before them. A search index that lags behind is no place to read from.
    """

    read_limit: int
    """Most external ids in one read; the engine never asks for more."""

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

    restore_limit: int
    """Most ids in one request."""

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
    """Takes large change sets as asynchronous jobs. The engine keeps the job's id and polls, also after a crash."""

    job_threshold: int
    """From how many rows of one operation a job is used."""
    job_max_rows: int
    """Of a job, or of a part of one that spans the run."""
    job_max_bytes: int
    job_opens_loaded: bool
    """`open_job` hands the rows over as well, and `upload` is not called: the vendor tells the id only then."""
    job_spans_run: bool
    """One job takes all batches of a run, whatever their operation, as parts that come one after the other; nothing of
    it shows at the destination before the last one came. `job_threshold` does not count then."""
    job_timeout: float | None
    """Seconds that a run waits for a job that is still running; then the next run of the sync collects its results.
    None waits as long as it takes."""

    async def open_job(self, batch: Batch) -> str:
        """Create an empty job and return its id. Nothing is processed yet, unless `job_opens_loaded`."""

    async def upload(self, job_id: str, batch: Batch, part: Part) -> None:
        """Hand the rows over; with the last part let the job start."""

    async def poll(self, job_id: str) -> JobState: ...

    async def collect(self, job_id: str, batch: Batch) -> Sequence[Outcome]:
        """One outcome for each row that the job's results name; with `job_spans_run` of the batch's rows alone."""
