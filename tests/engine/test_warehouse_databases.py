"""Models where dbt has them: in the profile's file, in what it attaches, in views over both and over files."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from reverse_etl_assets.dbt.duckdb_profile import DuckDBProfile
from reverse_etl_assets.dbt.manifest import load_models
from reverse_etl_assets.dbt.profile import read_profile
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.delivery.session import Environment
from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.runs.run import run_sync
from reverse_etl_assets.warehouses.duckdb import DuckDBWarehouse
from reverse_etl_sandbox.server import Sandbox
from tests.engine.shop import EAGER, sink, sink_sync

PROFILE: dict[str, Any] = {"type": "duckdb", "path": "data/dev.duckdb"}
LAKE = {"attach": [{"path": "data/lake.duckdb", "alias": "lake"}]}


class DbtProject:
    """A dbt project in a folder: its profile, its manifest, and the files that it builds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        (folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
        self.journal = Journal.open(f"sqlite:///{folder}/journal.sqlite")
        self.profile({})

    def profile(self, more: Mapping[str, Any]) -> None:
        output = {"outputs": {"dev": {**PROFILE, **more}}, "target": "dev"}
        (self.folder / "profiles.yml").write_text(json.dumps({"shop": output}))

    def sql(self, file: str, *statements: str) -> None:
        with duckdb.connect(str(self.folder / "data" / file)) as con:
            for statement in statements:
                con.execute(statement)

    def table(self, file: str, name: str, *, schema: str = "marts") -> None:
        self.sql(
            file,
            f"create schema if not exists {schema}",
            f"create or replace table {schema}.people as select 'k' as id, '{name}' as name",
        )

    def model(self, database: str | None = "dev", materialized: str = "table") -> None:
        node = {
            "name": "people",
            "resource_type": "model",
            "unique_id": "model.shop.people",
            "schema": "marts",
            "alias": "people",
            "columns": {},
            "config": {"materialized": materialized},
            "depends_on": {"nodes": []},
        }
        nodes = {"model.shop.people": {**node, **({"database": database} if database else {})}}
        (self.folder / "manifest.json").write_text(json.dumps({"nodes": nodes}))

    def read(self) -> DuckDBProfile:
        return read_profile(DbtSettings(self.folder)).duckdb

    def run(self, sandbox: Sandbox) -> str:
        """The name that arrived at the sink."""
        warehouse = DuckDBWarehouse(
            self.read(), self.folder / "state", threads=2, lock_wait=2.0, dbt_folder=self.folder
        )
        environment = Environment(self.journal, warehouse, load_models(self.folder / "manifest.json"), EAGER)
        run_sync(sink_sync(), environment, sink(sandbox.url))
        (entry,) = sandbox.rest.tables["people"].live()
        return str(entry.values["name"])

    def refused(self, sandbox: Sandbox) -> str:
        with pytest.raises(StateError) as said:
            self.run(sandbox)
        assert "people" not in sandbox.rest.tables
        return str(said.value)


@pytest.fixture
def dbt(tmp_path: Path) -> Iterator[DbtProject]:
    project = DbtProject(tmp_path)
    yield project
    project.journal.close()


def test_a_model_in_an_attached_database(dbt: DbtProject, sandbox: Sandbox) -> None:
    """And not the old table of the same name in the profile's own file."""
    dbt.table("dev.duckdb", "old")
    dbt.table("lake.duckdb", "new")
    dbt.profile(LAKE)
    dbt.model("lake")
    assert dbt.run(sandbox) == "new"


def test_a_database_without_an_alias_has_its_files_name(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.table("lake.prod.duckdb", "new")
    dbt.profile({"attach": [{"path": str(dbt.folder / "data" / "lake.prod.duckdb"), "read_only": True}]})
    dbt.model("LAKE")
    assert dbt.run(sandbox) == "new"


@pytest.mark.parametrize("database", ["dev", None], ids=["named", "not named"])
def test_a_model_in_the_profiles_own_file(dbt: DbtProject, sandbox: Sandbox, database: str | None) -> None:
    dbt.table("dev.duckdb", "own")
    dbt.table("lake.duckdb", "other")
    dbt.profile(LAKE)
    dbt.model(database)
    assert dbt.run(sandbox) == "own"


def test_a_database_that_the_profile_does_not_name(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.model("lake")
    assert "model people is in database `lake`, and dbt's profile has `dev`: attach it there" in dbt.refused(sandbox)


def test_a_model_that_is_not_built_in_its_database(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.table("lake.duckdb", "other", schema="elsewhere")
    dbt.profile(LAKE)
    dbt.model("lake")
    assert "model people is not built yet; run `dbt build --select people`" in dbt.refused(sandbox)


def test_an_attached_file_that_is_not_there(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.profile(LAKE)
    dbt.model()
    assert f"{dbt.folder}/data/lake.duckdb, which dbt's profile attaches as `lake`, does not exist" in dbt.refused(
        sandbox
    )


def test_a_database_by_our_own_name(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.table("state.duckdb", "old")
    dbt.profile({"attach": [{"path": "data/state.duckdb"}]})
    dbt.model()
    assert "attaches a database as `state`, which is our own name" in dbt.refused(sandbox)


# Views


def test_a_view_over_an_attached_database_and_over_its_own(dbt: DbtProject, sandbox: Sandbox) -> None:
    """dbt writes the names of tables in full, with their database."""
    dbt.table("lake.duckdb", "from the lake")
    lake = dbt.folder / "data" / "lake.duckdb"
    dbt.table("dev.duckdb", "own", schema="staging")
    view = 'select l.id, l.name from "lake"."marts"."people" as l join "dev"."staging"."people" as d using (id)'
    dbt.sql("dev.duckdb", f"attach '{lake}' as lake", "create schema marts", f"create view marts.people as {view}")
    dbt.profile(LAKE)
    dbt.model(materialized="view")
    assert dbt.run(sandbox) == "from the lake"


def test_a_view_over_a_database_that_is_not_attached_says_so(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("lake.duckdb", "from the lake")
    lake = dbt.folder / "data" / "lake.duckdb"
    view = "create view marts.people as select * from lake.marts.people"
    dbt.sql("dev.duckdb", f"attach '{lake}' as lake", "create schema marts", view)
    dbt.model(materialized="view")
    said = dbt.refused(sandbox)
    assert "model people is a view that cannot be read" in said
    assert "lake" in said
    assert "be attached by dbt's profile" in said


@pytest.fixture
def external(dbt: DbtProject, monkeypatch: pytest.MonkeyPatch) -> DbtProject:
    """A model materialized as `external`: a view over a file, by a path from where dbt ran."""
    with monkeypatch.context() as there:
        there.chdir(dbt.folder)
        os.makedirs("out")
        dbt.sql(
            "dev.duckdb",
            "copy (select 'k' as id, 'from a file' as name) to 'out/people.parquet'",
            "create schema marts",
            "create view marts.people as select * from read_parquet('out/people.parquet')",
        )
    dbt.model(materialized="external")
    return dbt


def test_a_relative_file_is_found_from_anywhere(external: DbtProject, sandbox: Sandbox) -> None:
    assert external.run(sandbox) == "from a file"


def test_a_file_that_is_gone_is_named(external: DbtProject, sandbox: Sandbox) -> None:
    (external.folder / "out" / "people.parquet").unlink()
    said = external.refused(sandbox)
    assert "people.parquet" in said
    assert "model people is a view that cannot be read" in said


def test_an_ephemeral_model_says_what_it_is(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.model(materialized="ephemeral")
    assert "model people is ephemeral: dbt builds nothing of it" in dbt.refused(sandbox)


# What comes before


def test_settings_of_the_profile_hold_and_stay_with_this_engine(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    view = "create view marts.people as select 'k' as id, current_setting('null_order') as name"
    dbt.sql("lake.duckdb", "create schema marts", view)
    dbt.profile({**LAKE, "settings": {"memory_limit": "10GB", "null_order": "nulls_first"}})
    dbt.model("lake", "view")
    assert dbt.read().setup == ["SET null_order = 'nulls_first'"], "memory is the engine's own affair"
    assert dbt.run(sandbox).lower() == "nulls_first"
    with DuckDBWarehouse(dbt.folder / "none", dbt.folder / "state", threads=2).open("other") as con:
        assert con.execute("select lower(current_setting('null_order'))").fetchall() == [("nulls_last",)]


@pytest.mark.parametrize(
    "more",
    [
        {"secrets": [{"type": "no_such_type", "password": "hunter2"}]},
        {**LAKE, "settings": {"null_order": "hunter2"}},  # which DuckDB repeats
    ],
)
def test_secrets_of_the_profile_are_not_shown(dbt: DbtProject, sandbox: Sandbox, more: Mapping[str, Any]) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.table("lake.duckdb", "new")
    dbt.profile(more)
    dbt.model()
    profile = dbt.read()
    assert "hunter2" in str(list(profile.setup))
    assert "hunter2" not in repr(profile)
    said = dbt.refused(sandbox)
    assert "a statement of dbt's profile (extensions, secrets, settings) failed" in said
    assert "hunter2" not in said


def test_files_are_looked_for_in_the_dbt_project_only_while_models_are_read(
    external: DbtProject, sandbox: Sandbox
) -> None:
    external.run(sandbox)
    with DuckDBWarehouse(external.folder / "none", external.folder / "state", threads=2).open("other") as con:
        assert con.execute("select current_setting('file_search_path')").fetchall() == [("",)]


@pytest.mark.parametrize("attach", [[{"alias": "lake"}], [{"path": "x", "colour": "red"}], ["lake.duckdb"]])
def test_an_attach_that_dbt_would_not_read(dbt: DbtProject, attach: list[Any]) -> None:
    dbt.profile({"attach": attach})
    with pytest.raises(ConfigurationError, match="`attach` cannot be read as dbt-duckdb reads it"):
        dbt.read()


def test_what_is_attached_is_not_written_to(dbt: DbtProject, sandbox: Sandbox) -> None:
    dbt.table("dev.duckdb", "old")
    dbt.table("lake.duckdb", "new")
    dbt.profile({"attach": [{"path": "data/lake.duckdb", "alias": "lake", "options": {"read_only": False}}]})
    (attached,) = dbt.read().attached
    assert "READ_ONLY" in attached.sql
    dbt.model("lake")
    before = (dbt.folder / "data" / "lake.duckdb").read_bytes()
    assert dbt.run(sandbox) == "new"
    assert (dbt.folder / "data" / "lake.duckdb").read_bytes() == before


def test_a_table_that_is_not_there_is_no_variable(tmp_path: Path) -> None:
    """DuckDB looks among those of Python, too, if it is let."""
    facts = pa.table({"name": ["outbox_run"], "value": ["of nobody"]})
    with DuckDBWarehouse(tmp_path / "none", tmp_path).open("never_ran") as con:
        with pytest.raises(duckdb.CatalogException, match="facts"):
            con.execute("select * from state.facts")
        assert con.register("given", facts).execute("select count(*) from given").fetchall() == [(1,)]
