"""What dbt said elsewhere is taken as if it had said it here, if it is of this project and target."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_assets import remember_dbt_results
from reverse_etl_assets.dbt.results import judge_results
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.project import Project

PEOPLE, UNIQUE = "model.shop.people", "test.shop.unique_id"
NODES: Mapping[str, Any] = {
    PEOPLE: {
        "resource_type": "model",
        "unique_id": PEOPLE,
        "name": "people",
        "package_name": "shop",
        "database": "w",
        "schema": "prod",
        "alias": "people",
        "columns": {},
    },
    UNIQUE: {"resource_type": "test", "unique_id": UNIQUE, "name": "unique_id", "attached_node": PEOPLE},
}
OUTPUT = {"type": "duckdb", "path": "w.duckdb"}
PROFILE = {"target": "prod", "outputs": {name: {**OUTPUT, "schema": name} for name in ("dev", "prod")}}


def manifest(project: str = "shop") -> dict[str, Any]:
    return {"metadata": {"project_name": project, "adapter_type": "duckdb"}, "nodes": dict(NODES)}


def said(test: str = "pass", *, which: str = "build", **args: Any) -> dict[str, Any]:
    results = [{"unique_id": PEOPLE, "status": "success"}, {"unique_id": UNIQUE, "status": test}]
    return {
        "metadata": {"generated_at": "2026-11-30T08:00:00Z"},
        "args": {"which": which, "profile": "user", **args},
        "results": results,
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("DBT_TARGET", "REVERSE_ETL_HOME", "REVERSE_ETL_JOURNAL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text(json.dumps(manifest()))
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text(json.dumps({"shop": PROFILE}))
    return Project(DbtSettings(tmp_path), tmp_path / "syncs", {}, home_folder=tmp_path / "home")


def bad(project: Project) -> tuple[str, ...]:
    return judge_results(project.models["people"], project.journal, {}).bad


def test_results_of_another_machine_count(project: Project, tmp_path: Path) -> None:
    """As files or parsed, with their manifest or without one."""
    assert remember_dbt_results(project, said("fail", target="prod"), manifest()) == 2
    assert bad(project) == ("unique_id",)
    later = said("pass", which="test")
    later["metadata"]["generated_at"] = "2026-11-30T09:00:00Z"
    (tmp_path / "downloaded.json").write_text(json.dumps(later))
    assert remember_dbt_results(project, tmp_path / "downloaded.json") == 1
    assert bad(project) == ()
    assert remember_dbt_results(project, said("fail")) == 2, "older ones change nothing"
    assert bad(project) == ()
    assert remember_dbt_results(project, said("fail", which="compile")) == 0
    project.journal.close()


REFUSED: Mapping[str, tuple[Any, Any, str]] = {
    "another target": (said(target="dev"), manifest(), "of target `dev`, and the syncs read target `prod`"),
    "another project": (said(), manifest("other"), "of dbt project `other`, and the syncs read `shop`"),
    "other models": ({**said(), "results": [{"unique_id": "model.x.y"}]}, None, "and the syncs read `shop`"),
    "no results": ({"results": []}, manifest(), r"no results of dbt \(KeyError: 'args'\)"),
    "no file": (Path("nowhere.json"), None, r"nowhere.json cannot be read as dbt's run_results.json \(FileNotFound"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_results_that_are_not_taken(project: Project, case: str) -> None:
    results, nodes, why = REFUSED[case]
    with pytest.raises(ConfigurationError, match=why):
        remember_dbt_results(project, results, nodes)
    assert project.journal.model_results(PEOPLE) == []
    project.journal.close()
