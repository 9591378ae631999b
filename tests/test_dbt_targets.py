"""What is read is what was built for the target that is asked for, whatever dbt's manifest was parsed for last."""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets.dbt.results import listen
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import ConfigurationError, StateError
from reverse_etl_assets.project import Project
from tests.dbt_shell import dbt_succeeds
from tests.heavy import heavy
from tests.warehouse import writing

DBT_PROJECT = "name: shop\nversion: '1.0'\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n"
ONE_FILE: Any = {
    "target": "dev",
    "outputs": {
        "dev": {"type": "duckdb", "path": "shop.duckdb", "schema": "dev"},
        "prod": {"type": "duckdb", "path": "shop.duckdb", "schema": "prod"},
    },
}
TWO_FILES: Any = {
    "target": "dev",
    "outputs": {
        "dev": {"type": "duckdb", "path": "dev/shop.duckdb", "schema": "main"},
        "prod": {"type": "duckdb", "path": "prod/shop.duckdb", "schema": "main"},
    },
}
SYNC = "model: {}\ndestination: hook\nobject: people\nprimary_key: id\nmapping: {{id: id}}\nsync_mode: incremental\n"


class Shop:
    """A dbt project in a folder, and what we read of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "dbt", folder / "home"
        self.write("dbt_project.yml", DBT_PROJECT)
        self.profile(ONE_FILE)
        self.write("models/people.sql", "select '{{ target.name }}' as id")
        self.write("models/people.yml", "models: [{name: people, columns: [{name: id, data_tests: [unique]}]}]\n")
        (folder / "syncs").mkdir()
        self.sync("people")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def profile(self, shop: Mapping[str, Any]) -> None:
        self.write("profiles.yml", json.dumps({"shop": shop}))

    def sync(self, model: str) -> None:
        (self.folder.parent / "syncs" / "people.yml").write_text(SYNC.format(model))

    def dbt(self, *words: str, **variables: str) -> None:
        """In a shell."""
        dbt_succeeds(*words, "--quiet", cwd=self.folder, env=os.environ | variables)

    def table(self, file: str, schema: str, value: str, name: str = "people") -> None:
        """As dbt would have built it."""
        (self.folder / file).parent.mkdir(exist_ok=True)
        with writing(self.folder / file) as con:
            con.execute(f"create schema if not exists {schema}")
            con.execute(f"create or replace table {schema}.{name} as select '{value}' as id")

    def project(self, **settings: Any) -> Project:
        types = {"hook": Webhook}
        return Project(DbtSettings(self.folder, **settings), self.folder.parent / "syncs", types, home_folder=self.home)

    def read(self, name: str = "people", **settings: Any) -> str:
        """The only row of the model."""
        project = self.project(**settings)
        model = project.models[name]
        with project.warehouse.open("people", models=True) as con:
            assert list(project.warehouse.column_types(con, model)) == ["id"]
            [(found,)] = con.execute(f"from {project.warehouse.relation(model)}").fetchall()
        return str(found)

    @cached_property
    def parsed(self) -> Path:
        return self.home / "dbt"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    for name in [name for name in os.environ if name.startswith(("DBT_", "REVERSE_ETL_"))]:
        monkeypatch.delenv(name)
    return Shop(tmp_path)


def test_places_of_models_follow_from_variables_that_dbt_is_given(shop: Shop) -> None:
    """Also where dbt was called with other ones last."""
    schema = "{{ var('region', 'nowhere') }}"
    shop.write("models/people.yml", f'models: [{{name: people, config: {{schema: "{schema}"}}}}]\n')
    shop.dbt("build", "--vars", "{region: south}")
    shop.table("shop.duckdb", "dev_north", "north")
    assert shop.read(vars={"region": "north"}) == "north"
    assert shop.read(vars={"region": "south"}) == "dev"
    for region, known in ("north", 0), ("south", 1):
        project = shop.project(vars={"region": region})
        dbt = project.environment.dbt
        assert dbt
        listen(project.journal, dbt)
        assert len(project.journal.model_results("model.shop.people")) == known, region
    shop.table("shop.duckdb", "dev_nowhere", "nowhere")
    assert shop.read(vars={"other": "it is not asked for"}) == "nowhere"


def test_two_targets_in_one_file(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt built for prod, and then for dev."""
    shop.table("shop.duckdb", "prod", "prod")
    shop.dbt("build")
    assert shop.read() == "dev"
    assert not shop.parsed.exists(), "what is of the target is read as it is"
    monkeypatch.setenv("DBT_TARGET", "prod")
    assert shop.read() == "prod"
    assert [place.name for place in shop.parsed.iterdir()] == ["shop-prod"]


@heavy
def test_parsed_for_another_target_since(shop: Shop) -> None:
    """dbt built for both in a shell, and was called for prod last, or for dev."""
    for first, last in (("prod", "dev"), ("dev", "prod")):
        shop.dbt("build", "--target", first)
        shop.dbt("build", "--target", last)
        assert (shop.read(), shop.read(target="prod")) == ("dev", "prod")
    shop.dbt("parse")
    assert (shop.read(), shop.read(target="prod")) == ("dev", "prod")


def test_two_files_of_one_name(shop: Shop) -> None:
    """Their tables have the same names, so one manifest is good for both."""
    shop.profile(TWO_FILES)
    shop.table("dev/shop.duckdb", "main", "dev")
    shop.table("prod/shop.duckdb", "main", "prod")
    shop.dbt("parse")
    assert (shop.read(), shop.read(target="prod")) == ("dev", "prod")
    assert not shop.parsed.exists()


@heavy
def test_a_macro_that_goes_by_the_targets_name(shop: Shop) -> None:
    """Then no place says what the manifest was parsed for."""
    macro = "{{ 'live' if target.name == 'prod' else 'scratch' }}"
    shop.write(
        "macros/places.sql", f"{{% macro generate_schema_name(custom_schema_name, node) %}}{macro}{{% endmacro %}}"
    )
    shop.profile({"target": "dev", "outputs": dict.fromkeys(("dev", "prod"), ONE_FILE["outputs"]["dev"])})
    shop.table("shop.duckdb", "scratch", "dev")
    shop.table("shop.duckdb", "live", "prod")
    shop.dbt("parse")
    assert (shop.read(), shop.read(target="prod")) == ("dev", "prod")
    assert sorted(place.name for place in shop.parsed.iterdir()) == ["shop-dev", "shop-prod"]


@heavy
def test_results_beside_a_manifest_say_its_target(shop: Shop) -> None:
    shop.write("models/people.sql", "{{ config(alias='people_' ~ target.name) }} select '{{ target.name }}' as id")
    shop.dbt("build", "--target", "prod")
    assert shop.read(target="prod") == "prod"
    assert not shop.parsed.exists()
    with pytest.raises(StateError, match="model people is not built yet"):
        shop.read()
    assert [place.name for place in shop.parsed.iterdir()] == ["shop-dev"]


@heavy
def test_a_target_that_the_environment_names(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.profile({**ONE_FILE, "target": "{{ env_var('STAGE', 'dev') }}"})
    shop.table("shop.duckdb", "dev", "dev")
    shop.table("shop.duckdb", "prod", "prod")
    shop.dbt("parse", STAGE="dev")
    assert shop.read() == "dev"
    monkeypatch.setenv("STAGE", "prod")
    assert shop.read() == "prod"


@heavy
def test_a_schema_that_the_environment_names(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same target, and another place."""
    outputs = {"dev": {**ONE_FILE["outputs"]["dev"], "schema": "{{ env_var('WHO', 'ann') }}"}}
    shop.profile({"target": "dev", "outputs": outputs})
    shop.dbt("build", "--target", "dev")
    shop.table("shop.duckdb", "bob", "of bob")
    monkeypatch.setenv("WHO", "bob")
    with pytest.raises(StateError, match=r'dbt built people last as "shop"\."ann"\."people" .* says "shop"\."bob"'):
        shop.read()
    (shop.folder / "target" / "run_results.json").unlink()
    assert shop.read() == "of bob"


@heavy
def test_models_of_one_target_alone(shop: Shop) -> None:
    shop.write("models/only.sql", "{{ config(enabled=target.name == 'prod') }} select 'prod' as id")
    shop.sync("only")
    shop.table("shop.duckdb", "prod", "prod", "only")
    shop.dbt("parse")
    assert shop.project(target="prod").syncs["people"].model == "only"
    assert shop.read("only", target="prod") == "prod"
    with pytest.raises(StateError, match=r"model only is disabled in dbt .* profile `shop`, target `dev`"):
        shop.read("only")


@heavy
def test_it_is_parsed_again_when_something_changed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.table("shop.duckdb", "prod", "prod")
    shop.table("shop.duckdb", "prod", "of the alias", "persons")
    assert shop.read(target="prod") == "prod", "without a manifest of the project's own"
    stamp = shop.parsed / "shop-prod" / "parsed_of"
    before = stamp.stat().st_mtime_ns
    assert shop.read(target="prod") == "prod"
    assert stamp.stat().st_mtime_ns == before
    shop.write("models/people.sql", "{{ config(alias=env_var('ALIAS', 'people')) }} select '1' as id")
    assert shop.read(target="prod") == "prod"
    monkeypatch.setenv("ALIAS", "persons")
    assert shop.read(target="prod") == "of the alias"


@heavy
def test_a_project_that_dbt_cannot_parse(shop: Shop) -> None:
    shop.write("models/people.sql", "select * from {{ ref('nobody') }}")
    with pytest.raises(ConfigurationError) as said:
        shop.read()
    text = str(said.value)
    assert f"dbt cannot parse {shop.folder} for profile `shop`, target `dev`:" in text
    assert "depends on a node named 'nobody' which was not found" in text
    assert f"Try: dbt parse --project-dir {shop.folder} --profiles-dir {shop.folder}" in text


def test_a_manifest_alone_has_to_say_its_target(shop: Shop) -> None:
    shop.dbt("parse")
    shop.table("shop.duckdb", "dev", "dev")
    (shop.folder / "dbt_project.yml").unlink()
    assert shop.read(profile="shop") == "dev"
    with pytest.raises(ConfigurationError) as said:
        shop.read(profile="shop", target="prod")
    assert "manifest.json was parsed for another target" in str(said.value)
    assert "There is no dbt project in" in str(said.value)
    assert "`dbt parse --target prod`" in str(said.value)


def test_a_manifest_of_another_project_is_not_read(shop: Shop) -> None:
    """Both have the same target path."""
    shop.table("shop.duckdb", "dev", "dev")
    shop.dbt("parse")
    shop.write("dbt_project.yml", DBT_PROJECT.replace("name: shop", "name: mill"))
    shop.write("models/people.yml", "models: [{name: people, config: {alias: folk}}]\n")
    shop.table("shop.duckdb", "dev", "mill", name="folk")
    assert shop.read() == "mill"
    assert shop.project().models["people"].unique_id == "model.mill.people"


def test_results_without_a_target_are_of_the_profiles_own(shop: Shop) -> None:
    """A test that failed for dev says nothing of prod."""
    shop.write("models/people.sql", "select '{{ target.name }}' as id union all select 'dev'")
    with pytest.raises(AssertionError):
        shop.dbt("build")
    dev, prod = shop.project(), shop.project(target="prod")
    for project, tests in ((prod, []), (dev, ["build", "unique_people_id"])):
        assert project.environment.dbt is not None
        assert listen(project.journal, project.environment.dbt) == {}
        assert [result.test for result in project.journal.model_results("model.shop.people")] == tests
    dev.journal.close()
    prod.journal.close()


def test_where_the_profile_is_of_no_use_what_was_parsed_before_is_looked_at(shop: Shop) -> None:
    """For states and journal; nothing can be read with it."""
    shop.table("shop.duckdb", "dev", "dev")
    assert shop.read() == "dev", "there is no manifest but ours"
    (shop.folder / "profiles.yml").unlink()
    project = shop.project()
    assert list(project.syncs) == ["people"]
    assert project.models.file == shop.parsed / "shop-dev" / "manifest.json"
    with (
        pytest.raises(ConfigurationError, match=r"there is no .*profiles\.yml"),
        project.warehouse.open("s", models=True),
    ):
        pass
