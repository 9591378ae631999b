"""From dbt's build to the destination, with a real dbt."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from reverse_etl_sandbox.server import Sandbox
from tests.dbt_shell import dbt
from tests.heavy import heavy
from tests.journal_entries import record_model_results
from tests.orchestration.shop import Shop

pytestmark = pytest.mark.filterwarnings("ignore:AssetExecutionContext")  # dagster-dbt's own use of it

GOOD = "select 'u' || i || '@example.com' as email, 'n' || i as name from range(50) r(i)"
DUPLICATE = f"{GOOD} union all select 'u1@example.com', null"


@heavy
def test_a_sync_alone_refuses_a_model_whose_tests_failed_in_an_earlier_run(shop: Shop, sandbox: Sandbox) -> None:
    shop.write_sync("dbt_contacts")
    definitions = shop.definitions()

    record_model_results(shop.project.journal, "model.shop.people", {"a_test_deleted_since": "fail"})
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


@pytest.fixture
def own(shop: Shop, tmp_path: Path, instance: dg.DagsterInstance) -> Iterator[Shop]:
    """With a dbt folder of its own, where a shell leaves its files."""
    folder, home = tmp_path / "dbt", tmp_path / "home"
    shutil.copytree(shop.dbt_folder, folder)
    home.mkdir()
    own = Shop(home, folder, instance)
    yield own
    own.project.journal.close()


def in_a_shell(shop: Shop, *words: str) -> None:
    dbt(*words, "--profiles-dir", ".", cwd=shop.dbt_folder)


@heavy
def test_dbt_in_a_shell_is_heard_of(own: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_HOME", str(own.home))
    own.write_sync("shell_contacts")
    definitions = own.definitions()
    own.fill(DUPLICATE)
    in_a_shell(own, "build")
    refused = own.run(definitions, "crm/shell_contacts")
    assert "model_tests: failed on the model's last build: unique_people_email; plan" in str(
        refused.failure.description
    )

    own.fill(GOOD)
    in_a_shell(own, "run")
    refused = own.run(definitions, "crm/shell_contacts")
    assert "unique_people_email, which has not run since the model was built anew" in str(refused.failure.description)
    assert sandbox.log.lines() == []

    in_a_shell(own, "test")
    ran = own.run(definitions, "crm/shell_contacts")
    assert ran.success
    assert ran.guards["model_tests"]["result"] == "held"
