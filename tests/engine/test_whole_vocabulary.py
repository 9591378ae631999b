"""Each word that an outcome or an error may have, from the list of all of them: what it means for rows and runs."""

from collections.abc import Iterator
from typing import ClassVar

import duckdb
import httpx
import pytest

from reverse_etl_assets.destinations.base import Account
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import (
    AuthenticationFailed,
    BudgetSpent,
    DestinationError,
    Hopeless,
    JobRefused,
    QuotaExhausted,
    TargetChanged,
    Unavailable,
)
from reverse_etl_assets.journal.records import RunStatus
from reverse_etl_assets.records import Reason, Status
from reverse_etl_assets.state.ledger import settled
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import SINK, Shop, sink, sink_sync

AGREED = (Reason.ALREADY_EXISTS, Reason.ALREADY_GONE, Reason.SAME, Reason.KEPT, Reason.SHARED)
DONE = (Status.CREATED, Status.UPDATED, Status.DELETED)


@pytest.mark.parametrize(
    ("status", "reason", "agrees"),
    [
        *((status, None, status in DONE) for status in Status),
        *((Status.SKIPPED, reason, reason in AGREED) for reason in Reason),
    ],
)
def test_after_what_row_and_record_agree(status: Status, reason: Reason | None, agrees: bool) -> None:
    """Then the row counts as synced; after all else the next run finds it again."""
    query = f"select {settled('o')} from (select ?::varchar as status, ?::varchar as reason) as o"
    assert duckdb.execute(query, [status, reason]).fetchall() == [(agrees,)]


# A ContractViolation of the destination's code is that of one answer; after 25 in a row it ends the run, too.
ENDS = {
    AuthenticationFailed,
    BudgetSpent,
    Hopeless,
    JobRefused,
    QuotaExhausted,
    TargetChanged,
    Unavailable,
}


def all_of(kind: type[DestinationError]) -> Iterator[type[DestinationError]]:
    for each in kind.__subclasses__():
        if each.__module__ == DestinationError.__module__:
            yield each
            yield from all_of(each)


class Says(Webhook):
    """Answers everything with one error."""

    raises: ClassVar[type[DestinationError]]

    def error_for(self, response: httpx.Response) -> DestinationError:
        return self.raises("words of the vendor")


@pytest.mark.parametrize("kind", list(all_of(DestinationError)))
def test_which_errors_end_a_run(
    shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: type[DestinationError]
) -> None:
    """The others are those of a batch, and all batches have their turn."""
    monkeypatch.setattr(Says, "raises", kind, raising=False)
    sandbox.fault("server_error", vendor="rest", status=400)
    shop.build("select i::varchar as id, 'n' as name from range(12) r(i)")
    account = Account("sink", Says, sink(sandbox.url, concurrency=1).connection)
    report = shop.run(sink_sync(options={**SINK, "batch_size": 4}), account)
    unsent = report.counts.get("skipped_stopped", 0) + report.counts.get("skipped_budget", 0)
    if kind in ENDS:
        assert report.status is (RunStatus.STOPPED if kind is BudgetSpent else RunStatus.FAILED)
        assert unsent >= 8
        assert "words of the vendor" in str(report.detail)
    else:
        assert (report.status, unsent, report.counts["failed"]) == (RunStatus.DONE, 0, 12)
