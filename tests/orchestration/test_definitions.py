"""What Dagster loads: the catalog before anything ran, and errors in the words of whoever has to mend them."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance.config import PoolGranularity
from dagster._core.instance.ref import InstanceRef

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.errors import ConfigurationError, SpecError
from reverse_etl_assets.orchestration.build import build_sync_definitions
from reverse_etl_assets.orchestration.resources import DestinationResource
from reverse_etl_assets.orchestration.vendor_resources import HubSpotResource, SalesforceResource, WebhookResource
from tests.heavy import heavy
from tests.orchestration.shop import Shop
from tests.orchestration.small_project import TOKEN, Ran


def spec(shop: Shop, key: str) -> dg.AssetSpec:
    graph = shop.definitions().resolve_asset_graph()
    node: Any = graph.get(dg.AssetKey.from_user_string(key))
    return node.to_asset_spec()


@heavy
def test_a_sync_in_the_catalog(shop: Shop) -> None:
    file = shop.write_sync(
        "contacts",
        description="For campaigns.",
        owners=["team:marketing", "ada@example.com"],
        tags={"domain": "marketing"},
        mapping={"email": "email", "firstname": "name", "source": {"constant": "warehouse"}},
    )
    found = spec(shop, "crm/contacts")
    assert found.group_name == "crm"
    assert list(found.owners) == ["team:marketing", "ada@example.com"]
    assert found.tags["domain"] == "marketing"
    assert found.kinds == {"reverse_etl"}
    assert [dep.asset_key for dep in found.deps] == [dg.AssetKey("people")]
    assert found.description == (
        "people → crm contacts: added, changed and removed rows, matched by email.\n\nFor campaigns."
    )
    columns = {column.name: column for column in found.metadata["dagster/column_schema"].columns}
    assert columns["email"].description == "from people.email: Address as typed."
    assert (columns["email"].type, columns["email"].constraints.unique) == ("varchar", True)
    assert columns["firstname"].description == "from people.name"
    assert columns["source"].description == "always 'warehouse'"
    lineage = found.metadata["dagster/column_lineage"].deps_by_column
    assert lineage["firstname"] == [dg.TableColumnDep(asset_key=dg.AssetKey("people"), column_name="name")]
    (reference,) = found.metadata["dagster/code_references"].code_references
    assert (reference.file_path, reference.line_number) == (str(file), 1)


def test_pool_and_checks(shop: Shop) -> None:
    shop.write_sync("contacts")
    definitions = shop.definitions()
    asset = definitions.resolve_assets_def(dg.AssetKey(["crm", "contacts"]))
    assert asset.op.pool == "crm"
    assert [check.name for check in asset.check_specs] == [
        "guards",
        "row_count_anomaly",
        "delivery",
        "held_and_quarantined",
        "verified_delivery",
    ]


def test_the_name_of_the_sync_is_the_asset_whatever_its_file_is_called(shop: Shop) -> None:
    file = shop.write_sync("old_name")
    file.write_text(f"# moved\nsync: contacts\n{file.read_text()}")
    file.rename(file.with_name("new_name.yaml"))
    found = spec(shop, "crm/contacts")
    (reference,) = found.metadata["dagster/code_references"].code_references
    assert Path(reference.file_path).name == "new_name.yaml"
    assert reference.line_number == 2
    keys = shop.definitions().resolve_asset_graph().materializable_asset_keys
    assert keys == {dg.AssetKey(["crm", "contacts"]), dg.AssetKey(["shop", "quarantine"]), dg.AssetKey("people")}


def test_a_link_to_the_object_where_the_destination_has_one(
    shop: Shop, dbt_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORG_URL", "https://acme.my.salesforce.com")
    shop.write_sync("leads", destination="org", object="Lead", mapping={"Email__c": "email"})
    org = SalesforceResource(
        base_url=dg.EnvVar("ORG_URL"), client_id="app", client_secret=dg.EnvVar("NOT_NEEDED_TO_LOAD")
    )
    definitions = build_sync_definitions(
        dbt=DbtSettings(dbt_folder), syncs=shop.home / "syncs", destinations={"org": org}
    )
    asset = definitions.resolve_assets_def(dg.AssetKey(["org", "leads"]))
    (found,) = asset.specs
    assert found.metadata["destination"].url == "https://acme.my.salesforce.com/lightning/o/Lead/list"
    assert found.kinds == {"reverse_etl", "salesforce"}


def test_schedules_and_freshness(shop: Shop) -> None:
    shop.write_sync("by_clock", schedule="15 6 * * *")
    shop.write_sync("by_age", object="companies", schedule={"fresh_within": "6 hours", "warn_after": "4 hours"})
    definitions = shop.definitions()
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def("shop_by_clock_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 6 * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert repository.get_sensor_def("shop_crm_freshness").default_status is dg.DefaultSensorStatus.RUNNING
    policy = spec(shop, "crm/by_age").freshness_policy
    assert policy == dg.FreshnessPolicy.time_window(timedelta(hours=6), timedelta(hours=4))
    assert spec(shop, "crm/by_clock").freshness_policy is None


def test_what_dagster_would_not_take_is_named_with_file_and_line(shop: Shop) -> None:
    file = shop.write_sync("contacts", owners=["marketing"], tags={"a b": "c"}, schedule={"cron": "at noon"})
    with pytest.raises(SpecError) as error:
        shop.definitions()
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert re.fullmatch(rf"{file}:\d+: owners\.0: 'marketing' is no owner; .* `team:<name>`\.", lines[0])
    assert re.fullmatch(rf"{file}:\d+: tags\.a b: 'a b': 'c' is no tag; .*", lines[1])
    assert re.fullmatch(rf"{file}:\d+: schedule\.cron: 'at noon' is no cron line; .*", lines[2])


def test_a_typo_in_a_file_is_the_error_of_the_code_location(shop: Shop) -> None:
    shop.write_sync("contacts", sync_mode="miror")
    with pytest.raises(SpecError, match=r"contacts\.yml:\d+: sync_mode: 'miror' is unknown; did you mean `mirror`"):
        shop.definitions()


def test_a_missing_manifest_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="dbt parse"):
        build_sync_definitions(dbt=DbtSettings(tmp_path), syncs=tmp_path, destinations={})


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        (HubSpotResource(access_token="pat-literal"), "access_token"),
        (WebhookResource(base_url="https://x", signing_secret="whsec_literal"), "signing_secret"),
        (WebhookResource(base_url="https://x", secret_headers={"X-Key": "literal"}), "secret_headers"),
    ],
)
def test_a_literal_secret_is_refused(tmp_path: Path, resource: DestinationResource, field: str) -> None:
    with pytest.raises(ConfigurationError, match=rf'acme: {field} .*dg\.EnvVar\("ACME_{field.upper()}"\)') as error:
        build_sync_definitions(dbt=DbtSettings(tmp_path), syncs=tmp_path, destinations={"acme": resource})
    assert "literal" not in str(error.value)


def test_the_snapshot_of_the_code_location_holds_no_secret(shop: Shop) -> None:
    from dagster._core.remote_representation.external_data import RepositorySnap
    from dagster._serdes import serialize_value

    shop.write_sync("contacts")
    snapshot = serialize_value(RepositorySnap.from_def(shop.definitions().get_repository_def()))
    assert "TEST_CRM_TOKEN" in snapshot
    assert TOKEN not in snapshot


def test_an_account_outside_dagster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_TOKEN", "pat-hidden")
    monkeypatch.setenv("PORTAL_KEY", "key-hidden")
    account = HubSpotResource(access_token=dg.EnvVar("PORTAL_TOKEN")).account("portal")
    assert (account.name, account.type) == ("portal", HubSpot)
    assert account.connection.access_token.get_secret_value() == "pat-hidden"
    hook = WebhookResource(base_url="https://x", secret_headers={"X-Key": dg.EnvVar("PORTAL_KEY")})
    assert hook.account("hook").connection.secret_headers["X-Key"].get_secret_value() == "key-hidden"
    assert "hidden" not in f"{account}{hook.process_config_and_initialize()!r}{hook.process_config_and_initialize()}"


def test_an_account_with_a_bad_value_names_the_field_and_not_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "not base64!")
    hook = WebhookResource(base_url="https://x", signing_secret=dg.EnvVar("HOOK_SECRET"))
    with pytest.raises(ConfigurationError, match="destination hook: signing_secret") as error:
        hook.account("hook")
    assert "not base64!" not in str(error.value)


def test_a_resource_with_a_field_that_its_connection_lacks() -> None:
    with pytest.raises(ConfigurationError, match="Misspelt: acess_token is no field"):

        class Misspelt(DestinationResource):
            destination_type = HubSpot
            acess_token: str


@heavy
def test_the_settings_of_the_instance_are_taken(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), config_dir=str(root))) as instance:
        pools = instance.get_concurrency_config().pool_config
        assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.OP)
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_drift_has_a_schedule_and_a_job_of_its_own(shop: Shop) -> None:
    shop.write_sync("people_to_crm", verify={"drift": {"cron": "0 4 * * *"}})
    shop.write_sync("others_to_crm", sync_mode="incremental", mapping={"email": "email", "lastname": "name"})
    definitions = shop.definitions()
    repository = definitions.get_repository_def()
    (schedule,) = [each for each in repository.schedule_defs if "drift" in each.name]
    assert (schedule.name, schedule.job_name) == ("shop_people_to_crm_drift_schedule", "shop_people_to_crm_drift")
    assert (schedule.cron_schedule, schedule.default_status.value) == ("0 4 * * *", "RUNNING")
    job = definitions.resolve_job_def("shop_people_to_crm_drift").execute_in_process(instance=shop.instance)
    (check,) = Ran(job.success, job.all_events, job.run_id).checks.values()
    assert (check.check_name, check.asset_key) == ("drift", dg.AssetKey(["crm", "people_to_crm"]))
    assert check.description == "not judged: sync people_to_crm has not run yet, so there is nothing to look at."


def test_a_wrong_cron_line_of_drift_is_named_with_its_place(shop: Shop) -> None:
    file = shop.write_sync("people_to_crm", verify={"drift": {"cron": "at four"}})
    with pytest.raises(SpecError, match=rf"{file}:\d+: verify\.drift\.cron: 'at four' is no cron line"):
        shop.definitions()
