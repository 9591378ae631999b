"""What Dagster loads: a team's own definitions, and those of its syncs."""

import dagster as dg

from demo.dbt_models import dbt_cli, dbt_models
from demo.deployment import SYNCS, alerts, destinations
from reverse_etl_assets import build_sync_definitions

ours = dg.Definitions(
    assets=[dbt_models],
    resources={"dbt": dbt_cli},
    # A sync waits for HTTP and needs no process of its own; starting one for each step takes seconds.
    executor=dg.in_process_executor,
)
syncs = build_sync_definitions(dbt=dbt_models, syncs=SYNCS, destinations=destinations, alerts=alerts)
defs = dg.Definitions.merge(ours, syncs)
