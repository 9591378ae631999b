"""The pages of the destinations: one form for all, and a table that is what the command says."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demo.deployment import destinations
from reverse_etl_assets.cli import app
from reverse_etl_assets.cli.destinations import rate
from reverse_etl_assets.destinations.registry import destination_types
from tests.pages import ROOT

FOLDER = ROOT / "docs" / "destinations"
HEADINGS = [
    "Example",
    "Credentials",
    "Objects and keys",
    "Batches and limits",
    "What a partial failure looks like",
    "What a retry can do",
    "Deletes",
    "Types and NULL",
    "Reading back",
    "Known traps",
]
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name not in ("README.md", "first-day.md"))


def test_the_table_is_what_the_command_says() -> None:
    said = CliRunner().invoke(app, ["destinations", "--markdown"], catch_exceptions=False).output.strip()
    page = (FOLDER / "README.md").read_text()
    shown = re.search(r"<!-- generated: reverse-etl destinations --markdown -->\n\n(.*?)\n\n<!-- end -->", page, re.S)
    assert shown is not None
    assert shown[1] == said


def test_every_installed_destination_has_a_page_and_an_account_in_the_deployment() -> None:
    names = {page.stem for page in PAGES}
    assert names == set(destination_types())
    assert {resource.destination_type.__module__.split(".")[2] for resource in destinations.values()} == names
    index = (FOLDER / "README.md").read_text()
    assert all(f"({name}.md)" in index for name in names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_have_one_form(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    assert re.findall(r"^## (.+)$", text, re.M) == HEADINGS


@pytest.mark.parametrize("name", ["plain", "json"])
def test_what_destinations_can_do_is_shown(name: str) -> None:
    arguments = ["destinations", *(["--json"] if name == "json" else [])]
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert found.exit_code == 0
    for word in ("HubSpot", "18.7", "insert"):
        assert word in found.output


@pytest.mark.parametrize(
    ("a_second", "shown"),
    [(1.38194, "1.38"), (18.7, "18.7"), (24.0, "24"), (1_000.0, "1,000"), (0.5, "0.5"), (100 / 86_400, "0.0012")],
)
def test_a_rate_is_shown_with_as_many_digits_as_anybody_reads(a_second: float, shown: str) -> None:
    assert rate(a_second) == shown
