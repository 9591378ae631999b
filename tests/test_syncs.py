"""Files of syncs: ours are right, and wrong ones are told so by file, line and the nearest right word."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from demo.deployment import destinations
from reverse_etl_assets.cli.schema import sync_schema
from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.spec.loading import load_syncs
from reverse_etl_assets.spec.modes import SyncMode

ROOT = Path(__file__).parents[1]
SYNCS = ROOT / "demo" / "syncs"
TYPES: dict[str, Any] = {name: resource.destination_type for name, resource in destinations.items()}
PEOPLE = {"people": Model("people", "model.x.people", "marts", "people", {"email": None, "name": None}, {})}

GOOD = """\
model: people
destination: hubspot
object: contacts
primary_key: email
mapping:
  email: email
  firstname: name
sync_mode: mirror
"""


def models() -> dict[str, Model]:
    """The models as the project documents them."""
    documented = yaml.safe_load((ROOT / "dbt_project/models/marts/_marts.yml").read_text())["models"]
    return {each["name"]: documented_model(each["name"], each["columns"]) for each in documented}


def documented_model(name: str, columns: list[dict[str, Any]]) -> Model:
    pii = {column["name"]: column["config"]["meta"]["pii"] for column in columns if "config" in column}
    return Model(name, f"model.x.{name}", "marts", name, {column["name"]: None for column in columns}, {}, pii)


def test_our_syncs_are_right() -> None:
    syncs = load_syncs(SYNCS, models(), TYPES)
    assert len(syncs) == len(list(SYNCS.glob("*.yml")))
    assert {sync.destination for sync in syncs.values()} == set(TYPES)
    assert {sync.sync_mode for sync in syncs.values()} == {
        SyncMode.MIRROR,
        SyncMode.INCREMENTAL,
        SyncMode.UPDATE_ONLY,
        SyncMode.APPEND,
    }
    for sync in syncs.values():
        assert sync.description.endswith(".")
        assert sync.owners
        assert sync.schedule


def test_the_schema_is_in_step() -> None:
    assert json.loads((SYNCS / "sync.schema.json").read_text()) == sync_schema(), "run `make schema`"


@pytest.mark.parametrize("file", sorted(SYNCS.glob("*.yml")), ids=lambda file: file.stem)
def test_our_files_fit_the_schema(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=./sync.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), sync_schema())


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(GOOD.replace("sync_mode", "sync_mod")), sync_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(GOOD.replace("mirror", "miror")), sync_schema())


def load(folder: Path, **files: str) -> list[str]:
    """The lines of the error, without the folder."""
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text)
    with pytest.raises(SpecError) as raised:
        load_syncs(folder, PEOPLE, TYPES)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


WRONG = {
    "misspelt field": (
        GOOD.replace("sync_mode", "sync_mod"),
        ["a.yml:1: `sync_mode` is missing.", "a.yml:8: sync_mod: unknown field; did you mean `sync_mode`?"],
    ),
    "misspelt field below": (
        GOOD + "guards:\n  max_removd: {rows: 5}\n",
        ["a.yml:10: guards.max_removd: unknown field; did you mean `max_removed`?"],
    ),
    "misspelt field of a field": (
        GOOD + "guards:\n  fields:\n    firstname: {max_emptid: {rows: 5}}\n",
        ["a.yml:11: guards.fields.firstname.max_emptid: unknown field; did you mean `max_emptied`?"],
    ),
    "guard of a field that is not mapped": (
        GOOD + "guards:\n  fields:\n    firstnam: {max_emptied: {rows: 5}}\n",
        ["a.yml:11: guards.fields.firstnam: the sync does not map `firstnam`; did you mean `firstname`?"],
    ),
    "misspelt mode": (
        GOOD.replace("mirror", "miror"),
        ["a.yml:8: sync_mode: 'miror' is unknown; did you mean `mirror`?"],
    ),
    "misspelt model": (
        GOOD.replace("model: people", "model: peple"),
        ["a.yml:1: model: there is no model `peple`; did you mean `people`?"],
    ),
    "misspelt destination": (
        GOOD.replace("hubspot", "hubspto"),
        ["a.yml:2: destination: there is no destination `hubspto`; did you mean `hubspot`?"],
    ),
    "misspelt option": (
        GOOD.replace("hubspot", "crm_webhook").replace("mirror", "append") + "options:\n  pth: /x\n",
        ["a.yml:10: options.pth: unknown field; did you mean `path`?"],
    ),
    "mode that the destination cannot do": (
        GOOD.replace("hubspot", "crm_webhook"),
        [
            "a.yml:8: sync_mode: `crm_webhook` cannot delete;"
            " it can do full_refresh, incremental, update_only, insert_only, append."
        ],
    ),
    "wrong type": (
        GOOD + "owners: 5\n",
        ["a.yml:9: owners: Input should be a valid tuple"],
    ),
    "a word that YAML takes for something else": (
        GOOD.replace("model: people", "model: off").replace("destination: hubspot", "destination: 2026-01-01"),
        [
            "a.yml:1: model: Input should be a valid string: YAML takes this for true or false; write it in quotes.",
            "a.yml:2: destination: Input should be a valid string: YAML takes this for a date; write it in quotes.",
        ],
    ),
    "nothing where a text has to be": (
        GOOD.replace("object: contacts", "object: # TODO"),
        ["a.yml:3: object: Input should be a valid string: nothing stands here."],
    ),
    "wrong duration": (
        GOOD + "schedule:\n  fresh_within: 6 fortnights\n",
        [
            "a.yml:10: schedule.fresh_within: '6 fortnights' is not a duration;"
            " write it like `30 minutes`, `6 hours` or `1 day`."
        ],
    ),
    "two kinds of schedule": (
        GOOD + "schedule:\n  fresh_within: 6 hours\n  cron: 0 5 * * *\n",
        ["a.yml:9: schedule: give either `cron` or `fresh_within`."],
    ),
    "a field twice": (
        GOOD + "model: people\n",
        ["a.yml:9: `model` is given twice."],
    ),
    "fields that differ only in case": (
        GOOD.replace("  firstname: name\n", "  firstname: name\n  FirstName: name\n"),
        ["a.yml:5: mapping: `firstname` and `FirstName` differ only in case."],
    ),
    "a source of two kinds": (
        GOOD.replace("firstname: name", "firstname: {column: name, constant: 5}"),
        ["a.yml:7: mapping.firstname: give either `column` or `constant`."],
    ),
    "no mapping": (
        GOOD.replace("mapping:\n  email: email\n  firstname: name\n", "mapping: {}\n"),
        ["a.yml:5: mapping: Value should have at least 1 item after validation, not 0"],
    ),
    "not YAML": (GOOD + "a: [1\n", ["a.yml:10: not valid YAML: expected ',' or ']', but got '<stream end>'."]),
    "not a mapping": ("- a\n", ["a.yml:1: a sync is a mapping of fields, such as `model: customer_traits`."]),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong(tmp_path: Path, case: str) -> None:
    text, lines = WRONG[case]
    assert load(tmp_path, a=text) == lines


def test_two_syncs_of_one_name(tmp_path: Path) -> None:
    lines = load(tmp_path, a=f"sync: same\n{GOOD}", b=f"sync: Same\n{GOOD}")
    assert lines == ["b.yml:1: sync: `Same` is the name of a.yml too; rename one."]


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    """In several files, and several things in one of them."""
    lines = load(
        tmp_path,
        a=GOOD.replace("mirror", "miror"),
        b=GOOD.replace("model: people", "model: peple").replace("hubspot", "hubspt"),
        c=GOOD,
        d="{",
    )
    assert [line.partition(": ")[0] for line in lines] == ["a.yml:8", "b.yml:1", "b.yml:2", "d.yml:1"]


def test_names_follow_the_files(tmp_path: Path) -> None:
    (tmp_path / "people_to_hubspot.yml").write_text(GOOD)
    assert list(load_syncs(tmp_path, PEOPLE, TYPES)) == ["people_to_hubspot"]


def test_make_schema_prints_the_schema() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "reverse_etl_assets.cli", "schema"], capture_output=True, text=True, check=True
    )
    assert run.stdout == (SYNCS / "sync.schema.json").read_text()
