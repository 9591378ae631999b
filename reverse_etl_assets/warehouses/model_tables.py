"""Where a model's table is, and whether it is there."""

import duckdb

from reverse_etl_assets.dbt.duckdb_profile import DuckDBProfile, database_name
from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.errors import StateError


def database_of(model: Model, profile: DuckDBProfile, own_name: str) -> str:
    """The name that its database has for us; `own_name` is that of the profile's own. Raises StateError if it is in
    none that dbt's profile names."""
    own = database_name(profile.path)
    wanted = (model.database or own).lower()
    if wanted == own.lower():
        return own_name
    if found := next((each.name for each in profile.attached if each.name.lower() == wanted), None):
        return found
    known = ", ".join(f"`{name}`" for name in (own, *(each.name for each in profile.attached)))
    raise StateError(
        f"model {model.name} is in database `{model.database}`, and dbt's profile has {known}: attach it there"
        " (`attach`), or let dbt parse the project with the profile's own target."
    )


def is_built(con: duckdb.DuckDBPyConnection, model: Model, database: str) -> bool:
    where = "lower(database_name) = lower($database) and lower(schema_name) = lower($schema)"
    query = (
        f"select 1 from duckdb_tables() where {where} and lower(table_name) = lower($name)"
        f" union all select 1 from duckdb_views() where {where} and lower(view_name) = lower($name)"
    )
    names = {"database": database, "schema": model.schema, "name": model.identifier}
    return con.execute(query, names).fetchone() is not None


def how_to_build(model: Model) -> str:
    if model.kind == "source":
        return f"it is a source, so something else has to load {model.schema}.{model.identifier}"
    return f"run `dbt build --select {model.name}`"
