"""What dbt's profile says of the warehouse: its file, what else is attached, and statements that come before."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reverse_etl_assets.errors import ConfigurationError

_OURS = ("memory_limit", "threads", "temp_directory", "preserve_insertion_order", "timezone")  # settings of our engine
_NO_FILE = re.compile(r"([A-Za-z_][A-Za-z_0-9]+):")  # `md:`, `ducklake:`, `s3://`
_LAKE_FILE = re.compile(r"(ducklake:(?:(?:duckdb|sqlite):)?)(?![A-Za-z_0-9]+:)(.+)", re.IGNORECASE)


@dataclass(frozen=True)
class AttachedDatabase:
    """A database that dbt's profile attaches beside its own. `sql` attaches it read-only, `file` is a DuckDB file."""

    name: str
    sql: str = field(repr=False)
    file: Path | None


@dataclass(frozen=True)
class DuckDBProfile:
    """`path` is the file that dbt builds in."""

    path: Path
    attached: Sequence[AttachedDatabase] = ()
    setup: Sequence[str] = field(default=(), repr=False)  # secrets are among them


def database_name(path: str | Path) -> str:
    """What DuckDB calls the database of a file: the first part of its name."""
    return Path(path).name.lstrip(".").split(".")[0]


def duckdb_part(where: str, dbt_folder: Path, credentials: Any) -> DuckDBProfile:
    """From the credentials of dbt-duckdb. A relative path is relative to the dbt project, where dbt changes into.

    Raises ConfigurationError that begins with `where`, if there is no file that could be read.
    """
    if why := _no_file(credentials):
        raise ConfigurationError(f"{where}: {why}, and only a DuckDB file can be read so far.")
    path = Path(_whole(dbt_folder, credentials.path))
    attached, setup = list[AttachedDatabase](), list[str]()
    try:
        for each in credentials.extensions or []:
            name, repository = (each, None) if isinstance(each, str) else (each["name"], each["repo"])
            setup += [f"INSTALL {name}{f' FROM {repository}' if repository else ''}", f"LOAD {name}"]
        setup += credentials.secrets_sql()
        settings = {name: value for name, value in (credentials.settings or {}).items() if name.lower() not in _OURS}
        setup += [f"SET {name} = {_sql_text(str(value))}" for name, value in settings.items()]
        attached = [_attached(dbt_folder, each) for each in credentials.attach or []]
    except Exception as error:  # dbt's own classes raise what they like, and may quote a secret
        what = "`attach`, `extensions`, `secrets` or `settings` cannot be read as dbt-duckdb reads it"
        raise ConfigurationError(f"{where}: {what} ({type(error).__name__}); `dbt debug` says more.") from None
    return DuckDBProfile(path, attached, setup)


def _no_file(credentials: Any) -> str:
    """Why the profile's own database is no file of this machine, if it is none."""
    path = str(credentials.path)
    if path == ":memory:":
        return "`path` is `:memory:` (or left out), so what dbt builds is gone when dbt ends"
    if credentials.remote:
        return "`remote` is a server"
    if credentials.is_ducklake or path.lower().startswith("ducklake:"):
        return "its own database is a DuckLake"
    if path.lower().startswith(("md:", "motherduck:")):
        return "`path` is a database of MotherDuck"
    found = _NO_FILE.match(path)
    return f"`path` begins with `{found[0]}`" if found else ""


def _attached(dbt_folder: Path, attachment: Any) -> AttachedDatabase:
    name = attachment.alias or database_name(attachment.path)
    options = {key: value for key, value in (attachment.options or {}).items() if key != "read_only"}
    plain = not (attachment.type or attachment.secret or options or attachment.is_ducklake)
    is_file = not _NO_FILE.match(attachment.path)
    if is_file and attachment.type in (None, "duckdb", "sqlite"):
        attachment = replace(attachment, path=_whole(dbt_folder, attachment.path))
    elif lake := _LAKE_FILE.fullmatch(attachment.path):
        attachment = replace(attachment, path=lake[1] + _whole(dbt_folder, lake[2]))
    quoted = '"' + name.replace('"', '""') + '"'
    sql = replace(attachment, read_only=True, alias=quoted, options=options or None).to_sql()
    return AttachedDatabase(name, sql, Path(attachment.path) if plain and is_file else None)


def _whole(dbt_folder: Path, path: str) -> str:
    return str((dbt_folder / Path(path).expanduser()).resolve())


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
