"""A run whose rows the destination has and has not settled yet: neither a success nor a failure in Dagster."""

import dagster as dg
import pytest

from reverse_etl_assets.destinations.salesforce import Salesforce
from reverse_etl_assets.orchestration.vendor_resources import SalesforceResource
from reverse_etl_sandbox.server import Sandbox
from tests.limited import limited
from tests.orchestration.small_project import SmallProject


class HurriedResource(SalesforceResource):
    destination_type = limited(Salesforce, jobs={"timeout": 0.0})


def test_a_job_that_takes_longer_than_the_run_waits(
    small: SmallProject, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SALESFORCE_SECRET", "sandbox-secret")
    small.destinations["org"] = HurriedResource(
        base_url=f"{sandbox.url}/salesforce", client_id="sandbox", client_secret=dg.EnvVar("TEST_SALESFORCE_SECRET")
    )
    small.build("select 'u' || i || '@example.com' as email, 'n' || i as name from range(5) r(i)")
    asset = small.asset(
        destination="org",
        object="Contact",
        external_id="External_Id__c",
        primary_key="name",
        mapping={"LastName": "name", "Email": "email"},
        options={"bulk_threshold": 1},
        verify={"sample": 0},
        before_images="synced",
    )
    sandbox.settings.change({"salesforce_bulk_polls": 2})
    first = small.run(asset)
    assert first.success
    assert first.materializations == []
    told = [event for event in first.events if event.event_type is dg.DagsterEventType.ASSET_OBSERVATION]
    (seen,) = [event.asset_observation_data.asset_observation for event in told]
    assert "still running" in str(seen.metadata["waits for"].value)
    assert seen.metadata["added"].value == 5
    again = small.run(asset)
    assert (again.success, again.materializations) == (True, [])
    last = small.run(asset)
    assert last.success
    assert "recovered runs" in last.metadata
    assert len(sandbox.salesforce.tables["Contact"].live()) == 5
    assert sum(line.operation == "upload" or line.path.endswith("/batches") for line in sandbox.log.lines()) == 1
