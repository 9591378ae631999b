"""dbt's profile is read as dbt reads it: which one, which target of it, from where, and what is said if it is wrong."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.dbt.profile import Profile, read_profile
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError

DEV: Mapping[str, Any] = {"type": "duckdb", "path": "dev.duckdb", "schema": "dev"}
PROD: Mapping[str, Any] = {"type": "duckdb", "path": "prod.duckdb", "schema": "prod"}
BOTH: Mapping[str, Any] = {"target": "dev", "outputs": {"dev": DEV, "prod": PROD}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dbt project, and a home without a `.dbt`."""
    for name in [name for name in os.environ if name.startswith("DBT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "shop"
    project.mkdir()
    (project / "dbt_project.yml").write_text("name: shop\nversion: '1.0'\nprofile: shop\n")
    write(project, {"shop": BOTH})
    return project


def write(folder: Path, profiles: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.yml").write_text(json.dumps(profiles))


def one(**output: Any) -> Mapping[str, Any]:
    """A profile of one target."""
    return {"shop": {"target": "dev", "outputs": {"dev": {**DEV, **output}}}}


def read(folder: Path, **settings: Any) -> Profile:
    return read_profile(DbtSettings(folder, **settings))


def refused(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigurationError) as said:
        read(folder, **settings)
    return str(said.value)


# Which profile, and which target


def test_the_target_of_the_profile(folder: Path) -> None:
    found = read(folder)
    assert (found.name, found.target, found.schema, found.database) == ("shop", "dev", "dev", "dev")
    assert (found.file, found.duckdb.path) == (folder / "profiles.yml", folder / "dev.duckdb")


def test_variables_that_dbt_is_given(folder: Path) -> None:
    """Those of the command line: a profile knows none of `dbt_project.yml`."""
    write(folder, one(path="{{ var('region') }}.duckdb", schema="{{ var('schema', 'dev') }}"))
    needed = "Required var 'region' not found; say what `--vars` would: `dbt: {project_dir: ..., vars: {region: ...}}`"
    assert needed in refused(folder)
    found = read(folder, vars={"region": "north"})
    assert (found.duckdb.path, found.schema) == (folder / "north.duckdb", "dev")
    assert read(folder, vars={"region": "north", "schema": "s"}).schema == "s"


def test_variables_choose_profile_target_and_target_path(folder: Path) -> None:
    (folder / "dbt_project.yml").write_text(
        "name: shop\nprofile: \"{{ var('whose') }}\"\ntarget-path: \"out/{{ target.name }}/{{ var('whose') }}\"\n"
    )
    write(folder, {"shop": {**BOTH, "target": "{{ var('stage') }}"}})
    settings = DbtSettings(folder, vars={"whose": "shop", "stage": "prod"})
    assert read_profile(settings).target == "prod"
    assert settings.target_folder == folder / "out" / "prod" / "shop"


@pytest.mark.parametrize("variable", ["DBT_TARGET", "DBT_ENGINE_TARGET"])
def test_a_target_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "prod")
    assert read(folder).duckdb.path == folder / "prod.duckdb"
    assert read(folder, target="dev").duckdb.path == folder / "dev.duckdb", "an option comes before the environment"


@pytest.mark.parametrize("target", ["{{ env_var('STAGE', 'dev') }}", "{{ 'prod' if env_var('STAGE', '') else 'dev' }}"])
def test_a_target_that_is_rendered(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    write(folder, {"shop": {**BOTH, "target": target}})
    assert read(folder).target == "dev"
    monkeypatch.setenv("STAGE", "prod")
    assert read(folder).target == "prod"


def test_without_a_target_it_is_called_default(folder: Path) -> None:
    write(folder, {"shop": {"outputs": {"default": PROD, "dev": DEV}}})
    assert (read(folder).target, read(folder).schema) == ("default", "prod")
    write(folder, {"shop": {"outputs": {"dev": DEV}}})
    said = refused(folder)
    assert f"{folder}/profiles.yml: profile `shop`: " in said
    assert "does not have a target named 'default'" in said
    assert "- dev" in said


@pytest.mark.parametrize("name", ["{{ env_var('PROFILE', 'shop') }}", "{{ var('profile', 'shop') }}"])
def test_a_profile_whose_name_is_rendered(folder: Path, name: str) -> None:
    (folder / "dbt_project.yml").write_text(f'name: shop\nprofile: "{name}"\n')
    assert read(folder).name == "shop"


def test_another_profile_than_the_projects(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"shop": BOTH, "other": {"target": "dev", "outputs": {"dev": {**DEV, "schema": "of_other"}}}})
    assert read(folder, profile="other").schema == "of_other"
    monkeypatch.setenv("DBT_PROFILE", "other")
    assert read(folder).schema == "of_other"
    assert read(folder, profile="shop").schema == "dev"


# Where it stands


def test_where_profiles_are_looked_for(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--profiles-dir, DBT_PROFILES_DIR, the project's folder, ~/.dbt."""
    for place in ("home/.dbt", "named", "option"):
        write(tmp_path / place, one(schema=place.strip("/.").replace("/.", "_")))
    assert read(folder).schema == "dev"
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path / "named"))
    assert read(folder).schema == "named"
    assert read(folder, profiles_dir=tmp_path / "option").schema == "option"
    monkeypatch.delenv("DBT_PROFILES_DIR")
    (folder / "profiles.yml").unlink()
    assert read(folder).schema == "home_dbt"
    assert read(folder).duckdb.path == folder / "dev.duckdb", "a relative path is relative to the project"


def test_a_relative_folder_of_profiles(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the project, where dbt is called; else from where we are called."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "conf", one(schema="from_here"))
    monkeypatch.setenv("DBT_PROFILES_DIR", "conf")
    assert read(folder).schema == "from_here"
    write(folder / "conf", one(schema="from_the_project"))
    assert read(folder).schema == "from_the_project"


# What stands in it


def test_texts_that_become_numbers_and_booleans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the folders that the `flags` of a profile know."""
    monkeypatch.setenv("QUICK", "True")
    retries = {"connect_attempts": "{{ env_var('TRIES', '6') | as_number }}"}
    path = "{{ flags.PROFILES_DIR }}/{{ env_var('NAME', 'x') }}.duckdb"
    write(folder, one(path=path, retries=retries, keep_open="{{ env_var('QUICK') | as_bool }}"))
    found = read(folder)
    assert (found.credentials.retries.connect_attempts, found.credentials.keep_open) == (6, True)
    assert found.duckdb.path == folder / "x.duckdb"


def test_a_secret_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBT_ENV_SECRET_KEY", "hunter2")
    secret = {"type": "s3", "key_id": "us", "secret": "{{ env_var('DBT_ENV_SECRET_KEY') }}"}
    write(folder, one(secrets=[secret], extensions=["httpfs"]))
    found = read(folder)
    assert found.duckdb.setup[:2] == ["INSTALL httpfs", "LOAD httpfs"]
    assert "'hunter2'" in found.duckdb.setup[2]
    assert "hunter2" not in repr(found)


def test_what_the_profile_attaches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE", "lake")
    attach = [{"path": "../data/{{ env_var('LAKE') }}.duckdb", "alias": "lake"}, {"path": "ducklake:meta.db"}]
    write(folder, one(attach=attach))
    lake, ducklake = read(folder).duckdb.attached
    assert (lake.name, lake.file) == ("lake", folder.parent / "data" / "lake.duckdb")
    assert ducklake.file is None
    assert f"'ducklake:{folder}/meta.db'" in ducklake.sql
    assert "READ_ONLY" in ducklake.sql


# What is wrong with it

NO_FILES: Mapping[str, Mapping[str, Any]] = {
    "`path` is a database of MotherDuck": {"path": "md:shop"},
    "its own database is a DuckLake": {"path": "ducklake:meta.ducklake"},
    "its own database is a DuckLake, ": {"path": "meta.duckdb", "is_ducklake": True},
    "`path` begins with `s3:`": {"path": "s3://bucket/shop.duckdb"},
    "`path` is `:memory:` (or left out)": {"path": ":memory:"},
    "`remote` is a server": {"remote": {"host": "db", "port": 1, "user": "us"}},
}


@pytest.mark.parametrize("why", NO_FILES)
def test_what_is_no_file_of_this_machine(folder: Path, why: str) -> None:
    write(folder, one(**NO_FILES[why]))
    said = refused(folder)
    assert f"{folder}/profiles.yml: profile `shop`, target `dev`: {why}" in said
    assert "only a DuckDB file can be read so far" in said


WRONG: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "no project": (lambda f: (f / "dbt_project.yml").unlink(), "is no dbt project: there is no dbt_project.yml in it"),
    "no name": (lambda f: (f / "dbt_project.yml").write_text("name: shop\n"), "dbt_project.yml: it names no `profile`"),
    "no file": (lambda f: (f / "profiles.yml").unlink(), "home/.dbt/profiles.yml, where dbt would look for profile"),
    "not YAML": (lambda f: (f / "profiles.yml").write_text("shop:\n  pw: hunter2\n x"), "profiles.yml:3: not valid"),
    "empty": (lambda f: (f / "profiles.yml").write_text(""), "profiles.yml: not valid YAML, or empty"),
    "no such profile": (lambda f: write(f, {"other": BOTH}), "there is no profile `shop`, which"),
    "no outputs": (lambda f: write(f, {"shop": {"target": "dev"}}), "profile `shop`: outputs not specified"),
    "no such target": (lambda f: write(f, {"shop": {**BOTH, "target": "ci"}}), "not have a target named 'ci'"),
    "another engine": (lambda f: write(f, one(type="snowflake")), "'snowflake', and only 'duckdb' is supported"),
    "no variable": (lambda f: write(f, one(path="hunter2{{ env_var('NO') }}")), "required but not provided: 'NO'"),
    "no var": (lambda f: write(f, one(path="hunter2{{ var('no') }}")), "Required var 'no' not found; say what"),
    "no template": (lambda f: write(f, one(path="hunter2{{ ")), "target `dev`"),
    "a wrong type": (lambda f: write(f, one(motherduck_token=["hunter2"])), "`motherduck_token` cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_without_a_value(folder: Path, wrong: str) -> None:
    spoil, said = WRONG[wrong]
    spoil(folder)
    found = refused(folder)
    if wrong != "no template":
        assert said in found
    assert str(folder) in found or str(folder.parent / "home") in found
    assert "hunter2" not in found


# Where dbt leaves its files


def test_the_folder_of_dbts_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DbtSettings(folder).manifest == folder / "target" / "manifest.json"
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\ntarget-path: out/{{ target.name }}\n")
    assert DbtSettings(folder, target="prod").target_folder == folder / "out" / "prod"
    (folder / "dbt_project.yml").write_text("name: shop\nprofile: shop\ntarget-path: out\n")
    assert DbtSettings(folder).target_folder == folder / "out"
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "elsewhere"))
    assert DbtSettings(folder).target_folder == tmp_path / "elsewhere"
    assert DbtSettings(folder, target_path=Path("here")).target_folder == folder / "here"


# dbt itself stays as it is


def test_dbts_own_state_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt import flags
    from dbt_common.context import try_get_invocation_context

    before = (flags.GLOBAL_FLAGS, try_get_invocation_context(), os.getcwd())
    read(folder)
    refused(folder, target="ci")
    assert (flags.GLOBAL_FLAGS, try_get_invocation_context(), os.getcwd()) == before


def test_threads_do_not_meet(folder: Path, tmp_path: Path) -> None:
    """Two projects at once, as in a code location of two."""
    other = tmp_path / "other"
    write(other, one(schema="of_other"))
    (other / "dbt_project.yml").write_text("name: other\nprofile: shop\n")
    found: dict[Path, set[str]] = {folder: set(), other: set()}

    def ask(place: Path) -> None:
        for _ in range(10):
            found[place].add(read(place).schema)

    threads = [threading.Thread(target=ask, args=(place,)) for place in found for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {folder: {"dev"}, other: {"of_other"}}


STATE_ALONE = """
import sys
from pathlib import Path
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.project import Project
folder = Path(sys.argv[1])
project = Project(DbtSettings(folder), folder / "syncs", {})
assert project.journal.latest_runs() == []
assert project.syncs == {}
with project.warehouse.open("nothing_yet") as con:
    assert con.execute("select 1").fetchall() == [(1,)]
project.environment.warehouse.state_file("nothing_yet")
print([name for name in sys.modules if name.split(".")[0] == "dbt"])
"""


def test_what_reads_no_model_needs_neither_dbt_nor_its_profile(folder: Path) -> None:
    (folder / "profiles.yml").unlink()
    (folder / "target").mkdir()
    (folder / "target" / "manifest.json").write_text('{"nodes": {}}')
    command = [sys.executable, "-c", STATE_ALONE, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "[]\n"
