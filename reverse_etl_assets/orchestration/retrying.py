"""What must not be tried again, is not: neither by an op's retry policy nor by the daemon's run retries."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

_MAX_RETRIES = "dagster/max_retries"


@contextmanager
def obeyed_by_run_retries(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Iterator[None]:
    """`Failure(allow_retries=False)` holds for retry policies alone; a tag of the run tells the daemon the same.

    A run is retried as a whole, so this holds for the other syncs of the run too: their next run sends what is left.
    """
    try:
        yield
    except dg.Failure as failure:
        if not failure.allow_retries:
            context.instance.add_run_tags(context.run.run_id, {_MAX_RETRIES: "0"})
        raise
