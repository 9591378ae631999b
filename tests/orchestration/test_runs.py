"""A sync's run as Dagster shows it: what is recorded, what is red, and what is never sent."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.guards import GUARDS
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource
from reverse_etl_assets.records import Batch, Outcome, Status
from reverse_etl_assets.state.lock import exclusive
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.journal_entries import record_model_results
from tests.orchestration.small_project import MODEL_KEY, TOKEN, SmallProject, stored

CHECKS = {"guards", "row_count_anomaly", "delivery", "held_and_quarantined", "verified_delivery"}
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def figures_of(check: Any) -> dict[str, float]:
    return {name: value.value for name, value in check.metadata.items()}


def writes(sandbox: Sandbox) -> int:
    return sum(1 for line in sandbox.log.lines("hubspot") if "/batch/" in line.path)


def test_a_run_is_recorded_with_its_figures(small: SmallProject, sandbox: Sandbox) -> None:
    ran = small.run(small.asset())
    assert ran.success
    assert len(sandbox.hubspot.tables["contacts"].live()) == 100
    figures = ran.metadata
    assert figures["dagster/row_count"] == figures["added"] == figures["created"] == 100
    assert (
        figures["calls"] == 4
    )  # properties, the records before they are written, the write, and a look at what it left
    assert figures["bytes"] > 1_000
    assert "cost" not in figures
    assert {name: check.passed for name, check in ran.checks.items()} == dict.fromkeys(CHECKS, True)


@heavy
def test_a_second_run_sends_nothing_and_says_what_that_saved(small: SmallProject, sandbox: Sandbox) -> None:
    asset = small.asset(cost={"per_call": 2, "per_row": 0.5})
    assert small.run(asset).metadata["cost"] == 4 * 2 + 100 * 0.5
    before = len(sandbox.log.lines())
    figures = small.run(asset).metadata
    assert len(sandbox.log.lines()) == before
    assert (figures["unchanged"], figures["calls"], figures["calls saved"], figures["cost"]) == (100, 0, 1, 0)


def test_a_tripped_guard_fails_the_run_before_a_single_request(small: SmallProject, sandbox: Sandbox) -> None:
    asset = small.asset(owners=["team:growth"])
    small.run(asset)
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(60) r(i)")
    before = len(sandbox.log.lines())
    ran = small.run(asset)
    assert not ran.success
    assert len(sandbox.log.lines()) == before
    assert ran.materializations == []
    assert "max_removed" in str(ran.failure.description)
    assert ran.checks.keys() == CHECKS
    assert {name for name, check in ran.checks.items() if not check.passed} == {"guards"}
    check = ran.checks["guards"]
    assert check.severity is ERROR
    said = "nothing was sent; max_removed: 40 removed: 40.00 % of 100 synced rows; the limit is 25 %; plan "
    assert check.description.startswith(said)
    assert check.description.endswith(
        " waits for a decision. To do: ask why these rows left the model; if they are gone for good, approve the plan."
        " Owner: team:growth."
    )
    assert check.metadata["max_removed"].value == 40
    assert ran.observed["guards"].records == check.metadata["guards"].records
    removed = ran.guards["max_removed"]
    assert (removed["result"], removed["value"], removed["limit"]) == ("tripped", 40, 25)
    assert [ran.guards[name]["result"] for name in ("model_tests", "max_added", "in_flight")] == [
        "held",
        "held",
        "not judged",
    ]
    assert ran.guards.keys() == {guard.name for guard in GUARDS}
    assert ran.checks["delivery"].description == "nothing was sent; as it was judged before: 0 of 100 rows failed"


def test_a_first_run_that_sends_nothing_has_one_red_check(small: SmallProject) -> None:
    small.build("select '' as email, '' as name where false")
    ran = small.run(small.asset())
    assert {name for name, check in ran.checks.items() if not check.passed} == {"guards"}
    assert ran.checks["delivery"].description == "not judged: nothing was sent"


@heavy
def test_the_guards_of_fields_tell_the_worst_field(small: SmallProject) -> None:
    asset = small.asset(guards={"every_field": {"max_changed": {"percent": 60}}})
    small.run(asset)
    small.build(
        "select 'u' || i || '@example.com' as email, case when i >= 50 then 'n' || i end as name from range(100) r(i)"
    )
    ran = small.run(asset)
    emptied, changed = ran.guards["emptied_fields"], ran.guards["field_changes"]
    assert "firstname loses its value in 50 rows" in emptied["why"]
    assert (emptied["result"], emptied["value"], emptied["limit"]) == ("tripped", 50, 20)
    assert changed["why"] == "firstname changes in 50 rows: 50.00 % of 100 synced rows; the limit is 60 %"
    assert (changed["result"], changed["value"], changed["limit"]) == ("held", 50, 60)
    figures = ran.checks["guards"].metadata
    assert (figures["emptied_fields"].value, figures["field_changes"].value) == (50, 50)


@heavy
def test_a_run_that_the_guard_in_flight_ends(small: SmallProject, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="hubspot", percent=100)
    ran = small.run_job(
        small.asset(guards={"in_flight": {"window": 50}}), op_retry_policy=dg.RetryPolicy(max_retries=2)
    )
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in {event.event_type for event in ran.events}
    check, tripped = ran.checks["guards"], ran.guards["in_flight"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.description == (
        "in_flight: up to 100 % of the latest 50 rows failed; the limit is 50 %."
        " To do: look why these rows failed; the next run sends the rest."
    )
    assert (tripped["result"], tripped["value"], tripped["limit"]) == ("tripped", 100, 50)
    assert "guard in_flight" in str(ran.failure.description)


@heavy
def test_a_run_that_breaks_off_leaves_no_check_unsaid(small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_CRM_TOKEN")
    checks = small.run(small.asset()).checks
    assert checks.keys() == CHECKS
    assert {(check.passed, check.severity) for check in checks.values()} == {(False, WARN)}
    assert {check.description for check in checks.values()} == {"not judged: the run broke off"}


def test_a_run_that_another_one_keeps_out_leaves_the_checks_as_they_were(small: SmallProject) -> None:
    asset = small.asset(name="contacts")
    before = small.run(asset).checks
    small.build("select '' as email, '' as name where false")  # what it would say, had it looked
    for _ in range(2):
        with exclusive("contacts", small.project.warehouse):
            ran = small.run(asset)
        assert not ran.success
        assert ran.checks.keys() == CHECKS
        for name, check in ran.checks.items():
            assert (check.passed, check.severity) == (before[name].passed, before[name].severity), name
            assert check.description == (
                "sync contacts is being run by another process; wait for it or stop it."
                f"; as it was judged before: {before[name].description}"
            )


def test_an_empty_model_sends_nothing_and_is_not_tried_again(small: SmallProject, sandbox: Sandbox) -> None:
    small.build("select '' as email, '' as name where false")
    ran = small.run_job(small.asset(), op_retry_policy=dg.RetryPolicy(max_retries=2))
    assert not ran.success
    assert "empty_model" in str(ran.failure.description)
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in {event.event_type for event in ran.events}
    assert sandbox.log.lines() == []


@heavy
def test_failed_tests_of_the_model_keep_a_later_run_from_sending(small: SmallProject, sandbox: Sandbox) -> None:
    record_model_results(small.project.journal, "model.shop.people", {"unique_people_email": "fail", "size": "warn"})
    ran = small.run(small.asset())
    assert not ran.success
    assert "unique_people_email" in str(ran.failure.description)
    assert "size" not in str(ran.failure.description)
    assert sandbox.log.lines() == []


@pytest.fixture
def alone(small: SmallProject) -> Iterator[SmallProject]:
    """In an instance that has not heard of the model."""
    with dg.DagsterInstance.ephemeral() as small.instance:
        yield small


def test_somebodys_own_dbt_assets_are_heard_of(alone: SmallProject, sandbox: Sandbox) -> None:
    """They tell Dagster alone."""
    small, passed = alone, False

    @dg.asset(key=MODEL_KEY, check_specs=[dg.AssetCheckSpec("unique_people_email", asset=MODEL_KEY)])
    def people() -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(passed=passed)

    small.run(people)
    sync = small.asset()
    ran = small.run(sync)
    assert "unique_people_email" in str(ran.failure.description)
    assert sandbox.log.lines() == []
    passed = True
    small.run(people)
    ran = small.run(sync)
    assert ran.success
    said = "not judged: size ran before the model was built anew; run `dbt test`"
    assert (ran.guards["model_tests"]["result"], ran.guards["model_tests"]["why"]) == ("not judged", said)
    check = ran.checks["guards"]
    assert (check.passed, check.description) == (True, f"11 guards held; model_tests: {said}")


@heavy
def test_a_check_that_was_announced_and_did_not_run_says_nothing(alone: SmallProject) -> None:
    """dbt skips the tests of a model, and the model, if something failed before them; or the run dies."""
    small, dies = alone, False

    @dg.asset(key=MODEL_KEY, check_specs=[dg.AssetCheckSpec("unique_people_email", asset=MODEL_KEY)])
    def people() -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        if dies:
            raise RuntimeError("dbt failed")
        yield dg.MaterializeResult()
        yield dg.AssetCheckResult(passed=False)

    sync = small.asset()
    dies = True
    small.run(people)
    assert small.run(sync).success
    dies = False
    small.run(people)
    dies = True
    small.run(people)
    assert "unique_people_email" in str(small.run(sync).failure.description)


@heavy
def test_tests_of_which_nothing_is_known(alone: SmallProject, sandbox: Sandbox) -> None:
    small = alone
    (small.dbt_folder / "target" / "run_results.json").unlink()
    asked = small.asset(guards={"require_passing_tests": True})
    ran = small.run(asked)
    assert "not known to pass, as `require_passing_tests: true` asks: no results" in str(ran.failure.description)
    assert sandbox.log.lines() == []
    ran = small.run(small.asset())
    assert ran.success
    assert ran.guards["model_tests"]["result"] == "not judged"
    assert "; model_tests: not judged: no results of dbt are known" in ran.checks["guards"].description


@heavy
def test_a_row_count_out_of_line_makes_its_check_red(small: SmallProject) -> None:
    asset = small.asset(guards={"max_removed": {"percent": 100}})
    for _ in range(3):
        assert small.run(asset).success
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(40) r(i)")
    check = small.run(asset).checks["row_count_anomaly"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert figures_of(check) == {
        "model rows": 40,
        "usual rows": 100,
        "rows away": 60,
        "percent": 60,
        "limit percent": 50,
    }


@heavy
def test_too_many_failed_rows_fail_the_run_and_the_rows_that_went_out_are_recorded(
    small: SmallProject, sandbox: Sandbox
) -> None:
    sandbox.fault("refuse_rows", vendor="hubspot", percent=30)
    ran = small.run(small.asset())
    assert not ran.success
    assert "rows failed, more than max_failed allows" in str(ran.failure.description)
    assert ran.materializations == []
    figures = ran.observed
    assert 0 < figures["failed"] < figures["created"] < 100
    check = ran.checks["delivery"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.metadata["failed"].value == figures["failed"]
    assert check.metadata["limit"].value == "5 %"
    first = figures["rows (failed first)"].records[0].data
    assert first["status"] == "failed"
    assert first["reason"] == "rejected"
    assert first["message"]
    groups = [row.data for row in figures["why rows did not arrive"].records]
    assert sum(group["rows"] for group in groups) == figures["failed"]
    assert {group["next_run"] for group in groups} == {"sends it again, until it was refused too often"}
    assert list(figures)[:2] == ["why rows did not arrive", "rows (failed first)"]


class Wordless(HubSpot):
    """A destination whose author gives no reason."""

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        return [Outcome(outcome.key, Status.FAILED) for outcome in await super().send(batch)]


class WordlessResource(HubSpotResource):
    destination_type = Wordless


@heavy
def test_rows_that_failed_without_a_reason_are_shown(small: SmallProject) -> None:
    crm = WordlessResource(base_url=dg.EnvVar("TEST_CRM_URL"), access_token=dg.EnvVar("TEST_CRM_TOKEN"))
    small.__dict__["destinations"] = {"crm": crm}
    ran = small.run(small.asset())
    (group,) = [row.data for row in ran.observed["why rows did not arrive"].records]
    assert group == {"rows": 100, "status": "failed", "example_key": "u0@example.com"}


@heavy
def test_few_failed_rows_are_a_warning(small: SmallProject, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="hubspot", percent=30)
    ran = small.run(small.asset(max_failed={"percent": 90}))
    assert ran.success
    assert ran.metadata["failed"] > 0
    assert (ran.checks["delivery"].passed, ran.checks["delivery"].severity) == (False, WARN)


@heavy
def test_rows_that_the_answer_does_not_name_are_shown(small: SmallProject, sandbox: Sandbox) -> None:
    sandbox.fault("omit_rows", vendor="hubspot", percent=30)
    check = small.run(small.asset(max_failed={"percent": 90})).checks["delivery"]
    assert not check.passed
    assert check.metadata["unanswered"].value > 0


@heavy
def test_a_destination_that_does_not_fit_is_named_as_it_is(small: SmallProject, sandbox: Sandbox) -> None:
    ran = small.run(small.asset(mapping={"email": "email", "frstname": "name"}))
    assert not ran.success
    assert "frstname" in str(ran.failure.description)
    assert ran.materializations == []
    assert writes(sandbox) == 0


@heavy
def test_a_missing_variable_fails_its_own_syncs_only(small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_CRM_TOKEN")
    bystander = dg.asset(name="bystander")(lambda: None)
    ran = small.run(small.asset(), bystander)
    assert ran.failure.description == (
        "destination crm: access_token needs the environment variable TEST_CRM_TOKEN; it is not set."
    )
    assert [m.asset_key for m in ran.materializations] == [dg.AssetKey("bystander")]


@heavy
def test_a_run_that_the_destination_ends_is_recorded_and_failed(small: SmallProject, sandbox: Sandbox) -> None:
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(300) r(i)")
    sandbox.fault("expire_token", vendor="hubspot", path="batch/upsert", skip=1)
    ran = small.run(small.asset())
    assert not ran.success
    assert ran.failure.description.startswith("the run ended early: ")
    assert ran.materializations == []
    assert ran.observed["created"] == 100
    assert ran.observed["skipped"] == 200


def test_events_hold_no_secret(small: SmallProject, sandbox: Sandbox) -> None:
    sandbox.fault("refuse_rows", vendor="hubspot", percent=30)
    ran = small.run(small.asset())
    assert stored(small, ran)
    assert not [text for text in stored(small, ran) if TOKEN in text]


def test_a_run_of_300_rows_leaves_few_bytes_in_dagster(small: SmallProject) -> None:
    """Dagster keeps every event of every run."""
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(300) r(i)")
    ran = small.run_job(small.asset())
    assert sum(map(len, stored(small, ran))) < 40_000
