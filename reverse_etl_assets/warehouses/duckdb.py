"""DuckDB as the warehouse: dbt's file is attached read-only for the moment a plan takes, state lives beside it."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import duckdb

from reverse_etl_assets.dbt.duckdb_profile import AttachedDatabase, DuckDBProfile, database_name
from reverse_etl_assets.dbt.manifest import EPHEMERAL, Model
from reverse_etl_assets.errors import FileLocked, StateError
from reverse_etl_assets.private_files import make_private_folder
from reverse_etl_assets.warehouses.engines import LEFT, give_back, taken
from reverse_etl_assets.warehouses.failures import failure, first_line, is_held_here, is_locked
from reverse_etl_assets.warehouses.migrations import FORM, form_of, migrate
from reverse_etl_assets.warehouses.model_tables import database_of, how_to_build, is_built
from reverse_etl_assets.warehouses.replacing import give_to_owner_of, put_in_place
from reverse_etl_assets.warehouses.statements import literal as literal, quote as quote, transaction as transaction

_OWN_NAMES = frozenset({"state", "stored", "earlier", "fresh", "new_state", "memory", "temp", "system"})
NO_OTHERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class DuckDBWarehouse:
    """The file dbt builds, and the folder of state files, one for each sync.

    DuckDB lets one process write or many read and fails at once where it would have to wait, so opening is
    retried with jitter for `lock_wait` seconds.
    """

    models: Path | DuckDBProfile | Callable[[], DuckDBProfile]
    """What dbt's profile says of the file with the models; asked for when they are read, for state needs none of it."""
    state_folder: Path
    memory_limit: str = "1GB"
    threads: int | None = None
    lock_wait: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    built: Callable[[Model], Model] = field(default=lambda model: model, repr=False)
    """The model as dbt's target has it: where its table is. Raises a ReverseEtlError if that is not known."""
    dbt_folder: Path | None = None
    """Files that views read are relative to it."""
    copy_of: Path | None = None
    """The folder of state files that this one's are copies of, for a look at what would be."""

    @property
    def profile(self) -> DuckDBProfile:
        if isinstance(self.models, Path):
            return DuckDBProfile(self.models)
        return self.models if isinstance(self.models, DuckDBProfile) else self.models()

    @property
    def database(self) -> Path:
        """The file that dbt builds."""
        return self.profile.path

    @property
    def database_name(self) -> str:
        """As dbt calls it, for views name the tables that they read in full."""
        name = database_name(self.database)
        return name if name.lower() not in _OWN_NAMES else "warehouse"

    def state_file(self, sync: str) -> Path:
        return self.state_folder / f"{sync}.duckdb"

    @property
    def _original(self) -> "DuckDBWarehouse":
        """The one that this may be a copy of; of its states this has one alone."""
        return replace(self, state_folder=self.copy_of, copy_of=None) if self.copy_of else self

    def lock_file(self, sync: str) -> Path:
        return self.state_folder / f"{sync}.lock"

    @contextmanager
    def open(
        self,
        sync: str,
        *,
        write: bool = False,
        models: bool = False,
        state_as: str = "state",
        beside: Mapping[str, str] = NO_OTHERS,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with the sync's state as `state_as` and, if asked for, dbt's file and what it attaches. `beside`
        it are the states of other syncs, by the name that each gets, to be read.

        A sync that never ran has an empty state. Raises StateError if a file stays locked or is missing, or if what is
        read cannot be: then without DuckDB's words, for they quote values.
        """
        profile = self.profile if models else None
        with self._instance(again=not (profile and profile.setup)) as (con, attached):
            try:
                for (
                    name,
                    other_sync,
                ) in beside.items():  # first: one of an earlier form takes the name `state` meanwhile
                    attached.append(name)
                    self._attach_state(con, self._original.state_file(other_sync), name, write=False)
                state = self.state_file(sync)
                attached.append(state_as)
                self._attach_state(con, state, state_as, write=write)
                if profile:
                    self._attach_models(con, attached, profile)
                yield con
            except duckdb.Error as error:
                states = self.copy_of or self.state_folder
                other = str(profile.path) if profile else ""
                explained = failure(error, states, self.memory_limit, str(states / state.name), other)
                raise explained or error from None

    def _attach_state(self, con: duckdb.DuckDBPyConnection, state: Path, name: str, *, write: bool) -> None:
        """One of an earlier form is brought to this release's: where it is written to as a whole or not at all, else in
        a copy in memory."""
        if not write and not state.exists():
            con.execute(f"ATTACH ':memory:' AS {quote(name)}")
            return
        if write:
            self._create(con, state)
        self._attach(con, state, name, "" if write else "(READ_ONLY)")
        form = self._form(con, state, name)
        if form is None or form == FORM:
            return
        if write:
            with transaction(con):
                migrate(con, form)
            return
        con.execute(f"DETACH {quote(name)}")
        self._attach(con, state, "earlier", "(READ_ONLY)")
        con.execute("ATTACH ':memory:' AS state; COPY FROM DATABASE earlier TO state; DETACH earlier")
        migrate(con, form)
        if name != "state":
            named = quote(name)
            con.execute(f"ATTACH ':memory:' AS {named}; COPY FROM DATABASE state TO {named}; DETACH state")

    def _form(self, con: duckdb.DuckDBPyConnection, state: Path, name: str) -> int | None:
        try:
            return form_of(con, quote(name))
        except StateError as error:
            raise StateError(f"{state} {error}.") from None

    def _attach_models(self, con: duckdb.DuckDBPyConnection, attached: list[str], profile: DuckDBProfile) -> None:
        if not profile.path.exists():
            raise StateError(f"the warehouse {profile.path} does not exist yet; build the models with dbt.")
        self._attach(con, profile.path, self.database_name, "(READ_ONLY)")
        attached.append(self.database_name)
        if self.dbt_folder:
            con.execute(f"SET file_search_path = {literal(str(self.dbt_folder))}")
        try:
            for statement in profile.setup:
                con.execute(statement)
        except duckdb.Error as error:  # its words may quote a secret
            what = "a statement of dbt's profile (extensions, secrets, settings) failed"
            raise StateError(f"{what}: {type(error).__name__}; `dbt debug` says more.") from None
        for each in profile.attached:
            self._attach_more(con, each)
            attached.append(each.name)

    def _attach_more(self, con: duckdb.DuckDBPyConnection, each: AttachedDatabase) -> None:
        """Read-only, as all of dbt's."""
        if each.name.lower() in _OWN_NAMES:
            raise StateError(f"dbt's profile attaches a database as `{each.name}`, which is our own name for one.")
        if each.file and not each.file.exists():
            raise StateError(f"{each.file}, which dbt's profile attaches as `{each.name}`, does not exist.")
        if each.file:
            self._attach(con, each.file, each.name, "(READ_ONLY)")
            return
        try:
            con.execute(each.sql)
        except duckdb.Error as error:  # its words may quote a password
            what = f"what dbt's profile attaches as `{each.name}` cannot be attached"
            raise StateError(f"{what}: {type(error).__name__}; `dbt debug` says more.") from None

    @contextmanager
    def _instance(self, *, again: bool = True) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[str]]]:
        """A connection to an engine without files, and a list for what is attached to it, to be detached at the end.

        Engines are used again: making one takes longer than most of what is done with it. Not one that got settings and
        secrets of its own.
        """
        settings = {"memory_limit": self.memory_limit, "preserve_insertion_order": "false"}
        settings["python_enable_replacements"] = "false"  # a table that is not there is no variable of that name
        settings |= {"threads": str(self.threads)} if self.threads else {}
        engine = taken(settings, self.state_folder / "spill")
        con, attached, fit = engine.cursor(), list[str](), False
        try:
            con.execute("SET TimeZone = 'UTC'")
            yield con, attached
            fit = True
        finally:
            con.close()
            try:
                for name in attached:
                    engine.execute(f"DETACH {quote(name)}")
                fit = fit and not engine.execute(LEFT).fetchall()
            except duckdb.Error:  # somebody still reads: its files are given back when that ends
                fit = False
            if fit and again:
                give_back(settings, engine)
            else:
                engine.close()

    @contextmanager
    def rewriting(self, sync: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with the sync's state as `state` and an empty file as `fresh`, which takes its place at the end:
        all of it or, after an error, nothing. DuckDB would leave deleted rows in the file.

        For the holder of the sync's lock. Raises StateError if the state stays locked.
        """
        state = self.state_file(sync).resolve()  # of a link the file itself
        fresh, log = state.with_suffix(".fresh"), state.with_name(f"{state.name}.wal")
        try:
            fresh.unlink(missing_ok=True)
            with self.open(sync, write=True) as con:
                con.execute("CHECKPOINT state")
                if log.exists():  # it would be taken for the new file's own
                    raise StateError(f"{log} does not go away; close whatever has {state.name} open.")
                self._attach(con, fresh, "fresh", "")
                fresh.chmod(0o600)
                yield con
                con.execute("DETACH fresh")
                give_to_owner_of(state, fresh)
                put_in_place(fresh, state)  # while nobody else can open the old one
        finally:
            for left in (fresh, fresh.with_name(f"{fresh.name}.wal")):
                left.unlink(missing_ok=True)

    def _create(self, con: duckdb.DuckDBPyConnection, state: Path) -> None:
        """Make the file whole or not at all: DuckDB cannot open one that a killed process was creating."""
        if state.exists():
            return
        fresh = state.with_suffix(".new")
        try:
            make_private_folder(self.state_folder)
            fresh.unlink(missing_ok=True)
            con.execute(f"ATTACH {literal(str(fresh))} AS new_state; DETACH new_state")
            fresh.chmod(0o600)
            fresh.replace(state)
        except OSError as error:
            raise StateError(f"{error.filename or state} cannot be made: {error.strerror}.") from None

    def _attach(self, con: duckdb.DuckDBPyConnection, path: Path, name: str, mode: str) -> None:
        give_up = time.monotonic() + self.lock_wait
        while True:
            try:
                con.execute(f"ATTACH {literal(str(path))} AS {quote(name)} {mode}")
                return
            except duckdb.Error as error:
                if not is_locked(error):
                    explained = failure(error, self.state_folder, self.memory_limit, str(path))
                    raise explained or StateError(f"{path} cannot be opened: {first_line(error)}.") from error
                if time.monotonic() > give_up:
                    raise self._still_locked(path, error) from error
            self.sleep(random.uniform(0.02, 0.25))  # noqa: S311 - jitter

    def _still_locked(self, path: Path, error: duckdb.Error) -> FileLocked:
        waited = f"after {self.lock_wait:.0f} s (REVERSE_ETL_LOCK_WAIT)"
        if is_held_here(error):
            return FileLocked(
                f"{path}: this process has it open still {waited}, and DuckDB opens a file once in a process:"
                f" close that connection, such as one of a DuckDBResource or of dbt. {first_line(error)}."
            )
        return FileLocked(f"{path} is still locked by another process {waited}: {error}")

    def relation(self, model: Model) -> str:
        """The model's table, quoted, or a query in parentheses. Raises StateError if it is in no database that dbt's
        profile names."""
        if model.parts:
            parts = (part if isinstance(part, str) else self.relation(part) for part in model.parts)
            return f"(\n{''.join(parts)}\n)"
        model = self.built(model)
        return f"{quote(self._database_of(model))}.{quote(model.schema)}.{quote(model.identifier)}"

    def _database_of(self, model: Model) -> str:
        return database_of(model, self.profile, self.database_name)

    def _is_built(self, con: duckdb.DuckDBPyConnection, model: Model) -> bool:
        return is_built(con, model, self._database_of(model))

    def column_types(self, con: duckdb.DuckDBPyConnection, model: Model) -> dict[str, str]:
        """The built table's columns and their types. Raises StateError if dbt has not built it yet, or never does, and
        if it cannot be read."""
        for each in map(self.built, model.read_models or [model]):
            if each.materialized == "ephemeral":
                raise StateError(f"model {each.name} {EPHEMERAL}")
            self.relation(each)
            if not self._is_built(con, each):
                raise StateError(f"model {each.name} is not built yet; {how_to_build(each)}.")
        relation = self.relation(model)
        try:
            rows = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
            con.execute(f"EXPLAIN SELECT * FROM {relation}")  # a view knows its columns also where its files are gone
        except (duckdb.CatalogException, duckdb.BinderException, duckdb.IOException) as error:
            if model.parts:
                raise StateError(f"the {model.name} cannot be read: {first_line(error)}.") from None
            raise StateError(
                f"model {model.name} is a view that cannot be read: {first_line(error)}. What it reads has to be in"
                " the warehouse, be attached by dbt's profile, or be a file that is there."
            ) from None
        return {row[0]: row[1] for row in rows}
