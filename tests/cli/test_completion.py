"""What a shell and a pipe see of the commands."""

import json

import pytest
from typer.testing import CliRunner

from reverse_etl_assets.cli import app
from reverse_etl_assets.cli.completion import destination_names, sync_names
from tests.cli.own_project import OwnProject, command


def test_names_that_a_shell_completes(own: OwnProject, monkeypatch: pytest.MonkeyPatch) -> None:
    own.set_up()
    for name in ("people", "places", "orders"):
        own.sync(name)
    monkeypatch.chdir(own.dbt)
    assert sync_names("p") == ["people", "places"]
    assert destination_names("") == ["crm"]
    done = command(
        own.folder,
        _REVERSE_ETL_COMPLETE="complete_bash",
        COMP_WORDS="reverse-etl runs p",
        COMP_CWORD="2",
    )
    assert done.stdout.split() == ["people", "places"]


def test_where_nothing_is_known_nothing_is_completed(own: OwnProject) -> None:
    assert (sync_names(""), destination_names("")) == ([], [])
    own.file.write_text("dbt: [\n")
    assert (sync_names(""), destination_names("")) == ([], [])
    own.file.unlink()
    (own.folder / "pyproject.toml").write_text('[tool.reverse_etl]\ndeployment = "not_there"\n')
    assert (sync_names(""), destination_names("")) == ([], [])


def test_completion_can_be_installed() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "--install-completion" in shown
    assert "--show-completion" in shown


@pytest.mark.parametrize("words", [(), ("run",), ("new",), ("new", "sync"), ("stop",)])
def test_h_is_help(words: tuple[str, ...]) -> None:
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.stdout) == (0, long.stdout)


def test_a_pipe_gets_whole_lines(own: OwnProject) -> None:
    name = "a_sync_of_a_name_that_is_far_longer_than_what_a_terminal_of_eighty_columns_would_show_of_it"
    own.set_up()
    own.sync(name)
    piped = command(own.folder, "status").stdout
    assert any(name in line and "never" in line for line in piped.splitlines()), piped
    plan = command(own.folder, "plan", name).stdout.splitlines()
    assert any("firstname: " in line for line in plan)
    assert max(map(len, plan)) < 300, "blanks up to the end of a line that has none"
    assert json.loads(command(own.folder, "status", "--json").stdout)["syncs"][0]["sync"] == name


def test_help_and_errors_of_the_command_line_are_whole_lines_in_a_pipe(own: OwnProject) -> None:
    for words in ("plan", "--help"), ("new", "sync", "-h"), ("--help",):
        text = command(own.folder, *words).stdout
        assert max(map(len, text.splitlines())) > 100, text
        assert not set("╭│╰") & set(text), text
    wrong = command(own.folder, "new", "sync", "customers", "--to", "crm", "--a-word-that-is-no-option" * 5)
    assert f"No such option: {'--a-word-that-is-no-option' * 5}" in wrong.stderr, wrong.stderr
    narrow = command(own.folder, "plan", "--help", COLUMNS="60").stdout
    assert max(map(len, narrow.splitlines())) <= 60, "who sets a width, gets it"
