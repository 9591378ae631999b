"""Where the command line finds the project that it works on."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reverse_etl_assets.cli import app

MODULE = """
from pathlib import Path
from reverse_etl_assets import DbtSettings, Project

project = Project(DbtSettings(Path({folder!r}) / "dbt"), Path({folder!r}) / "syncs", {{}})
destinations = {{}}
"""
WORDS = "this manifest is missing"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("REVERSE_ETL_DEPLOYMENT", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("shop_"):
            del sys.modules[name]


def write(folder: Path, name: str, text: str = MODULE) -> None:
    (folder / f"{name}.py").write_text(text.format(folder=str(folder)) if text is MODULE else text)


def asked(*words: str) -> Result:
    return CliRunner().invoke(app, [*words, "status"])


def said(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return re.sub(r"\s+", " ", result.stderr)


def found(result: Result, folder: Path) -> bool:
    """The deployment was found: its own next error is that nobody has parsed its dbt project."""
    return str(folder / "dbt").replace(" ", "") in re.sub(r"\s", "", result.stderr)


def test_the_nearest_pyproject_names_it(folder: Path) -> None:
    write(folder, "shop_nearest")
    (folder / "pyproject.toml").write_text('[tool.reverse_etl]\ndeployment = "shop_nearest"\n')
    (folder / "below" / "pyproject.toml").write_text("[project]\nname = 'of something else'\n")
    assert found(asked(), folder)


def test_an_option_and_the_environment_come_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyproject.toml").write_text('[tool.reverse_etl]\ndeployment = "shop_wrong"\n')
    write(folder / "below", "shop_option")
    assert found(asked("--project", "shop_option"), folder / "below")
    write(folder / "below", "shop_named")
    monkeypatch.setenv("REVERSE_ETL_DEPLOYMENT", "shop_named")
    assert found(asked(), folder / "below")


def test_no_project(folder: Path) -> None:
    words = said(asked())
    assert "no project here" in words
    assert (
        'with --project, in REVERSE_ETL_DEPLOYMENT, or in pyproject.toml, below [tool.reverse_etl]: deployment = "'
        in words
    )


@pytest.mark.parametrize("line", ["deployment = 3", 'deploiment = "shop"', ""])
def test_a_pyproject_that_says_something_else(folder: Path, line: str) -> None:
    file = folder / "pyproject.toml"
    file.write_text(f"[tool.reverse_etl]\n{line}\n")
    words = said(asked())
    assert "[tool.reverse_etl] takes one line, deployment =" in words
    assert str(file) in words.replace(" ", "")


def test_a_pyproject_that_is_no_toml(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool\n")
    assert "pyproject.toml cannot be read: " in said(asked())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No module named 'shop_broken'"),
        ("import not_installed_here", "shop_broken.py:1: ModuleNotFoundError: No module named 'not_installed_here'"),
        ("x = 1\ny = 1 / 0", "shop_broken.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\ndef project(", "shop_broken.py:2: SyntaxError: '(' was never closed"),
        ("destinations = {}", "the module shop_broken has no `project`; it has to define both"),
        ("project = None", "the module shop_broken has no `destinations`; it has to define both"),
    ],
)
def test_a_module_that_cannot_be_used(folder: Path, text: str | None, words: str) -> None:
    if text is not None:
        write(folder / "below", "shop_broken", text)
    told = said(asked("--project", "shop_broken"))
    assert "--project shop_broken: " in told
    assert words in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import not_installed_here", "shop_people.py:1 (from {}:2): ModuleNotFoundError: No module named"),
        ("import json\n\njson.loads('{')", "shop_people.py:3 (from {}:2): JSONDecodeError: "),
        ("from reverse_etl_assets import Projekt", "shop_people.py:1 (from {}:2): ImportError: cannot import name"),
        ("x = 1\ndef project(", "shop_people.py:2 (from {}:2): SyntaxError: "),
        ("import sys\nsys.exit(3)", "shop_people.py:2 (from {}:2): SystemExit: 3"),
        (
            "from reverse_etl_assets import DestinationResource\n\nclass People(DestinationResource):\n    token: str",
            "People has no `destination_type`: name the class of your destination.",
        ),
    ],
)
def test_an_error_in_what_the_module_imports_is_told_where_it_is(folder: Path, text: str, words: str) -> None:
    write(folder / "below", "shop_people", text)
    write(folder / "below", "shop_broken", "x = 1\nimport shop_people")
    told = said(asked("--project", "shop_broken"))
    place = str(folder / "below" / "shop_broken.py")
    assert words.format(place).replace(" ", "") in told.replace(" ", "")


def test_the_option_holds_for_its_command_alone(folder: Path) -> None:
    write(folder / "below", "shop_option")
    assert found(asked("--project", "shop_option"), folder / "below")
    assert "no project here" in said(asked())
