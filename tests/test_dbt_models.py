"""What dbt's own manifest says of models: marks of personal data, versions, and the versions of syncs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from reverse_etl_assets.dbt.manifest import Model, load_models
from reverse_etl_assets.destinations.webhook import Webhook
from reverse_etl_assets.destinations.webhook.options import WebhookOptions
from reverse_etl_assets.errors import ConfigurationError, SpecError
from reverse_etl_assets.records import Target
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.policies import Cutover
from reverse_etl_assets.spec.sync import Sync
from tests.dbt_shell import dbt_succeeds
from tests.once import Once
from tests.pages import blocks

FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": "shop: {target: l, outputs: {l: {type: duckdb, path: w.duckdb, schema: marts}}}\n",
    "models/people.sql": "select 1 as id",
    "models/leads.sql": "select 1 as id",
    "models/customers_v1.sql": "select 1 as id",
    "models/customers_v2.sql": "select 1 as id",
    "models/marts.yml": """
version: 2
models:
  - name: people
    columns:
      - {name: id, config: {meta: {owner: crm}, tags: [key]}}
      - {name: Email, config: {meta: {pii: Email}}}
      - {name: phone, config: {tags: [gold, "pii:phone"]}}
      - {name: name, config: {tags: [PII]}}
      - {name: born, config: {meta: {pii: true}}}
      - {name: city, config: {meta: {pii: false}}}
      - {name: both, config: {meta: {pii: address}, tags: ["pii:other"]}}
  - name: leads
    config: {tags: ["reverse_etl_version:4"]}
  - name: customers
    latest_version: 2
    config: {meta: {reverse_etl: {version: 2, syncs: {b: {version: 3, model_version: 1, cutover: adopt}}}}}
    columns: [{name: id, data_tests: [unique]}]
    versions:
      - v: 1
        columns: [{include: all}, {name: email, config: {meta: {pii: email}}}]
      - v: 2
""",
}
SYNC = "model: {}\ndestination: hook\nobject: {}\nprimary_key: id\nmapping: {{id: id}}\nsync_mode: incremental\n"


@pytest.fixture(scope="session")
def manifest(once: Once) -> Path:
    def parse(folder: Path) -> None:
        for name, text in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        dbt_succeeds("parse", "--quiet", "--profiles-dir", str(folder), cwd=folder)

    return once("versions", parse) / "target" / "manifest.json"


@pytest.fixture(scope="session")
def models(manifest: Path) -> Mapping[str, Model]:
    return load_models(manifest)


class Reader(Webhook):
    """Enough for `cutover: adopt` to be let through."""

    @classmethod
    def reads_back(cls, target: Target, options: WebhookOptions) -> bool:
        return True


def load(folder: Path, models: Mapping[str, Model], **files: str) -> dict[str, Sync]:
    for name, text in files.items():
        model, _, rest = text.partition("\n")
        (folder / f"{name}.yml").write_text(SYNC.format(model, name) + rest)
    return load_syncs(folder, models, {"hook": Reader})


def refused(folder: Path, models: Mapping[str, Model], **files: str) -> str:
    with pytest.raises(SpecError) as raised:
        load(folder, models, **files)
    return str(raised.value).replace(f"{folder}/", "")


def test_marks_of_personal_data(models: Mapping[str, Model]) -> None:
    assert models["people"].pii == {
        "email": "email", "phone": "phone", "name": "personal", "born": "personal", "both": "address"
    }  # fmt: skip
    assert models["people"].file == "models/marts.yml"


@pytest.mark.parametrize("mark", ["", ["email"], 1, {"kind": "email"}])
def test_a_mark_that_cannot_be_read(manifest: Path, tmp_path: Path, mark: Any) -> None:
    """Not to know a mark would let the column out."""
    found = json.loads(manifest.read_text())
    found["nodes"]["model.shop.people"]["columns"]["id"]["config"]["meta"] = {"pii": mark}
    (tmp_path / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(ConfigurationError, match=r"dbt model people, column id: `meta\.pii` is .* write the kind"):
        load_models(tmp_path / "manifest.json")


def test_versions_of_a_model(models: Mapping[str, Model]) -> None:
    assert models.keys() == {"people", "leads", "customers", "customers.v1", "customers.v2"}
    assert models["customers"] is not None
    assert models["customers"] == models["customers.v2"]
    one, two = models["customers.v1"], models["customers"]
    assert (one.name, one.identifier, one.version, one.latest_version) == ("customers.v1", "customers_v1", 1, 2)
    assert (two.name, two.identifier, two.version, two.latest_version) == ("customers.v2", "customers_v2", 2, 2)
    assert (one.pii, two.pii) == ({"email": "email"}, {})
    assert (models["people"].version, models["people"].latest_version) == (None, None)


def test_the_tests_of_a_model(models: Mapping[str, Model]) -> None:
    assert models["customers.v1"].tests == ("unique_customers_v1_id",)
    assert models["customers"].tests == ("unique_customers_v2_id",)
    assert models["people"].tests == ()


def test_which_version_of_the_model(tmp_path: Path, models: Mapping[str, Model]) -> None:
    plain = without_meta(models)
    syncs = load(
        tmp_path,
        plain,
        latest="customers\n",
        named="customers.v1\n",
        pinned="customers\nmodel_version: 1\n",
        both="customers.v2\nmodel_version: 2\n",
    )
    assert {name: sync.model for name, sync in syncs.items()} == {
        "latest": "customers",
        "named": "customers.v1",
        "pinned": "customers.v1",
        "both": "customers.v2",
    }


def without_meta(models: Mapping[str, Model]) -> dict[str, Model]:
    return {name: replace(model, reverse_etl={}, tags=()) for name, model in models.items()}


PINS = {
    "customers\nmodel_version: 7\n": (
        "a.yml:7: model_version: dbt has no version 7 of `customers`; it has customers.v1, customers.v2."
    ),
    "customers.v2\nmodel_version: 1\n": (
        "a.yml:7: model_version: `model: customers.v2` means another version than 1; take one of them out."
    ),
    "people\nmodel_version: 1\n": (
        "a.yml:7: model_version: `people` has no versions in dbt; take `model_version` out."
    ),
    "customers.v7\n": "a.yml:1: model: there is no model `customers.v7`; did you mean `customers.v2`?",
}  # fmt: skip


@pytest.mark.parametrize("text", PINS)
def test_versions_that_there_are_not(tmp_path: Path, models: Mapping[str, Model], text: str) -> None:
    assert refused(tmp_path, without_meta(models), a=text) == PINS[text]


def test_versions_of_syncs_in_dbts_yaml(tmp_path: Path, models: Mapping[str, Model]) -> None:
    """Of all syncs of a model, of one, as a tag; a file may say the same."""
    syncs = load(tmp_path, models, a="customers\n", b="customers\nversion: 3\n", c="leads\n", d="people\n")
    said = {name: (sync.version, sync.model, sync.cutover) for name, sync in syncs.items()}
    assert said == {
        "a": (2, "customers", None),
        "b": (3, "customers.v1", Cutover.ADOPT),
        "c": (4, "leads", None),
        "d": (1, "people", None),
    }


def test_contradictions_name_both_places(tmp_path: Path, models: Mapping[str, Model]) -> None:
    said = refused(
        tmp_path,
        models,
        a="customers\nversion: 3\n",
        b="customers.v2\nversion: 2\ncutover: resend\n",
        c="leads\nversion: 5\n",
    )
    place = "models/marts.yml, model customers.v2, meta.reverse_etl"
    assert said.splitlines() == [
        f"a.yml:7: version: `version` is 3 here, and 2 in dbt ({place}.version); take one of them out.",
        f"b.yml:7: version: `version` is 2 here, and 3 in dbt ({place}.syncs.b.version); take one of them out.",
        f"b.yml:1: model: `model_version` is 2 here, and 1 in dbt ({place}.syncs.b.model_version);"
        " take one of them out.",
        f"b.yml:8: cutover: `cutover` is 'resend' here, and 'adopt' in dbt ({place}.syncs.b.cutover);"
        " take one of them out.",
        "c.yml:7: version: `version` is 5 here, and 4 in dbt"
        " (models/marts.yml, model leads, tag reverse_etl_version:4); take one of them out.",
    ]


def test_the_example_of_the_documentation(tmp_path: Path, models: Mapping[str, Model]) -> None:
    [block] = blocks("yml")
    meta = yaml.safe_load(block.text)["models"][0]["config"]["meta"]
    said = {name: replace(model, reverse_etl=meta["reverse_etl"]) for name, model in models.items()}
    found = load(tmp_path, {name: said[name] for name in ("customers", "customers.v1")}, hubspot_contacts="customers\n")
    sync = found["hubspot_contacts"]
    assert (sync.version, sync.cutover, sync.model) == (3, Cutover.ADOPT, "customers.v1")


def test_a_sync_that_only_dbt_knows(tmp_path: Path, models: Mapping[str, Model]) -> None:
    assert refused(tmp_path, models, bb="customers\n") == (
        "models/marts.yml: model customers: meta.reverse_etl.syncs: it has no sync `b`; did you mean `bb`?"
    )


@pytest.mark.parametrize(
    ("says", "tags", "why"),
    [
        ({"versoin": 2}, (), "meta.reverse_etl: versoin: Extra inputs are not permitted."),
        ({"version": 0}, (), "meta.reverse_etl: version: Input should be greater than or equal to 1."),
        ({}, ("reverse_etl_version:two",), "the tag `reverse_etl_version:two` is no version, or not the only one."),
        ({"version": 3}, ("reverse_etl_version:2",), "the tag `reverse_etl_version:2` is no version"),
    ],
)
def test_what_dbts_yaml_cannot_say(
    tmp_path: Path, models: Mapping[str, Model], says: Mapping[str, Any], tags: tuple[str, ...], why: str
) -> None:
    wrong = {"people": replace(models["people"], reverse_etl=says, tags=tags)}
    assert refused(tmp_path, wrong, a="people\n").startswith(f"models/marts.yml: model people: {why}")
