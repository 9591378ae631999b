"""Where a project's files are."""

from pathlib import Path

import pytest

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.project import Project


def test_a_relative_home_would_be_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_HOME", "home")
    with pytest.raises(ConfigurationError, match="REVERSE_ETL_HOME=home is a relative path"):
        _ = Project(DbtSettings(tmp_path / "dbt"), tmp_path / "syncs", {}).home
    monkeypatch.setenv("REVERSE_ETL_HOME", str(tmp_path / "home"))
    assert Project(DbtSettings(tmp_path / "dbt"), tmp_path / "syncs", {}).home == tmp_path / "home"
    monkeypatch.delenv("REVERSE_ETL_HOME")
    assert Project(DbtSettings(tmp_path / "dbt"), tmp_path / "syncs", {}).home == tmp_path / ".reverse_etl"
