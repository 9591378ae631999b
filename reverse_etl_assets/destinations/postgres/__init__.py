"""A PostgreSQL table that product applications read. All of a run is written in one transaction."""

from reverse_etl_assets.destinations.postgres.destination import Postgres
from reverse_etl_assets.destinations.postgres.options import PostgresConnection, PostgresOptions

__all__ = ["Postgres", "PostgresConnection", "PostgresOptions"]
