"""Installed destinations by name, and one that cannot be imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reverse_etl_assets.cli import app
from reverse_etl_assets.destinations import ConfigurationError, destination_type, destination_types
from reverse_etl_assets.destinations.hubspot import HubSpot
from reverse_etl_assets.orchestration import resource_source


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package whose import fails is installed."""
    info = tmp_path / "crm_of_somebody-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crm-of-somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[reverse_etl.destinations]\nsomebody = crm_of_somebody:Crm\n")
    (tmp_path / "crm_of_somebody.py").write_text("import not_installed_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (destination_types, destination_type):
        cached.cache_clear()
    yield
    for cached in (destination_types, destination_type):
        cached.cache_clear()


def test_a_destination_by_name() -> None:
    assert destination_type("hubspot") is HubSpot
    with pytest.raises(ConfigurationError, match=r"No destination type 'hubspto' is installed; .*hubspot"):
        destination_type("hubspto")


def test_a_package_that_cannot_be_imported_is_named(broken: None) -> None:
    said = "'somebody' cannot be loaded from crm_of_somebody:Crm: ModuleNotFoundError: No module named"
    with pytest.raises(ConfigurationError, match=said):
        destination_type("somebody")
    shown = CliRunner().invoke(app, ["destinations"], catch_exceptions=False, env={"COLUMNS": "300"})
    assert shown.exit_code == 0
    assert said in " ".join(shown.output.split())
    assert "HubSpot" in shown.output


def test_a_resource_is_written_for_an_installed_destination(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["resource_source", "hubspot"])
    resource_source.main()
    assert "class HubSpotResource(DestinationResource):" in capsys.readouterr().out
