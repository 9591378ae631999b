"""What PostgreSQL's catalogs say of a table, and whether a sync fits it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reverse_etl_assets.destinations.schema import CHANGES, CREATES, Field, field_problems, nearest
from reverse_etl_assets.records import FieldType, Operation, Target

TEXTS = frozenset({"text", "character varying", "character", "citext"})
_EXACT = frozenset({"numeric"})
_FLOATS = frozenset({"double precision", "real"})
_WHOLE = frozenset({"smallint", "integer", "bigint"})
DOCUMENTS = frozenset({"json", "jsonb"})
MOMENTS = frozenset({"timestamp with time zone", "timestamp without time zone"})

ACCEPTS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: TEXTS | DOCUMENTS | {"uuid", "enum"},
    FieldType.INTEGER: _WHOLE | _EXACT | _FLOATS | TEXTS,
    FieldType.DECIMAL: _EXACT | _FLOATS | TEXTS,
    FieldType.FLOAT: _EXACT | _FLOATS | TEXTS,
    FieldType.BOOLEAN: TEXTS | {"boolean"},
    FieldType.DATE: TEXTS | {"date"},
    # Not into a date: which day a moment falls on depends on a time zone, and the model should say which.
    FieldType.TIMESTAMP: TEXTS | MOMENTS,
    FieldType.TIME: TEXTS | {"time without time zone"},
    FieldType.JSON: TEXTS | DOCUMENTS | {"array"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table. `kind` is its type without a length, `enum` or `array`; a domain is what it is made of."""

    name: str
    kind: str
    full: str
    """The type as people write it: `numeric(10,2)`."""
    cast: str
    """The type to cast to. Without a length: a cast would cut a text where an assignment refuses it."""
    length: int | None
    """Most characters."""
    scale: int | None
    """Digits behind the point that the column keeps, of a number or of seconds."""
    required: bool
    """NOT NULL, and nothing fills it by itself."""
    read_only_because: str
    may_insert: bool
    may_update: bool
    may_select: bool
    folds_case: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the role that is signed in sees it."""

    schema: str
    name: str
    kind: str
    """`pg_class.relkind`."""
    role: str
    columns: Mapping[str, Column]
    unique_keys: Sequence[frozenset[str]]
    may_delete: bool
    may_use_schema: bool
    staging: bool | None
    """Whether the role may create tables in the staging schema; None if there is no such schema."""
    temporary: bool
    """Whether the role may create temporary tables, in which a batch waits."""
    database: str
    encoding: str
    read_only: bool

    @property
    def title(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """An identifier as a person can paste it into psql."""
    return name if name.islower() and name.isidentifier() else '"' + name.replace('"', '""') + '"'


def split_name(name: str) -> tuple[str, str]:
    """Schema and table; `public` where no schema is named."""
    schema, _, table = name.rpartition(".")
    return schema or "public", table


def problems(table: Table, target: Target, keys: Sequence[str], *, fold_case: bool, staging: str | None) -> list[str]:
    """Everything about the table that does not fit the sync, a sentence each. `staging` is None without `atomic`."""
    if table.kind not in ("r", "p"):
        what = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}.get(table.kind, "no table")
        return [f"`{target.object}` is {what}: name the table below it."]
    found = [*_server_problems(table)]
    found += _key_problems(table, target, keys, fold_case)
    fields = {name: Field(name, c.kind, read_only_because=c.read_only_because) for name, c in table.columns.items()}
    found += field_problems(target, fields, ACCEPTS)
    if target.operations & CREATES:
        found += [
            f"Column `{name}` is NOT NULL without a default and not mapped: map it, or use `sync_mode: update_only`."
            for name, column in table.columns.items()
            if column.required and name not in target.fields and name not in keys
        ]
    return [*found, *_grant_problems(table, target, keys), *_staging_problems(table, staging)]


def _server_problems(table: Table) -> Iterator[str]:
    if table.read_only:
        yield "The server takes no writes (a replica, or default_transaction_read_only): name the primary in base_url."
    if table.encoding != "UTF8":
        yield f"The database's encoding is {table.encoding}, and not every text fits into it: UTF8 is needed."


def _key_problems(table: Table, target: Target, keys: Sequence[str], fold_case: bool) -> Iterator[str]:
    missing = [name for name in keys if name not in table.columns]
    for name in missing:
        yield f"`{target.object}` has no column `{name}` to match rows by{nearest(name, table.columns)}."
    if missing:
        return
    if frozenset(keys) not in table.unique_keys:
        columns = ", ".join(map(quoted, keys))
        yield (
            f"No unique index covers just `{columns}`, so a key could mean several rows. To make one:"
            f" CREATE UNIQUE INDEX ON {table.title} ({columns}). Partial and deferrable ones do not count."
        )
    for column in (table.columns[name] for name in keys):
        if target.operations & CREATES and column.read_only_because:
            yield f"Key column `{column.name}` cannot be set ({column.read_only_because}): match by another."
        if column.kind in TEXTS and column.folds_case != fold_case:
            does = "does not tell" if column.folds_case else "tells"
            setting = f"fold_case: {str(column.folds_case).lower()}"
            yield f"Column `{column.name}` {does} upper from lower case: set `{setting}` in options."


def _grant_problems(table: Table, target: Target, keys: Sequence[str]) -> Iterator[str]:
    if not table.may_use_schema:
        yield _lacks(table, "USAGE", f"SCHEMA {quoted(table.schema)}")
    columns = [column for name, column in table.columns.items() if name in target.fields or name in keys]
    needed = ["SELECT"] if not all(column.may_select for column in columns) else []
    if target.operations & CREATES and not all(column.may_insert for column in columns):
        needed.append("INSERT")
    if target.operations & CHANGES and not all(c.may_update for c in columns if c.name not in keys):
        needed.append("UPDATE")
    if Operation.DELETE in target.operations and not table.may_delete:
        needed.append("DELETE")
    if needed:
        yield _lacks(table, ", ".join(needed), table.title)


def _staging_problems(table: Table, staging: str | None) -> Iterator[str]:
    if staging is None:
        if not table.temporary:
            yield _lacks(table, "TEMPORARY", f"DATABASE {quoted(table.database)}")
    elif table.staging is None:
        make = f"CREATE SCHEMA {quoted(staging)} AUTHORIZATION {quoted(table.role)};"
        yield f"There is no schema `{staging}` for rows to wait in: {make} Or set `atomic: false` in options."
    elif not table.staging:
        yield _lacks(table, "CREATE, USAGE", f"SCHEMA {quoted(staging)}")


def _lacks(table: Table, privileges: str, what: str) -> str:
    return f"Role `{table.role}` lacks {privileges}: GRANT {privileges} ON {what} TO {quoted(table.role)};"
