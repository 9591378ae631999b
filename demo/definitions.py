"""What Dagster loads: a team's own definitions, and those of its syncs."""

import dagster as dg

from demo.dbt_models import dbt_cli, dbt_models
from demo.deployment import SYNCS, alerts, destinations
from reverse_etl_assets import build_sync_definitions

# Dagster takes one object of this kind in a module, so nothing here has a name but the whole.
defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[dbt_models],
        resources={"dbt": dbt_cli},
        # A sync waits for HTTP and needs no process of its own; starting one for each step takes seconds.
        executor=dg.in_process_executor,
    ),
    build_sync_definitions(dbt=dbt_models, syncs=SYNCS, destinations=destinations, alerts=alerts),
)
