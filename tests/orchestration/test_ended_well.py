"""Only a run that ended well is a materialisation: what is downstream starts with it, and freshness counts from it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.orchestration.quarantine import build_quarantine_asset
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import first, heavy
from tests.orchestration.small_project import MODEL_KEY, QUARANTINE, Ran, SmallProject


class Downstream:
    """An asset of a user's, which starts when the sync was brought up to date."""

    def __init__(self, small: SmallProject, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.small, self.instance = small, instance
        self.sync = small.asset(**changes)
        self.cursor: Any = None
        self.now = datetime.now(UTC)
        page = build_quarantine_asset(small.loaded())
        assert page is not None
        eager = dg.AutomationCondition.eager()
        mine = dg.asset(name="mine", deps=[self.sync.key], automation_condition=eager)(lambda: None)
        self.definitions = dg.Definitions([dg.asset(key=MODEL_KEY)(lambda: None), self.sync, page, mine])
        self.ran()  # as good as new

    def run(self) -> Ran:
        result = dg.materialize([self.sync], instance=self.instance, raise_on_error=False)
        return Ran(result.success, result.all_events, result.run_id)

    def ran(self) -> set[str]:
        """What a tick of the sensors asks for."""
        keys = (dg.AssetKey("mine"), QUARANTINE)
        self.now = max(datetime.now(UTC), self.now + timedelta(microseconds=1))
        result = dg.evaluate_automation_conditions(
            self.definitions,
            self.instance,
            asset_selection=dg.AssetSelection.assets(*keys),
            cursor=self.cursor,
            evaluation_time=self.now,
        )
        self.cursor = result.cursor
        return {key.path[-1] for key in keys if result.get_num_requested(key)}

    @property
    def fresh_since(self) -> float | None:
        """What freshness policies count from."""
        event = self.instance.get_latest_materialization_event(self.sync.key)
        return event.timestamp if event else None


@pytest.fixture
def fresh() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_run_whose_rows_were_all_refused_starts_nothing(
    small: SmallProject, sandbox: Sandbox, fresh: dg.DagsterInstance
) -> None:
    downstream = Downstream(small, fresh)
    sandbox.fault("refuse_rows", vendor="hubspot", percent=100)
    ran = downstream.run()
    assert not ran.success
    assert ran.materializations == []
    assert (ran.observed["failed"], ran.observed["created"]) == (100, 0)
    assert downstream.fresh_since is None
    assert downstream.ran() == {"quarantine"}, "the run that fills the page brings it up to date"
    assert downstream.ran() == set()

    sandbox.faults.clear()
    assert downstream.run().success
    assert downstream.fresh_since is not None
    assert downstream.ran() == {"mine", "quarantine"}


@pytest.mark.parametrize("end", first(["in_flight", "stopped", "guarded", "token", "check"]))
def test_a_run_that_ends_early_starts_nothing(
    small: SmallProject, sandbox: Sandbox, fresh: dg.DagsterInstance, end: str
) -> None:
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(300) r(i)")
    changes: dict[str, Any] = {"guards": {"in_flight": {"window": 50}}} if end == "in_flight" else {}
    downstream = Downstream(small, fresh, **changes)
    if end == "in_flight":
        sandbox.fault("refuse_rows", vendor="hubspot", percent=100)
    elif end == "stopped":
        small.project.journal.stop("all", "ada", "why not")
    elif end == "guarded":
        small.build("select '' as email, '' as name where false")
    elif end == "token":
        sandbox.fault("expire_token", vendor="hubspot", path="batch/upsert", skip=1)
    else:
        sandbox.fault("expire_token", vendor="hubspot")
    ran = downstream.run()
    assert not ran.success
    assert ran.materializations == []
    assert downstream.fresh_since is None
    assert downstream.ran() == {"quarantine"}


@heavy
def test_a_run_with_as_many_failed_rows_as_allowed_counts(
    small: SmallProject, sandbox: Sandbox, fresh: dg.DagsterInstance
) -> None:
    downstream = Downstream(small, fresh, max_failed={"percent": 90})
    sandbox.fault("refuse_rows", vendor="hubspot", percent=30)
    ran = downstream.run()
    assert ran.success
    assert ran.metadata["failed"] > 0
    assert downstream.ran() == {"mine", "quarantine"}
