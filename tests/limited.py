"""Vendors' adapters with other limits than the vendor's, so that few rows are many requests or jobs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.records import Capabilities, Target

D = TypeVar("D", bound=BaseDestination[Any, Any])


def limited(kind: type[D], *, jobs: Mapping[str, Any] | None = None, **limits: Any) -> type[D]:
    """The adapter with these limits of its capabilities, and of the jobs in them if it takes any."""

    def capabilities_for(cls: Any, target: Target, options: Any) -> Capabilities:
        able = kind.capabilities_for(target, options)
        return replace(able, **limits, jobs=able.jobs and replace(able.jobs, **(jobs or {})))

    return type(f"Limited{kind.__name__}", (kind,), {"capabilities_for": classmethod(capabilities_for)})


def jobs_from(destination: BaseDestination[Any, Any]) -> int | None:
    """From how many rows on it takes jobs; None if it does not."""
    jobs = destination.capabilities.jobs
    return jobs.from_rows if jobs else None


def spans_run(destination: BaseDestination[Any, Any]) -> bool:
    """Whether one job takes all of a run."""
    jobs = destination.capabilities.jobs
    return jobs is not None and jobs.spans_run
