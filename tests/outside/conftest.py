"""A team's own project, and an environment that has the wheel and no checkout: `make test-outside` makes it."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reverse_etl_sandbox.server import Sandbox

ROOT = Path(__file__).parents[2]
VARIABLE = "OUTSIDE"
collect_ignore_glob = [] if os.environ.get(VARIABLE) else ["test_*.py"]


@dataclass
class Team:
    """A copy of `examples/jaffle` in a folder of its own, and the programs of the environment."""

    folder: Path
    programs: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def dbt_folder(self) -> Path:
        return self.folder / "jaffle_shop"

    def run(self, *words: str, folder: str = ".", good: bool = True, **variables: str) -> str:
        """A program of the environment in the project, or in a folder of it. What it printed."""
        done = subprocess.run(
            [str(self.programs / words[0]), *words[1:]],
            cwd=self.folder / folder,
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode == 0) is good, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if good else done.stdout + done.stderr

    def python(self, lines: str) -> Any:
        """What lines print as JSON."""
        return json.loads(self.run("python", "-c", lines).splitlines()[-1])

    def dbt(self, *words: str, good: bool = True, **variables: str) -> None:
        self.run("dbt", "--quiet", *words, folder="jaffle_shop", good=good, **variables)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def replace(self, name: str, texts: Mapping[str, str]) -> None:
        text = (self.folder / name).read_text()
        for old, new in texts.items():
            assert old in text
            text = text.replace(old, new)
        self.write(name, text)


@pytest.fixture
def team(tmp_path: Path, sandbox: Sandbox) -> Team:
    folder = tmp_path / "team"
    shutil.copytree(ROOT / "examples" / "jaffle", folder, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
    programs = (ROOT / os.environ[VARIABLE] / "bin").absolute()
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    variables = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "HUBSPOT_BASE_URL": f"{sandbox.url}/hubspot",
        "HUBSPOT_ACCESS_TOKEN": "pat-sandbox",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    return Team(folder, programs, variables)
