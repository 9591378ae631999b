"""What the documentation says is so: commands, YAML, SQL, Python, field tables, named tests and links."""

import importlib
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
import typer
import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from reverse_etl_assets.cli import app
from reverse_etl_assets.deployment import destinations
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.sandbox.server import Sandbox
from reverse_etl_assets.spec import Sync, load_sync
from reverse_etl_assets.yaml_source import YamlSource
from tests import test_syncs
from tests.engine.shop import Shop, crm, crm_sync

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/**/*.md"))
OTHER_PROGRAMS = {"export", "dagster"}
CLI: Any = typer.main.get_command(app)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in _blocks(page) if block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def commands() -> list[tuple[str, str]]:
    """Each command of a block of shell with where it stands, comments and variables taken off."""
    found = []
    for block in blocks("bash"):
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            if words := shlex.split(line, comments=True):
                found.append((f"{block.page.relative_to(ROOT)}:{number}", shlex.join(words)))
    return found


# Commands


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(("place", "command"), commands())
def test_commands_exist(place: str, command: str) -> None:
    words = shlex.split(command)
    while "=" in words[0]:  # VARIABLE=value before the command
        words.pop(0)
    program = words.pop(0).removeprefix(".venv/bin/")
    if program == "make":
        assert words[0] in make_targets(), place
    elif program == "reverse-etl":
        check_options(place, words)
    elif program == "python":
        check_module(place, words)
    else:
        assert program in OTHER_PROGRAMS, place


def check_options(place: str, words: list[str]) -> None:
    """The command line takes the words as a command with its options and arguments; nothing is run."""
    context = CLI.make_context("reverse-etl", list(words))
    name, command, rest = CLI.resolve_command(context, list(words))
    assert command is not None, place
    command.make_context(name, rest, parent=context)


def check_module(place: str, words: list[str]) -> None:
    assert words[0] == "-m", place
    assert importlib.util.find_spec(words[1]), place
    if words[1] == "pytest":
        file, *options = words[2:]
        assert (ROOT / file).exists(), place
        if options:
            assert options[0] == "-k", place
            assert options[1] in (ROOT / file).read_text(), place
        return
    for option in (word for word in words[2:] if word.startswith("--")):
        said = subprocess.run([sys.executable, "-m", words[1], "--help"], capture_output=True, text=True, check=True)
        assert option in said.stdout, place


def test_every_command_is_described() -> None:
    described = " ".join(command for _, command in commands())
    for name in CLI.commands:
        assert f"reverse-etl {name}" in described or f"`reverse-etl {name}`" in pages_text(), name


def pages_text() -> str:
    return "\n".join(page.read_text() for page in PAGES)


# YAML


MODELS = test_syncs.models()
TYPES = {name: resource.destination_type for name, resource in destinations.items()}
BASE: Mapping[str, Mapping[str, Any]] = {
    "salesforce": {
        "object": "Contact",
        "primary_key": "customer_id",
        "mapping": {"External_Id__c": "customer_id", "LastName": "last_name"},
    },
    "crm_webhook": {
        "object": "customers",
        "primary_key": "customer_id",
        "external_id": "id",
        "mapping": {"id": "customer_id", "email": "email"},
    },
}
"""What a part of a file stands in."""


def whole_file(block: Block) -> str:
    part = re.match(r"# part of a sync to (\w+)\n", block.text)
    if part is None:
        return block.text
    given = yaml.safe_load(block.text)
    assert given, block
    around = {"model": "customer_traits", "destination": part[1], "sync_mode": "incremental", **BASE[part[1]]}
    return yaml.safe_dump({**around, **given}, sort_keys=False)


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if "# wrong" not in b.text], ids=str)
def test_yaml_loads_as_a_sync(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "a_sync.yml"
    file.write_text(whole_file(block))
    sync = load_sync(YamlSource(file), MODELS, TYPES)
    assert sync.mapping


def test_a_wrong_file_is_explained_in_the_words_of_the_page(tmp_path: Path) -> None:
    [wrong] = [block for block in blocks("yaml") if "# wrong" in block.text]
    [said] = [b for b in blocks("text") if b.page == wrong.page]
    name = wrong.text.splitlines()[0].removeprefix("# wrong: ")
    (tmp_path / name).write_text(wrong.text)
    with pytest.raises(SpecError) as error:
        load_sync(YamlSource(tmp_path / name), MODELS, TYPES)
    assert str(error.value).replace(f"{tmp_path}/", "") == said.text.strip()


def test_the_sync_in_the_readme_has_twelve_lines() -> None:
    [block] = [block for block in blocks("yaml") if block.page.name == "README.md"]
    assert block.text.count("\n") <= 12


# Field tables


@dataclass(frozen=True)
class FieldTable:
    page: Path
    model: type[BaseModel]
    rows: Mapping[str, tuple[str, str]]

    def __str__(self) -> str:
        return self.model.__name__


def field_tables() -> list[FieldTable]:
    found = []
    for page in PAGES:
        for match in re.finditer(r"<!-- fields: (\S+) -->\n\n\|.*\n\|-.*\n((?:\|.*\n)+)", page.read_text()):
            module, _, name = match[1].rpartition(".")
            cells = [re.split(r"(?<!\\) *\| *", line)[1:-1] for line in match[2].splitlines()]
            rows = {field.strip("`"): (default, meaning) for field, default, meaning in cells}
            found.append(FieldTable(page, getattr(importlib.import_module(module), name), rows))
    return found


def plain(text: str | None) -> str:
    return " ".join((text or "").split())


def default_of(field: FieldInfo) -> Any:
    """As YAML has it."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, Enum):
        return value.value
    return sorted(value) if isinstance(value, frozenset) else value


def hours(text: str) -> timedelta:
    number, unit = text.split()
    return timedelta(**{f"{unit.rstrip('s')}s": int(number)})


@pytest.mark.parametrize("table", field_tables(), ids=str)
def test_field_tables_are_the_schema(table: FieldTable) -> None:
    """Every field in its order, with its default and the words of its docstring."""
    fields = table.model.model_fields
    assert list(table.rows) == list(fields)
    for name, field in fields.items():
        said, meaning = table.rows[name]
        assert plain(field.description) in plain(meaning), f"{name}: {plain(field.description)}"
        check_default(name, field, said)


WORDS: Mapping[str, Any] = {"none": None, "empty": ""}
IN_WORDS = {"every row is compared", "see [guards](#guards)", "all 0", "by status", "no limit", "see meaning"}
"""Defaults that are a model, told by its own table."""


def check_default(name: str, field: FieldInfo, said: str) -> None:
    if said in ("required", "the file's name"):
        assert field.is_required(), name
        return
    assert not field.is_required(), name
    default = default_of(field)
    if said in IN_WORDS:
        assert not default, name
    elif said in WORDS:
        assert default == WORDS[said], name
    elif isinstance(default, timedelta):
        assert hours(said) == default, name
    elif isinstance(default, str):
        assert said.strip("`") == default, name
    else:
        shown = yaml.safe_load(said.strip("`"))
        assert shown == (list(default) if isinstance(default, tuple) else default), name


def test_every_setting_has_a_table() -> None:
    """Also those of parts, such as `guards` of a sync or `results` of a webhook."""
    waiting: list[type[BaseModel]] = [Sync, *(kind.Connection for kind in TYPES.values())]
    waiting += [kind.Options for kind in TYPES.values()]
    wanted: set[type[BaseModel]] = set()
    while waiting:
        model = waiting.pop()
        wanted.add(model)
        inner = {part for field in model.model_fields.values() for part in parts(field.annotation)}
        waiting += inner - wanted
    described = {table.model for table in field_tables()}
    assert {model for model in wanted if model.model_fields} == described


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def test_every_variable_is_described() -> None:
    used = set()
    for file in (ROOT / "reverse_etl_assets").rglob("*.py"):
        used |= set(re.findall(r'"(REVERSE_ETL_[A-Z]+|(?:SALESFORCE|HUBSPOT|WEBHOOK)_[A-Z_]+)"', file.read_text()))
    operate = (ROOT / "docs/operate.md").read_text()
    assert {name for name in used if f"`{name}`" not in operate} <= {"WEBHOOK_ALLOW_PRIVATE"}


# SQL and Python


def test_sql_runs_on_a_state_file(shop: Shop, sandbox: Sandbox) -> None:
    shop.build("select 'u' || i || '@shop.example' as email, 'n' || i as name from range(10) r(i)")
    sandbox.fault("refuse_rows", percent=40.0, seed=1)
    report = shop.run(crm_sync(), crm(sandbox.url))
    failed, everything = report.counts["failed"], report.counts["created"] + report.counts["failed"]
    assert 0 < failed < everything == 10
    with duckdb.connect(str(shop.warehouse.state_file("people_to_crm")), read_only=True) as con:
        counts = [len(con.execute(block.text.replace("C00000435", "U1@shop.example")).fetchall()) for block in SQL]
    assert counts == [failed, 1, report.counts["created"]]


SQL = blocks("sql")


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


def module_from(name: str) -> types.ModuleType:
    """The file of that name in docs/add-a-destination.md, as a module that the others can import."""
    [block] = [block for block in blocks("python") if block.text.startswith(f"# {name}.py\n")]
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile("\n" * block.line + block.text, str(block.page), "exec"), module.__dict__)
    return module


PEOPLE_API, PEOPLE_RESOURCE, PEOPLE_TESTS = map(module_from, ("people_api", "people_resource", "test_people_api"))
TestPeopleApi = PEOPLE_TESTS.TestPeopleApi
test_the_request_of_an_upsert = PEOPLE_TESTS.test_the_request_of_an_upsert


def test_the_minimal_destination_runs_a_sync(shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the resource on, as a deployment has it."""
    import dagster as dg

    monkeypatch.setenv("PEOPLE_BASE_URL", f"{sandbox.url}/rest")
    monkeypatch.setenv("PEOPLE_TOKEN", "people-token")
    [block] = [block for block in blocks("python") if "PEOPLE_TOKEN" in block.text]
    deployment: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), deployment)
    resource = deployment["destinations"]["people"]
    assert isinstance(resource.token, dg.EnvVar)
    sandbox.settings.change({"rest_token": "people-token"})
    shop.build("select 'p' || i as id, 'n' || i as name from range(1200) r(i)")
    sync = crm_sync(destination="people", object="people", primary_key="id", mapping={"id": "id", "name": "name"})
    report = shop.run(sync, resource.account("people"))
    assert report.counts["created"] == len(sandbox.rest.table("people").live()) == 1200


def test_no_secret_is_a_literal_in_the_example() -> None:
    fields = PEOPLE_API.PeopleConnection.model_fields
    assert {name for name, field in fields.items() if field.annotation is SecretStr} == {"token"}


# Links and names


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    for path, test in re.findall(r"`((?:tests|reverse_etl_assets)/[\w/]+\.\w+)(?:::(\w+))?`", text):
        assert (ROOT / path).exists(), path
        assert f"def {test}(" in (ROOT / path).read_text() or not test, f"{path}::{test}"


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [p.name for p in ROOT.glob("docs/*.md") if f"docs/{p.name}" not in readme]
    assert not missing


def test_the_readme_is_one_screen() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 90
