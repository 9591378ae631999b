"""What Dagster loads."""

from reverse_etl_assets.deployment import alerts, destinations, project
from reverse_etl_assets.orchestration.build import build_sync_definitions

defs = build_sync_definitions(project, destinations, alerts)
