"""What a sync may call a model: as dbt's ref() and source() find it, by package, version or kind; and what not."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from reverse_etl_assets.dbt.manifest import load_models
from reverse_etl_assets.dbt.names import Models
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.errors import SpecError, UnknownModel
from reverse_etl_assets.journal import Journal
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.state.versions import Definition
from reverse_etl_assets.warehouses.columns import Columns
from tests.dbt_shell import dbt_succeeds
from tests.journal_entries import record_model_results
from tests.once import Once

PACKAGE = "name: {}\nversion: '1.0'\nprofile: shop\n"
FILES = {
    "dbt_project.yml": PACKAGE.format("shop") + "flags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": "shop: {target: l, outputs: {l: {type: duckdb, path: w.duckdb, schema: marts}}}\n",
    "models/people.sql": "select 1 as id",
    "models/customers_v1.sql": "select 1 as id",
    "models/customers_v2.sql": "select 1 as id",
    "models/passing.sql": "{{ config(materialized='ephemeral') }} select 1 as id",
    "models/old.sql": "{{ config(enabled=false) }} select 1 as id",
    "models/all.yml": """
models:
  - {name: customers, latest_version: 2, versions: [{v: 1}, {v: 2}]}
sources: [{name: crm, schema: raw, tables: [{name: people, identifier: persons, columns: [{name: id}]}]}]
""",
    "seeds/countries.csv": "id\n1\n",
    "snapshots/people_before.sql": "{% snapshot people_before %}{{ config(unique_key='id', strategy='check',"
    " check_cols=['id'], schema='before') }} select 1 as id{% endsnapshot %}",
    "dbt_packages/extra/dbt_project.yml": PACKAGE.format("extra"),
    "dbt_packages/extra/models/people.sql": "{{ config(schema='extra') }} select 2 as id",
    "dbt_packages/extra/models/twice.sql": "select 1 as id",
    "dbt_packages/extra/models/old.sql": "select 1 as id",
    "dbt_packages/extra/models/alone.sql": "select 1 as id",
    "dbt_packages/more/dbt_project.yml": PACKAGE.format("more"),
    "dbt_packages/more/models/twice.sql": "{{ config(schema='more') }} select 1 as id",
}
SYNC = "model: {}\ndestination: hook\nobject: a\nprimary_key: id\nmapping: {{id: id}}\nsync_mode: incremental\n"


@pytest.fixture(scope="module")
def models(once: Once) -> Models:
    def parse(folder: Path) -> None:
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        dbt_succeeds("parse", "--quiet", "--profiles-dir", str(folder), cwd=folder)

    return load_models(once("names", parse) / "target" / "manifest.json")


FOUND = {
    "people": ("model.shop.people", "marts", "people"),
    "shop.people": ("model.shop.people", "marts", "people"),
    "model.people": ("model.shop.people", "marts", "people"),
    "model.shop.people": ("model.shop.people", "marts", "people"),
    "extra.people": ("model.extra.people", "marts_extra", "people"),
    "alone": ("model.extra.alone", "marts", "alone"),
    "old": ("model.extra.old", "marts", "old"),
    "customers": ("model.shop.customers.v2", "marts", "customers_v2"),
    "customers.v1": ("model.shop.customers.v1", "marts", "customers_v1"),
    "shop.customers.v1": ("model.shop.customers.v1", "marts", "customers_v1"),
    "countries": ("seed.shop.countries", "marts", "countries"),
    "seed.countries": ("seed.shop.countries", "marts", "countries"),
    "people_before": ("snapshot.shop.people_before", "marts_before", "people_before"),
    "snapshot.people_before": ("snapshot.shop.people_before", "marts_before", "people_before"),
    "source.crm.people": ("source.shop.crm.people", "raw", "persons"),
    "source.shop.crm.people": ("source.shop.crm.people", "raw", "persons"),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_a_name_means(models: Models, tmp_path: Path, name: str) -> None:
    model = models[name]
    assert (model.unique_id, model.schema, model.identifier) == FOUND[name]
    (tmp_path / "a.yml").write_text(SYNC.format(name))
    assert load_syncs(tmp_path, models, {"hook": Webhook})["a"].model == name


def test_a_version_of_a_model_of_a_package(models: Models, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(SYNC.format("shop.customers") + "model_version: 1\n")
    assert load_syncs(tmp_path, models, {"hook": Webhook})["a"].model == "shop.customers.v1"
    (tmp_path / "a.yml").write_text(SYNC.format("shop.customers") + "model_version: 7\n")
    with pytest.raises(SpecError, match=r"no version 7 of `shop\.customers`; it has shop\.customers\.v1, shop"):
        load_syncs(tmp_path, models, {"hook": Webhook})


REFUSED = {
    "twice": "`twice` is the name of 2 in dbt; write the one that is meant: `extra.twice`, `more.twice`.",
    "shop.old": "`shop.old` is disabled in dbt (`enabled: false`)",
    "passing": "`passing` is ephemeral: dbt builds nothing of it that could be read.",
    "peple": "there is no model `peple`; did you mean `people`?",
    "source.crm.peple": "there is no model `source.crm.peple`; did you mean `source.crm.people`?",
    "crm.people": "there is no model `crm.people`; did you mean `people`?",
    "snapshot.people": "there is no model `snapshot.people`",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_good(models: Models, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yml").write_text(SYNC.format(name))
    with pytest.raises(SpecError) as said:
        load_syncs(tmp_path, models, {"hook": Webhook})
    assert f"a.yml:1: model: {REFUSED[name]}" in str(said.value)
    assert isinstance(said.value, UnknownModel) == (name != "passing")


def test_what_is_listed_can_be_used_and_says_which_it_is(models: Models) -> None:
    names = "people extra.people extra.twice more.twice alone old countries people_before source.crm.people passing"
    assert set(models) == {*names.split(), "customers", "customers.v1", "customers.v2"}
    assert {models[name].name for name in models} == {*names.split(), "customers.v1", "customers.v2"}


def test_a_model_is_the_same_by_each_of_its_names(models: Models, tmp_path: Path) -> None:
    """Else another spelling would look like another model, and need a new version of the sync."""
    parts: dict[str, Mapping[str, str]] = {}
    for name in ("people", "shop.people", "model.people", "extra.people", "customers.v1", "shop.customers.v1"):
        (tmp_path / "a.yml").write_text(SYNC.format(name))
        sync = load_syncs(tmp_path, models, {"hook": Webhook})["a"]
        columns = Columns.of(sync, {"id": "INTEGER"}, fold_case=False)
        parts[name] = Definition.of(columns, models[name]).parts
    assert parts["people"] == parts["shop.people"] == parts["model.people"]
    assert (parts["people"]["model"], parts["extra.people"]["model"]) == ("people", "extra.people")
    assert parts["customers.v1"] == parts["shop.customers.v1"]


def test_results_of_two_models_of_one_name_are_two(tmp_path: Path) -> None:
    journal = Journal.open(f"sqlite:///{tmp_path}/journal.sqlite")
    record_model_results(journal, "model.shop.people", {"unique_id": "fail"})
    assert journal.model_results("model.extra.people") == []
    journal.close()
