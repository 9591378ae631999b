"""Syncs that promise to be fresh run when they have to, and not at every tick."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from tests.orchestration.small_project import MODEL_KEY, SmallProject


class Ticks:
    """The sensor's ticks over one sync with a promise, in an instance without other tests' history."""

    def __init__(self, sync: dg.AssetsDefinition) -> None:
        unique = dg.AssetCheckSpec("unique", asset=MODEL_KEY, blocking=True)
        model = dg.asset(key=MODEL_KEY, check_specs=[unique])(lambda: None)
        self.definitions = dg.Definitions([model, sync])
        self.key = sync.key
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: Any = None
        self.now = datetime(2026, 6, 30, 12, 10, tzinfo=UTC)

    def tick(self) -> int:
        """How many runs of the sync are asked for."""
        self.now += timedelta(seconds=30)
        result = dg.evaluate_automation_conditions(
            self.definitions,
            self.instance,
            asset_selection=dg.AssetSelection.assets(self.key),
            cursor=self.cursor,
            evaluation_time=self.now,
        )
        self.cursor = result.cursor
        return result.get_num_requested(self.key)

    def materialized(self, key: dg.AssetKey) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key))

    def tested(self, passed: bool) -> None:
        """dbt's tests of the model have run."""
        check = dg.AssetCheckEvaluation(asset_key=MODEL_KEY, check_name="unique", passed=passed, metadata={})
        self.instance.report_runless_asset_event(check)

    def is_now(self, state: FreshnessState) -> None:
        """What the freshness daemon writes."""
        change = FreshnessStateChange(
            key=self.key, previous_state=FreshnessState.UNKNOWN, new_state=state, state_change_timestamp=0.0
        )
        self.instance._report_runless_asset_event(change)


@pytest.fixture
def ticks(small: SmallProject) -> Iterator[Ticks]:
    ticks = Ticks(small.asset(schedule={"fresh_within": "6 hours", "warn_after": "4 hours"}))
    with ticks.instance:
        yield ticks


def test_a_sync_that_never_ran_waits_for_its_model(ticks: Ticks) -> None:
    assert ticks.tick() == 0
    ticks.materialized(MODEL_KEY)
    ticks.tested(passed=True)
    assert [ticks.tick(), ticks.tick()] == [1, 0]


def test_one_attempt_when_it_grows_old_and_one_when_it_is_too_old(ticks: Ticks) -> None:
    ticks.materialized(MODEL_KEY)
    ticks.tested(passed=True)
    ticks.materialized(ticks.key)
    ticks.is_now(FreshnessState.PASS)
    assert ticks.tick() == 0
    ticks.is_now(FreshnessState.WARN)
    assert [ticks.tick(), ticks.tick(), ticks.tick()] == [1, 0, 0]
    ticks.is_now(FreshnessState.FAIL)
    assert [ticks.tick(), ticks.tick(), ticks.tick()] == [1, 0, 0]
    ticks.now += timedelta(hours=1)  # the attempt failed; the destination may be back
    assert [ticks.tick(), ticks.tick(), ticks.tick()] == [1, 0, 0]
    ticks.materialized(ticks.key)
    ticks.is_now(FreshnessState.PASS)
    ticks.now += timedelta(hours=1)
    assert ticks.tick() == 0


def test_no_attempt_while_a_test_of_the_model_fails(ticks: Ticks) -> None:
    ticks.materialized(MODEL_KEY)
    ticks.tested(passed=False)
    ticks.materialized(ticks.key)
    ticks.is_now(FreshnessState.FAIL)
    assert [ticks.tick(), ticks.tick()] == [0, 0]
    ticks.tested(passed=True)
    assert ticks.tick() == 1


def test_a_sync_without_a_promise_has_no_condition(small: SmallProject) -> None:
    sync = small.asset(schedule="0 6 * * *")
    assert sync.automation_conditions_by_key == {}
