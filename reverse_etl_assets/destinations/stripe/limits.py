"""What Stripe takes, by object: operations, rows of a request, and requests a second."""

from dataclasses import replace

from reverse_etl_assets.destinations.stripe.fields import nested
from reverse_etl_assets.destinations.stripe.options import StripeOptions
from reverse_etl_assets.destinations.stripe.reading import CLAUSES
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.records import Capabilities, JobLimits, Operation, Target

CUSTOMERS, METER_EVENTS, METER_EVENT_STREAM = OBJECTS = ("customers", "meter_events", "meter_event_stream")

REQUESTS_PER_SECOND = 24.0
"""An endpoint takes 25, and so does a whole account in test mode; a live account takes 100 ("Rate limits",
docs.stripe.com, 2026-11). One less, because a second's edge counts on both sides. Search takes 20, and one search
stands for ten customers."""
LIVE_EVENTS_PER_SECOND, LIVE_STREAM_REQUESTS_PER_SECOND = 990.0, 99.0
"""v1 meter events have a limit of their own, 1,000; the stream takes 10,000 events a second, 100 in a request ("Record
usage for billing with the API", docs.stripe.com, 2026-05). In test mode both count against the account's 25."""
EVENTS_PER_REQUEST = 100
"""Of the stream ("Create a billing meter event with asynchronous validation", API v2 reference, 2026-05-27.dahlia)."""

_WRITES = frozenset({Operation.UPSERT, Operation.UPDATE})
_DELETING = (
    "deleting a customer is final and cancels every subscription at once. If that is meant, write `delete: true` below"
    " `options`; if not, use `sync_mode: incremental`."
)


_STREAM = JobLimits(EVENTS_PER_REQUEST, 1_000_000, opens_loaded=True, timeout=0.0)
"""The next run collects: a wait for each request would take the stream its speed."""


def in_test_mode(target: Target, options: StripeOptions) -> Capabilities:
    """Limits of test mode, which are the lower ones. Stripe does not publish its limit of concurrency, nor of bytes.

    An object whose parts are mapped is written as a whole: whether Stripe keeps the parts of an address that are not
    sent is not documented. Raises SpecError for deletes that nobody has asked for in so many words.
    """
    if target.object in (METER_EVENTS, METER_EVENT_STREAM):
        insert = frozenset({Operation.INSERT})
        rows = 1 if target.object == METER_EVENTS else EVENTS_PER_REQUEST
        jobs = _STREAM if target.object == METER_EVENT_STREAM else None
        return Capabilities(
            insert, insert, rows, 1_000_000, REQUESTS_PER_SECOND, concurrency=16, confirms=rows == 1, jobs=jobs
        )
    if not options.delete and {Operation.UPSERT, Operation.DELETE} <= target.operations:
        raise SpecError(_DELETING)
    by_id = target.external_id == "id"
    able = _WRITES | ({Operation.DELETE} if options.delete else set())
    able -= {Operation.UPSERT} if by_id else set()
    return Capabilities(
        operations=frozenset(able),
        idempotent=frozenset(able),
        max_rows=1,
        max_bytes=1_000_000,
        requests_per_second=REQUESTS_PER_SECOND,
        concurrency=8,
        needs_id=frozenset() if by_id else frozenset(able),
        find_limit=CLAUSES,
        partial=frozenset() if nested(target.fields) else frozenset(able & _WRITES),
        erases=True,
    )


def in_live_mode(able: Capabilities, object_name: str) -> Capabilities:
    """The same with the limits of a live account, where each endpoint has its own."""
    rates = {METER_EVENTS: LIVE_EVENTS_PER_SECOND, METER_EVENT_STREAM: LIVE_STREAM_REQUESTS_PER_SECOND}
    rate = rates.get(object_name, REQUESTS_PER_SECOND)
    return replace(able, requests_per_second=rate, rate_scope=object_name)
