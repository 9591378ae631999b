"""What the documentation says is so: commands, YAML, SQL, Python, named tests and links."""

import importlib
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
import yaml
from pydantic import SecretStr

from demo.deployment import destinations
from reverse_etl_assets.cli import app
from reverse_etl_assets.deployment.file import DeploymentSettings
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.orchestration import resource_source
from reverse_etl_assets.reasons import Reason
from reverse_etl_assets.spec.loading import load_sync
from reverse_etl_assets.spec.modes import SyncMode
from reverse_etl_assets.spec.yaml_source import YamlSource
from reverse_etl_sandbox.server import Sandbox
from tests import test_syncs
from tests.destinations import leads_server
from tests.engine.shop import Shop, crm, crm_sync
from tests.pages import PAGES, ROOT, Block, blocks, module_from

OTHER_PROGRAMS = {"export", "dagster", "dbt", "cp", "git", "pip", "python3"}
CLI: Any = typer.main.get_command(app)


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
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(("place", "command"), commands())
def test_commands_exist(place: str, command: str) -> None:
    words = shlex.split(command)
    while "=" in words[0]:  # VARIABLE=value before the command
        words.pop(0)
    program = Path(words.pop(0)).name
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
        file = words[2]
        files = list(itertools.takewhile(lambda word: not word.startswith("-"), words[2:]))
        options = words[2 + len(files) :]
        assert all((ROOT / each).exists() for each in files), place
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
OTHER_YAML = re.compile("# wrong|^# reverse_etl.yml\n")


def whole_file(block: Block) -> str:
    part = re.match(r"# part of a sync to (\w+)\n", block.text)
    if part is None:
        return block.text
    given = yaml.safe_load(block.text)
    assert given, block
    around = {"model": "customer_traits", "destination": part[1], "sync_mode": "incremental", **BASE[part[1]]}
    return yaml.safe_dump(with_permission({**around, **given}), sort_keys=False)


def with_permission(spec: dict[str, Any]) -> dict[str, Any]:
    """A part of a file need not say why its personal data may leave."""
    used = [source.get("column") if isinstance(source, dict) else source for source in spec["mapping"].values()]
    marked = {column: "Why" for column in used if column in MODELS[spec["model"]].pii}
    return {**spec, "allow_pii": {**marked, **spec.get("allow_pii", {})}}


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if not OTHER_YAML.search(b.text)], ids=str)
def test_yaml_loads_as_a_sync(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "a_sync.yml"
    file.write_text(whole_file(block))
    sync = load_sync(YamlSource(file), MODELS, TYPES)
    assert sync.mapping


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if b.text.startswith("# reverse_etl.yml\n")], ids=str)
def test_a_project_in_a_file_loads(block: Block) -> None:
    assert DeploymentSettings.model_validate(yaml.safe_load(block.text)).dbt


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


def test_every_variable_is_described() -> None:
    used = set()
    for file in (ROOT / "reverse_etl_assets").rglob("*.py"):
        used |= set(re.findall(r'"(REVERSE_ETL_[A-Z]+|(?:SALESFORCE|HUBSPOT|WEBHOOK)_[A-Z_]+)"', file.read_text()))
    operate = (ROOT / "docs/operate.md").read_text()
    assert {name for name in used if f"`{name}`" not in operate} <= {"WEBHOOK_ALLOW_PRIVATE", "HUBSPOT_DEFINED"}


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


def test_python_that_reads_a_state_file(
    shop: Shop, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.build("select 'C00000435' as email, 'n' as name")
    sync = crm_sync(sync="salesforce_contacts")
    shop.run(sync, crm(sandbox.url))
    monkeypatch.setenv("REVERSE_ETL_HOME", str(shop.home))
    for block in blocks("python"):
        if "REVERSE_ETL_HOME" in block.text:
            names: dict[str, Any] = {}
            exec(compile(block.text, str(block), "exec"), names)
            names["con"].close()
    assert "rejected" in capsys.readouterr().out  # no address is an e-mail address without an @


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


PEOPLE_API, PEOPLE_RESOURCE, PEOPLE_TESTS = map(module_from, ("people_api", "people_resource", "test_people_api"))
READABLE_API, READABLE_TESTS = map(module_from, ("readable_people_api", "test_readable_people_api"))
sys.modules["leads_server"] = leads_server
LEADS_API, LEADS_TESTS = map(module_from, ("leads_api", "test_leads_api"))
TestLeads = LEADS_TESTS.TestLeads
TestReadablePeopleApi = READABLE_TESTS.TestReadablePeopleApi  # which has all the tests of TestPeopleApi, too
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


def test_the_resource_is_what_the_command_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [block] = [block for block in blocks("python") if block.text.startswith("# people_resource.py\n")]
    page = (ROOT / "docs/add-a-destination.md").read_text()
    assert "-m reverse_etl_assets.orchestration.resource_source people_api:PeopleApi > people_resource.py\n" in page
    monkeypatch.setattr(sys, "argv", ["resource_source", "people_api:PeopleApi"])
    resource_source.main()
    assert block.text == "# people_resource.py\n" + capsys.readouterr().out


def test_each_reason_stands_in_the_table_of_reasons() -> None:
    page = (ROOT / "docs/how-it-works.md").read_text()
    table = page.split("| status | reason | meaning | the next run |\n|---|---|---|---|\n")[1].split("\n\n")[0]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", table)
    described = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in plain.splitlines()}
    meanings = [reason.meaning for reason in Reason]
    assert described == {(each.status, f"`{each.word}`", each.explains, each.next_run) for each in meanings}


def test_each_sync_mode_stands_in_the_table_of_modes() -> None:
    page = (ROOT / "docs/write-a-sync.md").read_text()
    for word in SyncMode:
        done = [word.mode.by_kind.get(kind, "–") for kind in ("added", "changed", "removed", "unchanged")]
        if not word.mode.sends_all:
            done[-1] = "–"
        assert f"| `{word}` | {' | '.join(done)} |" in page


def test_no_secret_is_a_literal_in_the_example() -> None:
    fields = PEOPLE_API.PeopleConnection.model_fields
    assert {name for name, field in fields.items() if field.annotation is SecretStr} == {"token"}


def test_the_lines_of_the_worked_example() -> None:
    page = (ROOT / "docs/add-a-destination.md").read_text()
    said = {path: int(lines) for path, lines in re.findall(r"^\| `(examples/[\w/.]+)` \| (\d+) \|", page, re.MULTILINE)}
    assert said == {path: (ROOT / path).read_text().count("\n") for path in said}
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("examples/attio/*/*.py")} <= said.keys()


# Links and names

EVERY_PAGE = [*PAGES, *(ROOT / name for name in ("ARCHITECTURE.md", "SECURITY.md", "examples/attio/README.md"))]
NOT_OURS = {"first_day.yml", "reverse_etl.yml", "defs.yaml", ".env.example"}  # which a reader writes
MADE = {"build", "dist", "state", "target"}  # folders that a run, dbt or a build makes


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = prose(page)
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    for path, test in re.findall(r"`((?:tests|reverse_etl_assets)/[\w/]+\.\w+)((?:::\w+)*)`", text):
        assert (ROOT / path).exists(), path
        assert not test or f"def {test.rpartition('::')[2]}(" in (ROOT / path).read_text(), f"{path}{test}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_modules_that_are_named_exist(page: Path) -> None:
    """`plan.py` or `journal/plans.py`, as a reader would look for it."""
    for name in re.findall(r"`([\w/]+\.(?:py|sql))`", page.read_text()):
        assert is_a_file(name), name


@cache
def files() -> frozenset[str]:
    """All of the project, each with `/` before it; not those of environments, which are hidden."""
    folders = [each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]
    found = [each.relative_to(ROOT).as_posix() for folder in folders for each in folder.rglob("*") if each.is_file()]
    return frozenset(f"/{each}" for each in found if not each.startswith("dbt_project/target"))


def is_a_file(name: str) -> bool:
    return any(each.endswith(f"/{name}") for each in files())


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_folders_and_other_files_that_are_named_exist(page: Path) -> None:
    places = (ROOT, ROOT / "reverse_etl_assets", ROOT / "tests", page.parent)
    for name in re.findall(r"`(\.?\w[\w./-]*/|\w[\w./-]*\.(?:md|toml|lock|json|yaml|yml))`", page.read_text()):
        if Path(name).parts[0] not in MADE and name not in NOT_OURS:
            assert any((place / name).exists() for place in places) or is_a_file(name), name


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_commands_that_are_named_exist(page: Path) -> None:
    ours = {*CLI.commands, *(option for each in CLI.params for option in each.opts)}
    for program, command in re.findall(r"`(?:\.venv/bin/)?(make|reverse-etl) ([a-z-]+)", prose(page)):
        assert command in (make_targets() if program == "make" else ours), f"{program} {command}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=name_of)
def test_python_names_that_are_named_exist(page: Path) -> None:
    """`reverse_etl_assets.destinations`, or a name of it."""
    for path in re.findall(r"`((?:reverse_etl_\w+|demo|tests)(?:\.\w+)+)`", page.read_text()):
        if not path.endswith((".py", ".sql")):
            importlib.import_module(path) if importlib.util.find_spec(path) else resolved(path)


def resolved(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_every_module_is_described() -> None:
    described = (ROOT / "CONTRIBUTING.md").read_text()
    modules = [each for each in (ROOT / "reverse_etl_assets").iterdir() if not each.name.startswith(("_", "py."))]
    missing = [each.name for each in modules if f"`{each.name}{'/' if each.is_dir() else ''}`" not in described]
    assert not missing


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    missing = [p.name for p in ROOT.glob("docs/*.md") if f"docs/{p.name}" not in readme]
    assert not missing


def test_the_readme_is_one_screen() -> None:
    assert (ROOT / "README.md").read_text().count("\n") <= 90
