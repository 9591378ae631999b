"""The wheel: what is in it, and what it does in a folder where there is no project."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.heavy import heavy

ROOT = Path(__file__).parents[2]
ASKED_FOR = {"dagster", "dagster-webserver", "dagster-dbt", "dagster-duckdb", "httpx", "pydantic"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as pip does it, from a copy that has no traces of an earlier build."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("reverse_etl_assets", "reverse_etl_sandbox", "demo", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "states"))
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_library_and_the_sandbox_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        file.relative_to(ROOT).as_posix()
        for package in ("reverse_etl_assets", "reverse_etl_sandbox")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == expected
    assert {"reverse_etl_assets/sql/state.sql", "reverse_etl_assets/py.typed"} <= names
    assert any(name.startswith("reverse_etl_sandbox/templates/") for name in names)


@heavy
def test_in_an_empty_folder_it_makes_nothing_and_says_what_to_do(wheel: Path, tmp_path: Path) -> None:
    site, here = tmp_path / "site-packages", tmp_path / "empty"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    before = sorted(site.rglob("*"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REVERSE_ETL_")}
    variables = kept | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}
    for command in (["status"], ["plan", "leads"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "reverse_etl_assets.cli", *command],
            cwd=here, env=variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "no project here" in done.stderr
        assert "--project" in done.stderr
        assert "[tool.reverse_etl]" in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(site.rglob("*")) == before
    assert list(here.iterdir()) == []


def test_what_only_some_need_is_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0].split("[")[0].split("<")[0] for line in project["dependencies"]}
    assert names >= ASKED_FOR
    assert not names & {"dbt-duckdb", "psycopg", "starlette", "uvicorn", "pytest", "ruff", "mypy"}
    assert set(project["optional-dependencies"]) == {"duckdb", "postgres", "sandbox"}
