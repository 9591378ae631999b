"""What a user sets for a PostgreSQL table: the database, and a sync's options."""

from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from reverse_etl_assets.destinations.base import ConnectionSettings, SyncOptions

LONGEST_NAME = 63
"""Bytes of an identifier; the server cuts what is longer ("Identifiers and Key Words", PostgreSQL 18 manual, 4.1.1)."""

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
        secret = parts.password or dict(parse_qsl(parts.query)).get("password")
    except ValueError:  # whatever is wrong with it, it is not shown
        parts, secret = urlsplit(""), None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("write the address as postgresql://user@host:5432/database.")
    if secret:
        raise ValueError("the address holds a password, and addresses are shown: give it as `password`.")
    return url


class PostgresConnection(ConnectionSettings):
    """A PostgreSQL database; a role's password signs in, where the server asks for one."""

    base_url: Annotated[str, AfterValidator(_without_secrets)]
    """`postgresql://user@host:5432/database?sslmode=verify-full`, with any parameter of libpq and no password."""
    password: SecretStr | None = None
    """The role's password; not needed where the server trusts the connection, or a client certificate signs in."""


class PostgresOptions(SyncOptions):
    atomic: bool = True
    """Write all of a run in one transaction: no reader of the table sees half of it. False: one for each batch."""
    key_columns: tuple[Name, ...] = ()
    """The columns of the table that a key of several columns fills, in the order of `primary_key`."""
    fold_case: bool = False
    """The key's column takes texts that differ only in case for one, as citext does; `check` compares."""
    staging_schema: Name = "reverse_etl"
    """Where the rows of a run wait for the transaction that writes them; the role may create tables there."""
