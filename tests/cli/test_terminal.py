"""Rows' values and vendors' words do nothing to the terminal that a command prints them on."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets import cli
from tests.cli.office import CONTACTS, Office
from tests.heavy import heavy

NASTY = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\u202eevil\u2066\u200e\u200b\u2028\x00"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
SEEN = r"\x1b[2J\x1b]0;owned\x07\x9b31m\x0d\u202eevil\u2066\u200e\u200b\u2028"
KEY = f"no address {NASTY}"
COMMANDS = {
    "plan": ("plan", "people_to_crm"),
    "markdown": ("plan", "people_to_crm", "--markdown"),
    "run": ("run", "--all"),
    "why": ("why", KEY.replace("\x00", "")),
    "status": ("status",),
    "quarantine": ("quarantine",),
    "unknown sync": ("run", NASTY),
    "unknown option": ("run", f"--x{NASTY}"),
    "too many words": ("schema", NASTY),
    "unknown row": ("release", NASTY, "--sync", "people_to_crm"),
}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


@pytest.fixture
def nasty(office: Office) -> Office:
    """A row that arrived, one that the destination refuses with its value in the words, a stop with such a reason."""
    office.sync("people_to_crm", CONTACTS, quarantine={"after": 1})
    office.build(("ada@shop.example", f"Ada {NASTY}", "Bern"), (KEY, f"Eve {NASTY}", "Oslo"))
    office.run("run", "--all")
    office.build(("ada@shop.example", f"Ada2 {NASTY}", "Bern"), (KEY, f"Eve2 {NASTY}", "Oslo"))
    office.run("stop", "--all", "--who", f"Kim {NASTY}", "--why", f"Why {NASTY}")
    return office


@heavy
@pytest.mark.parametrize("name", COMMANDS)
def test_what_would_do_something_is_made_visible(nasty: Office, name: str) -> None:
    said = nasty.run(*COMMANDS[name]).output
    assert not RAW.search(said), [hex(ord(found)) for found in RAW.findall(said)]
    assert r"\x1b" in said
    assert r"\u202e" in said


@heavy
@pytest.mark.parametrize("name", ["plan", "why", "status", "quarantine"])
def test_json_has_the_value_itself_and_no_such_character(nasty: Office, name: str) -> None:
    said = nasty.run(*COMMANDS[name], "--json").output
    assert not RAW.search(said)
    assert any("\x1b[2J" in text and "\u202eevil" in text for text in texts(json.loads(said)))


def test_all_that_is_printed_goes_one_way() -> None:
    """What goes by it could do something to the terminal."""
    commands = Path(cli.__file__).parent.glob("*.py")
    found = {each.name for each in commands if re.search(r"typer\.(secho|echo)\(|(?<![._])print\(", each.read_text())}
    assert found == {"terminal.py", "output.py", "errors.py"}


def test_a_value_is_readable(nasty: Office) -> None:
    assert f"firstname: Ada {SEEN}"[:60] in nasty.ok("why", "ada@shop.example")
