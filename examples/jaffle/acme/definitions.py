"""What Dagster loads. The lines between the two marks are all that syncs need; the others were there before."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

import reverse_etl_assets as retl

HERE = Path(__file__).parent
jaffle = DbtProject(HERE.parent / "jaffle_shop")
jaffle.prepare_if_dev()


class Prefixed(DagsterDbtTranslator):
    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return super().get_asset_key(dbt_resource_props).with_prefix("jaffle")


@dbt_assets(manifest=jaffle.manifest_path, project=jaffle, dagster_dbt_translator=Prefixed())
def jaffle_dbt(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    yield from dbt.cli(["build"], context=context).stream()


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[jaffle_dbt],
        resources={"dbt": DbtCliResource(jaffle)},
        executor=dg.multiprocess_executor,
    ),
    # syncs begin
    retl.build_sync_definitions(
        dbt=jaffle_dbt,
        syncs=HERE / "syncs",
        destinations={
            "hubspot": retl.HubSpotResource(
                base_url=dg.EnvVar("HUBSPOT_BASE_URL"), access_token=dg.EnvVar("HUBSPOT_ACCESS_TOKEN")
            )
        },
    ),
    # syncs end
)
