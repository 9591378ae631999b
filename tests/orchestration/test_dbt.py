"""From dbt's build to the destination, with a real dbt."""

import pytest

from reverse_etl_assets.sandbox.server import Sandbox
from tests.orchestration.shop import Shop

pytestmark = pytest.mark.filterwarnings("ignore:AssetExecutionContext")  # dagster-dbt's own use of it

GOOD = "select 'u' || i || '@example.com' as email, 'n' || i as name from range(50) r(i)"
DUPLICATE = f"{GOOD} union all select 'u1@example.com', null"


def test_a_sync_alone_refuses_a_model_whose_tests_failed_in_an_earlier_run(shop: Shop, sandbox: Sandbox) -> None:
    shop.write_sync("dbt_contacts")
    definitions = shop.definitions()

    shop.project.journal.record_model_results("people", {"a_test_deleted_since": "fail"})
    shop.fill(DUPLICATE)
    assert not shop.run(definitions, "people").success
    alone = shop.run(definitions, "crm/dbt_contacts")
    assert not alone.success
    said = "nothing was sent: model_tests: failed on the model's last build: unique_people_email; plan "
    assert alone.failure.description.startswith(said)
    assert sandbox.log.lines() == []

    shop.fill(GOOD)
    ran = shop.run(definitions, "people", "crm/dbt_contacts")
    assert ran.success
    assert [m.asset_key.to_user_string() for m in ran.materializations] == ["people", "crm/dbt_contacts"]
    assert len(sandbox.hubspot.tables["contacts"].live()) == 50
