"""What Dagster loads."""

from demo.deployment import alerts, destinations, project
from reverse_etl_assets import build_sync_definitions

defs = build_sync_definitions(project, destinations, alerts)
