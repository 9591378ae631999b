"""Verified delivery and drift in Dagster: what is red, yellow or green, and when drift is looked for."""

from typing import Any

import dagster as dg
import pytest

from reverse_etl_assets.orchestration.drift import build_drift_check
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.small_project import Ran, SmallProject

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def figures(check: Any) -> dict[str, Any]:
    return {name: value.value for name, value in check.metadata.items() if name != "differences"}


def differences(check: Any) -> list[dict[str, Any]]:
    return [dict(row.data) for row in check.metadata["differences"].records]


def numbers(looked_at: int, differing: int = 0, missing: int = 0, duplicates: int = 0) -> dict[str, int]:
    found = (looked_at, differing, missing, duplicates)
    return dict(zip(("looked at", "differing", "missing", "possible duplicates"), found, strict=True))


@heavy
def test_a_delivery_that_arrived_is_green(small: SmallProject) -> None:
    ran = small.run(small.asset(verify={"sample": 30}))
    check = ran.checks["verified_delivery"]
    assert (check.passed, check.description) == (True, "30 rows looked at: each is as it should be")
    assert figures(check) == numbers(30)


def test_what_did_not_arrive_is_red_and_named(small: SmallProject, sandbox: Sandbox) -> None:
    asset = small.asset(before_images="synced", verify={"sample": "all"})
    small.run(asset)
    sandbox.fault("lose_writes", vendor="hubspot", percent=100)
    small.build(
        "select 'u' || i || '@example.com' as email, case i when 5 then 'new' else 'n' || i end as name"
        " from range(100) r(i)"
    )
    ran = small.run(asset)
    assert ran.success, "what was acknowledged was acknowledged"
    check = ran.checks["verified_delivery"]
    assert (check.passed, check.severity) == (False, ERROR)
    assert check.description == "1 rows looked at: 1 differing"
    assert figures(check) == numbers(1, differing=1)
    row = {"row": "u5@example.com", "what": "differs", "field": "firstname"}
    assert differences(check) == [{**row, "sent": "n***", "the record holds": "***"}]


@heavy
def test_a_look_that_failed_is_yellow(small: SmallProject, sandbox: Sandbox) -> None:
    sandbox.fault("expire_token", vendor="hubspot", path="batch/read")
    ran = small.run(small.asset(before_images="synced"))
    assert ran.success
    check = ran.checks["verified_delivery"]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description.startswith("not judged: ")


@heavy
def test_nothing_to_look_at_is_as_green_as_a_guard_without_a_limit(small: SmallProject) -> None:
    asset = small.asset(verify={"sample": 0})
    check = small.run(asset).checks["verified_delivery"]
    assert (check.passed, check.description) == (True, "nothing is looked at (`verify.sample: 0`)")
    check = small.run(asset).checks["verified_delivery"]
    assert (check.passed, check.description) == (True, "the run wrote nothing")
    small.build("select 'x' as email, 'n' as name from range(0)")
    check = small.run(asset).checks["verified_delivery"]
    assert check.passed
    assert check.description == "nothing was sent; as it was judged before: the run wrote nothing"


class Drifting:
    """A sync with a drift check, each in runs of its own."""

    def __init__(self, small: SmallProject, **drift: Any) -> None:
        verify = {"sample": 0, "drift": {"cron": "0 4 * * *", "sample": "all", **drift}}
        file = small.write_sync(before_images="synced", verify=verify)
        loaded = small.loaded().syncs[file.stem]
        self.small, self.key = small, loaded.key
        self.definitions = dg.Definitions(
            [small.asset_of(loaded)], asset_checks=[build_drift_check(loaded, small.project)]
        )

    def materialize(self) -> Ran:
        return self._run(asset_selection={self.key})

    def look(self) -> Any:
        ran = self._run(asset_check_selection={dg.AssetCheckKey(self.key, "drift")})
        assert ran.checks.keys() == {"drift"}
        return ran.checks["drift"]

    def _run(self, **selection: Any) -> Ran:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        result = job.get_subset(**selection).execute_in_process(instance=self.small.instance, raise_on_error=False)
        return Ran(result.success, result.all_events, result.run_id)

    def edit(self, sandbox: Sandbox, email: str, **values: str) -> None:
        (entry,) = sandbox.hubspot.tables["contacts"].find("email", email)
        sandbox.edit("hubspot", "contacts", entry.id, values)


@heavy
def test_drift_is_red_with_rows_and_fields(small: SmallProject, sandbox: Sandbox) -> None:
    drifting = Drifting(small)
    drifting.materialize()
    assert drifting.look().passed
    drifting.edit(sandbox, "u5@example.com", firstname="Edited")
    check = drifting.look()
    assert (check.passed, check.severity, check.blocking) == (False, ERROR, False)
    assert check.description == "100 rows looked at: 1 differing"
    found = figures(check)
    assert found.pop("looked (UTC)")
    assert found == {**numbers(100, differing=1), "fields edited, allowed": 0, "to mend": 0, "to make anew": 0}
    row = {"row": "u5@example.com", "what": "differs", "field": "firstname"}
    assert differences(check) == [{**row, "sent": "***", "the record holds": "E***"}]


@heavy
def test_a_materialisation_repeats_the_last_look_and_makes_none(small: SmallProject, sandbox: Sandbox) -> None:
    drifting = Drifting(small)
    check = drifting.materialize().checks["drift"]
    assert (check.passed, check.severity) == (False, WARN)
    assert check.description == "not judged: nobody has looked yet; the check has a schedule of its own"
    drifting.edit(sandbox, "u5@example.com", firstname="Edited")
    looked = drifting.look()
    asked = len(sandbox.log.lines())
    for _ in range(2):
        again = drifting.materialize().checks["drift"]
        assert (again.passed, again.severity, figures(again)) == (False, ERROR, figures(looked))
        assert again.description == f"as of the last look, which has a time of its own: {looked.description}"
        assert differences(again) == differences(looked)
    assert len(sandbox.log.lines()) == asked


@heavy
def test_a_repair_by_schedule_lets_the_next_run_send_what_differs(small: SmallProject, sandbox: Sandbox) -> None:
    drifting = Drifting(small, repair="resend")
    drifting.materialize()
    drifting.edit(sandbox, "u5@example.com", firstname="Edited")
    check = drifting.look()
    assert (check.passed, figures(check)["to mend"]) == (False, 1)
    assert drifting.materialize().metadata["updated"] == 1
    assert drifting.look().passed


def test_drift_that_cannot_be_looked_for_is_yellow(small: SmallProject, monkeypatch: pytest.MonkeyPatch) -> None:
    drifting = Drifting(small)
    check = drifting.look()
    assert (check.passed, check.severity) == (False, WARN)
    assert "has not run yet" in check.description
    monkeypatch.delenv("TEST_CRM_TOKEN")
    assert "access_token needs the environment variable TEST_CRM_TOKEN" in drifting.look().description
