"""Where a project's files are."""

from pathlib import Path

import pytest

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.project import Project


def project(folder: Path, name: str = "", home: Path | None = None) -> Project:
    return Project(DbtSettings(folder / "shop"), folder / "syncs", {}, name=name, home_folder=home)


def test_a_relative_home_would_be_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVERSE_ETL_HOME", "home")
    with pytest.raises(ConfigurationError, match="REVERSE_ETL_HOME=home is a relative path"):
        _ = project(tmp_path).home
    monkeypatch.setenv("REVERSE_ETL_HOME", str(tmp_path / "home"))
    assert project(tmp_path).home == tmp_path / "home"
    assert project(tmp_path, home=tmp_path / "given").home == tmp_path / "given"


def test_a_project_is_called_as_its_dbt_project_is(tmp_path: Path) -> None:
    assert project(tmp_path).prefix == "shop"
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "dbt_project.yml").write_text("name: jaffle-shop\n")
    assert project(tmp_path).prefix == "jaffle_shop"
    assert project(tmp_path, "finance").prefix == "finance"
    with pytest.raises(ConfigurationError, match="the project's name is 'a b'; it has letters"):
        project(tmp_path, "a b")


def test_projects_side_by_side_have_homes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVERSE_ETL_HOME", raising=False)
    monkeypatch.delenv("REVERSE_ETL_JOURNAL", raising=False)
    homes = {project(tmp_path, name).home for name in ("crm", "ads")}
    assert homes == {tmp_path / ".reverse_etl" / "crm", tmp_path / ".reverse_etl" / "ads"}


def test_a_home_is_of_one_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REVERSE_ETL_JOURNAL", raising=False)
    monkeypatch.setenv("REVERSE_ETL_HOME", str(tmp_path / "home"))
    project(tmp_path, "crm").journal.close()
    project(tmp_path, "crm").journal.close()
    with pytest.raises(ConfigurationError, match="has the state of project `crm`, and this is project `ads`"):
        _ = project(tmp_path, "ads").home
    other = project(tmp_path, "ads", tmp_path / "other")
    other.journal.close()
    assert [each.name for each in (tmp_path / "other").iterdir() if "project" in each.name] == ["project.json"]
    assert (tmp_path / "home" / ".gitignore").read_text() == "*\n"
    (tmp_path / "home" / "project.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"project\.json, which says whose folder this is, cannot be read"):
        _ = project(tmp_path, "crm").home


def test_what_an_earlier_release_left_beside_the_dbt_project_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REVERSE_ETL_HOME", raising=False)
    monkeypatch.delenv("REVERSE_ETL_JOURNAL", raising=False)
    earlier = tmp_path / "repository" / ".reverse_etl"
    earlier.mkdir(parents=True)
    (earlier / "journal.sqlite").touch()
    settings = DbtSettings(tmp_path / "repository" / "dbt")
    first = Project(settings, tmp_path / "code" / "syncs", {}, name="crm")
    assert first.home == earlier
    first.journal.close()
    assert Project(settings, tmp_path / "code" / "syncs", {}, name="ads").home == tmp_path / "code/.reverse_etl/ads"
