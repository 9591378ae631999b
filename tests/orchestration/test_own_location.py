"""Syncs in a team's own code location: beside its own dbt assets, resources, executor and jobs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from reverse_etl_assets import (
    DagsterReverseEtlTranslator,
    DbtSettings,
    HubSpotResource,
    SyncTranslatorData,
    build_sync_assets,
    build_sync_definitions,
    build_sync_specs,
)
from reverse_etl_assets.deployment.built import built
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.orchestration.automation import automation_condition
from reverse_etl_assets.orchestration.build import build_definitions
from reverse_etl_assets.orchestration.dbt import link_dbt
from reverse_etl_assets.orchestration.loaded import load
from reverse_etl_sandbox.server import Sandbox
from tests.heavy import heavy
from tests.orchestration.shop import Shop
from tests.orchestration.small_project import MODEL_KEY, Ran, SmallProject

PREFIXED = dg.AssetKey(["acme", "warehouse", "people"])
CONTACTS = dg.AssetKey(["crm", "contacts"])


class Prefixing(DagsterDbtTranslator):
    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return super().get_asset_key(dbt_resource_props).with_prefix(["acme", "warehouse"])


def prefixed(folder: Path, **more: Any) -> dg.AssetsDefinition:
    given: dict[str, Any] = {"project": DbtProject(folder), **more}

    @dbt_assets(manifest=folder / "target" / "manifest.json", dagster_dbt_translator=Prefixing(), **given)
    def acme_models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        yield from dbt.cli(["build"], context=context).stream()

    return acme_models


def own(models: dg.AssetsDefinition) -> dg.Definitions:
    return dg.Definitions(
        assets=[models],
        resources={"dbt": "a team's own", "warehouse": "theirs", "crm": "also theirs"},
        executor=dg.multiprocess_executor,
    )


def test_a_sync_is_downstream_of_the_model_that_the_team_has(shop: Shop) -> None:
    shop.write_sync("contacts", schedule="0 6 * * *", verify={"drift": {"cron": "0 4 * * *"}})
    models = prefixed(shop.dbt_folder)
    syncs = build_sync_definitions(dbt=models, syncs=shop.home / "syncs", destinations=shop.destinations)
    together = dg.Definitions.merge(own(models), syncs)
    dg.Definitions.validate_loadable(together)
    graph = together.resolve_asset_graph()
    assert graph.get(CONTACTS).parent_keys == {PREFIXED}
    materializable = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert materializable == {"acme/warehouse/people", "crm/contacts", "shop/quarantine"}
    assert together.executor is dg.multiprocess_executor
    assert built()[-1].project.syncs.keys() == {"contacts"}
    lineage = graph.get(CONTACTS).metadata["dagster/column_lineage"].deps_by_column
    assert lineage["firstname"] == [dg.TableColumnDep(PREFIXED, "name")]


def test_two_projects_stand_side_by_side(shop: Shop, tmp_path: Path) -> None:
    shop.write_sync("contacts", schedule={"fresh_within": "6 hours"}, verify={"drift": {"cron": "0 4 * * *"}})
    (tmp_path / "more").mkdir()
    more = shop.write_sync("contacts", object="companies", schedule="0 6 * * *")
    more.rename(tmp_path / "more" / "firms.yml")
    shop.write_sync("contacts", schedule={"fresh_within": "6 hours"}, verify={"drift": {"cron": "0 4 * * *"}})
    models = prefixed(shop.dbt_folder)
    one = build_sync_definitions(
        dbt=models, syncs=shop.home / "syncs", destinations=shop.destinations, home=tmp_path / "one"
    )
    two = build_sync_definitions(
        dbt=models, syncs=tmp_path / "more", destinations=shop.destinations, name="firms", home=tmp_path / "two"
    )
    together = dg.Definitions.merge(own(models), one, two)
    dg.Definitions.validate_loadable(together)
    repository = together.get_repository_def()
    names = {job.name for job in repository.get_all_jobs()} | {each.name for each in repository.sensor_defs}
    assert names >= {"shop_stop_syncs", "firms_stop_syncs", "shop_undo_run", "firms_undo_run", "shop_crm_freshness"}
    assert {each.name for each in repository.schedule_defs} == {"shop_contacts_drift_schedule", "firms_firms_schedule"}
    assert {each.project.home for each in built()[-2:]} == {tmp_path / "one", tmp_path / "two"}


def test_assets_that_do_not_name_their_project_take_it_beside_them(shop: Shop) -> None:
    shop.write_sync("contacts")
    models = prefixed(shop.dbt_folder, project=None)
    given: Any = {"syncs": shop.home / "syncs", "destinations": shop.destinations}
    with pytest.raises(ConfigurationError, match=r"@dbt_assets acme_models do not name their dbt project: write .*"):
        build_sync_definitions(dbt=models, **given)
    (asset,) = build_sync_assets(dbt=[models, DbtProject(shop.dbt_folder)], **given)
    assert [dep.asset_key for dep in next(iter(asset.specs)).deps] == [PREFIXED]
    (spec,) = build_sync_specs(dbt=DbtSettings(shop.dbt_folder), **given)
    assert [dep.asset_key for dep in spec.deps] == [dg.AssetKey("people")]


def test_variables_of_dbt_stand_beside_the_assets(shop: Shop) -> None:
    shop.write_sync("contacts")
    given: Any = {"syncs": shop.home / "syncs", "destinations": shop.destinations}
    said = DbtSettings(shop.dbt_folder, vars={"region": "north"})
    build_sync_assets(dbt=[prefixed(shop.dbt_folder), said], **given)
    assert built()[-1].project.dbt.vars == {"region": "north"}
    with pytest.raises(ConfigurationError, match="several dbt projects"):
        build_sync_assets(dbt=[prefixed(shop.dbt_folder), DbtSettings(shop.home, vars={"region": "north"})], **given)


def test_what_is_no_dbt_project_is_refused_in_words(shop: Shop, tmp_path: Path) -> None:
    @dg.asset
    def stranger() -> None: ...

    given: Any = {"syncs": shop.home / "syncs", "destinations": shop.destinations}
    with pytest.raises(ConfigurationError, match="`dbt` is given stranger, which @dbt_assets did not make"):
        build_sync_definitions(dbt=stranger, **given)
    for wrong in ("dbt", ["dbt"]):
        with pytest.raises(ConfigurationError, match=r"`dbt` takes your @dbt_assets, or a DbtProject .* given str\.$"):
            build_sync_definitions(**{**given, "dbt": wrong})
    with pytest.raises(ConfigurationError, match=r"it is given PosixPath\."):
        build_sync_definitions(**{**given, "dbt": tmp_path})
    with pytest.raises(ConfigurationError, match=r"it is given NoneType\."):
        build_sync_definitions(**{**given, "dbt": None})
    with pytest.raises(ConfigurationError, match="nothing is given"):
        build_sync_definitions(dbt=[], **given)
    with pytest.raises(ConfigurationError, match="several dbt projects, targets or profiles"):
        build_sync_definitions(dbt=[prefixed(shop.dbt_folder), DbtSettings(tmp_path)], **given)


class Nothing(DagsterReverseEtlTranslator):
    def get_asset_spec(self, data: SyncTranslatorData) -> Any:
        return None


class KeyOfModel(DagsterReverseEtlTranslator):
    def get_asset_spec(self, data: SyncTranslatorData) -> dg.AssetSpec:
        return super().get_asset_spec(data).replace_attributes(key=data.models[0], deps=[])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"destinations": [1]}, r"`destinations` takes a mapping of names, .*; it is given list\.$"),
        (
            {"destinations": {"crm": HubSpotResource}},
            r"destination 'crm': .* given the class HubSpotResource itself\.$",
        ),
        ({"destinations": {"crm": {"type": "hubspot"}}}, r"destination 'crm': an account is .*; it is given dict\.$"),
        ({"translator": Nothing}, r"`translator` takes an object of a class .* given the class Nothing itself\.$"),
        (
            {"translator": Nothing()},
            r"contacts\.yml: .*`get_asset_spec` gives NoneType; it has to give an AssetSpec\.$",
        ),
        ({"translator": KeyOfModel()}, r"contacts\.yml: the translator gives it the key acme/warehouse/people, which"),
        ({"alerts": "#data"}, r"`alerts` takes `Alerts\(channel=\.\.\.\)`; it is given str\.$"),
    ],
)
def test_what_was_given_by_mistake_is_named(shop: Shop, given: dict[str, Any], message: str) -> None:
    shop.write_sync("contacts")
    right: Any = {"syncs": shop.home / "syncs", "destinations": shop.destinations}
    with pytest.raises(ConfigurationError, match=message):
        build_sync_definitions(dbt=prefixed(shop.dbt_folder), **{**right, **given})


def test_a_folder_of_syncs_that_is_not_there(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncs that are nowhere would be none: what they are downstream of goes out nowhere, and nobody hears of it."""
    monkeypatch.chdir(tmp_path)
    given: Any = {"dbt": prefixed(shop.dbt_folder), "destinations": shop.destinations}
    with pytest.raises(ConfigurationError, match=rf"there is no folder {tmp_path}/sinks\. Write `Path\(__file__\)"):
        build_sync_definitions(syncs="sinks", **given)
    with pytest.raises(ConfigurationError, match=rf"there is no folder {tmp_path}/sinks\.$"):
        build_sync_assets(syncs=tmp_path / "sinks", **given)


def test_a_model_that_no_given_assets_build_has_the_key_of_their_translator(shop: Shop) -> None:
    shop.write_sync("contacts")
    link = replace(link_dbt(prefixed(shop.dbt_folder)), keys={})
    spec = load(shop.project, shop.destinations, link).syncs["contacts"].spec
    assert [dep.asset_key for dep in spec.deps] == [PREFIXED]


class Ours(DagsterReverseEtlTranslator):
    def get_asset_spec(self, data: SyncTranslatorData) -> dg.AssetSpec:
        spec = super().get_asset_spec(data)
        return spec.replace_attributes(
            key=spec.key.with_prefix("activation"), group_name="activation", owners=["team:growth"]
        )


def test_a_translator_gives_key_group_and_owners(shop: Shop, sandbox: Sandbox) -> None:
    shop.write_sync("contacts", verify={"drift": {"cron": "0 4 * * *"}}, schedule="0 6 * * *")
    given: Any = {"syncs": shop.home / "syncs", "destinations": shop.destinations}
    definitions = build_sync_definitions(dbt=DbtSettings(shop.dbt_folder), translator=Ours(), **given)
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["activation", "crm", "contacts"]))
    assert (node.group_name, node.owners) == ("activation", ["team:growth"])
    dg.Definitions.validate_loadable(definitions)

    class All(Ours):
        def get_asset_spec(self, data: SyncTranslatorData) -> dg.AssetSpec:
            return super().get_asset_spec(data).replace_attributes(key=dg.AssetKey("all"))

    shop.write_sync("firms", object="companies")
    with pytest.raises(ConfigurationError, match="the translator gives both the key all; give each sync a key"):
        build_sync_definitions(dbt=DbtSettings(shop.dbt_folder), translator=All(), **given)


def checks_of(small: SmallProject, asset: dg.AssetsDefinition, selection: dg.AssetSelection) -> Ran:
    job = dg.define_asset_job("some", selection=selection)
    resolved = dg.Definitions([asset], jobs=[job]).resolve_job_def("some")
    result = resolved.execute_in_process(instance=small.instance, raise_on_error=False)
    return Ran(result.success, result.all_events, result.run_id)


def test_a_sync_without_its_checks_and_its_checks_alone(small: SmallProject, sandbox: Sandbox) -> None:
    asset = small.asset()
    key = asset.key
    alone = checks_of(small, asset, dg.AssetSelection.all_asset_checks())
    assert alone.success
    assert alone.materializations == []
    assert alone.checks["delivery"].description.startswith("not judged: the sync was not selected")
    assert sandbox.log.lines() == []

    without = checks_of(small, asset, dg.AssetSelection.assets(key).without_checks())
    assert without.success
    assert without.checks == {}
    assert [each.asset_key for each in without.materializations] == [key]

    assert small.run(asset).checks["delivery"].passed
    sent = len(sandbox.log.lines())
    one = checks_of(small, asset, dg.AssetSelection.checks(dg.AssetCheckKey(key, "delivery")))
    assert one.checks.keys() == {"delivery"}
    again = one.checks["delivery"]
    assert again.passed
    assert again.description.endswith("as it was judged before: 0 of 0 rows failed")
    assert len(sandbox.log.lines()) == sent


@heavy
def test_a_run_that_was_started_by_hand_has_the_tags_of_its_syncs(small: SmallProject) -> None:
    small.write_sync("one")
    small.write_sync("two", object="companies", primary_key="name")
    definitions = build_definitions(small.loaded())
    one, two = (definitions.resolve_assets_def(dg.AssetKey(["crm", name])) for name in ("one", "two"))

    def tags(*assets: dg.AssetsDefinition) -> tuple[str, ...]:
        run = small.instance.get_run_by_id(small.run(*assets).run_id)
        assert run is not None
        return run.tags["destination"], run.tags["sync"]

    assert tags(one) == ("crm", "one")
    assert tags(one, two) == ("crm", "one,two")


def test_an_asset_of_a_users_own_waits_for_a_sync(small: SmallProject) -> None:
    sync = small.asset()

    @dg.asset(deps=[sync.key])
    def campaign() -> None: ...

    ran = small.run(sync, campaign)
    assert [each.asset_key for each in ran.materializations] == [sync.key, campaign.key]
    small.build("select '' as email, '' as name where false")
    ran = small.run(sync, campaign)
    assert not ran.success
    assert ran.materializations == []


def requested(small: SmallProject, partitioned: bool, *built: str) -> int:
    """Whether a sync of a daily model, of which these partitions are there, is started when it never ran."""
    file = small.write_sync(schedule={"fresh_within": "6 hours"})
    days = dg.DailyPartitionsDefinition("2026-11-01")
    model = dg.AssetSpec(MODEL_KEY, partitions_def=days)
    sync = small.loaded().syncs[file.stem]
    condition = automation_condition(sync.sync, partitioned=partitioned)
    asset = small.asset_of(replace(sync, spec=sync.spec.replace_attributes(automation_condition=condition)))
    with dg.DagsterInstance.ephemeral() as instance:
        for day in built:
            instance.report_runless_asset_event(dg.AssetMaterialization(MODEL_KEY, partition=day))
        result = dg.evaluate_automation_conditions(
            dg.Definitions([model, asset]), instance, evaluation_time=datetime(2026, 11, 20, 12, tzinfo=UTC)
        )
    file.unlink()
    return result.total_requested


@pytest.mark.filterwarnings("ignore:Parameter `include_sources`")
def test_a_partition_that_was_never_built_is_not_waited_for(small: SmallProject) -> None:
    assert requested(small, False, "2026-11-18", "2026-11-19") == 0, "the reason for the other condition"
    assert requested(small, True, "2026-11-18", "2026-11-19") == 1
    assert requested(small, True, "2026-11-18") == 0, "the latest is not there yet"


def test_a_sync_after_another_is_downstream_of_it_and_waits_for_it(small: SmallProject, sandbox: Sandbox) -> None:
    small.write_sync(
        "a_child", sync_mode="incremental", after=["parent"], mapping={"email": "email", "lastname": "name"}
    )
    small.write_sync(
        "parent", sync_mode="incremental", mapping={"email": "email", "firstname": "name"}, max_failed={"percent": 1}
    )
    definitions = build_definitions(small.loaded())
    parent, child = (dg.AssetKey(["crm", name]) for name in ("parent", "a_child"))
    assert definitions.resolve_asset_graph().get(child).parent_keys == {MODEL_KEY, parent}
    assets = [definitions.resolve_assets_def(key) for key in (child, parent)]

    sandbox.fault("refuse_rows", vendor="hubspot", percent=100, next=1)
    together = small.run(*assets)
    assert not together.success
    assert together.materializations == []
    alone = small.run(assets[0])
    assert "parents: " in str(alone.failure.description)
    assert not sandbox.hubspot.tables["contacts"].live()

    sandbox.faults.clear()
    again = small.run(*assets)
    assert [each.asset_key for each in again.materializations] == [parent, child]
