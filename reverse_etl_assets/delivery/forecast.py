"""What a run will take of an account, in requests and money: from its plan and the destination's limits."""

from dataclasses import dataclass

from reverse_etl_assets.delivery.dispatcher import READ_BEFORE_JOB
from reverse_etl_assets.delivery.feed import ENVELOPE
from reverse_etl_assets.destinations.base import Account, FindsRecords, ReadsRecords
from reverse_etl_assets.plan.change_set import Plan
from reverse_etl_assets.records import Operation
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.warehouses.columns import Columns
from reverse_etl_assets.warehouses.connection import Connection

_CALLS_PER_JOB = 5  # open, upload, close, poll, collect: the fewest
_MEASURED = 10_000  # rows whose size is looked at


@dataclass(frozen=True)
class Forecast:
    """Requests of a run in which nothing has to be sent again. Signing in and the daily check come on top."""

    writes: int
    reads: int
    """To look records up or to read them back, before they are written."""
    verifies: int
    """To read back a sample of what was written."""
    full_sync: int
    """Requests to write every row of the model."""
    cost: float

    @property
    def calls(self) -> int:
        return self.writes + self.reads + self.verifies

    @property
    def saved(self) -> int:
        return max(0, self.full_sync - self.calls)


def forecast(con: Connection, columns: Columns, plan: Plan, account: Account, outbox: str = "state.outbox") -> Forecast:
    """Of the plan in the outbox. Rows that need no write after all, as the record holds them already, are counted."""
    reckoner = _Reckoner(con, columns, account, outbox)
    requests = [reckoner.requests(operation, rows) for operation, rows in plan.to_send.items()]
    writes, reads = sum(each[0] for each in requests), sum(each[1] for each in requests)
    sent = sum(plan.to_send.values())
    verifies = reckoner.verifies(sent)
    cost = columns.sync.cost.price(calls=writes + reads + verifies, rows=sent)
    return Forecast(writes, reads, verifies, reckoner.full_sync(plan.model_rows), cost)


class _Reckoner:
    """Asks a destination for its limits, and the outbox for its rows."""

    def __init__(self, con: Connection, columns: Columns, account: Account, outbox: str) -> None:
        self._con, self._columns, self._outbox = con, columns, outbox
        self._route = Route(columns.sync, account.type)
        self._reads_first = self._route.reads_first
        self._destination = account.type.unopened(account.connection, columns.target, self._route.options)

    def requests(self, operation: Operation, rows: int) -> tuple[int, int]:
        """To write the rows of one operation, and to read before that."""
        destination, as_job = self._destination, self._as_job(rows)
        batch_rows = self._batch_rows(operation, as_job)
        batches, reads = _divide_up(rows, batch_rows), 0
        if self._reads_first and operation is not Operation.INSERT and isinstance(destination, ReadsRecords):
            reads = batches * _divide_up(min(rows, batch_rows), destination.capabilities.read_limit)
        elif operation in destination.capabilities.needs_id and isinstance(destination, FindsRecords):
            reads = _divide_up(self._to_find(operation), destination.capabilities.find_limit)
        return batches * (_CALLS_PER_JOB if as_job else 1), reads * destination.capabilities.requests_per_read

    def verifies(self, rows: int) -> int:
        sample = self._columns.sync.verify.sample
        if not isinstance(self._destination, ReadsRecords) or not self._route.reads_back:
            return 0
        reads = _divide_up(rows if sample == "all" else min(rows, sample), self._destination.capabilities.read_limit)
        return reads * self._destination.capabilities.requests_per_read

    def full_sync(self, rows: int) -> int:
        calls = _divide_up(rows, self._destination.capabilities.max_rows)
        jobs = self._destination.capabilities.jobs
        if jobs and self._as_job(rows):
            return min(calls, _CALLS_PER_JOB * _divide_up(rows, jobs.max_rows))
        return calls

    def _as_job(self, rows: int) -> bool:
        jobs = self._destination.capabilities.jobs
        return jobs is not None and (jobs.spans_run or rows >= jobs.from_rows)

    def _batch_rows(self, operation: Operation, as_job: bool) -> int:
        """How many rows fill a request or a job, by number or by size."""
        limits = self._destination.capabilities
        most_rows, most_bytes = limits.max_rows, limits.max_bytes
        if as_job and limits.jobs:
            most_rows, most_bytes = limits.jobs.max_rows, limits.jobs.max_bytes
            most_rows = min(most_rows, READ_BEFORE_JOB) if self._reads_first else most_rows
        return max(1, min(most_rows, int(most_bytes / (self._row_bytes(operation) + ENVELOPE))))

    def _row_bytes(self, operation: Operation) -> float:
        fields = f"coalesce(sent, case when after is not null then ({self._columns.json('after')})::varchar end)"
        some = f"select * from {self._outbox} where operation = $operation limit {_MEASURED:d}"
        return float(self._number(f"select coalesce(avg(strlen({fields})), 0) from ({some})", operation))

    def _to_find(self, operation: Operation) -> int:
        """Records whose id at the destination is not known, or is looked up all the same."""
        unknown = "operation = $operation and (operation in ('update', 'delete') or destination_id is null)"
        return int(self._number(f"select count(*) from {self._outbox} where {unknown}", operation))

    def _number(self, query: str, operation: Operation) -> float:
        row = self._con.execute(query, {"operation": operation.value}).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return float(row[0])


def _divide_up(rows: int, size: int) -> int:
    return -(-rows // size)
