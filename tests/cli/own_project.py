"""A team's own dbt project, built by dbt, in a folder where nobody has heard of us yet."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reverse_etl_assets.cli import __file__ as commands
from tests.dbt_shell import dbt_succeeds

ROOT = Path(commands).parents[2]
PROFILE = """
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: shop.duckdb, schema: dev}
    prod: {type: duckdb, path: shop.duckdb, schema: prod}
"""
CUSTOMERS = """
select i as customer_id, 'p' || i || '@x.org' as email, 'Person ' || i as first_name, i * 1.5 as spent,
  timestamp '2026-01-01' + i * interval 1 day as seen_at
from range(1, 4) t(i)
"""
SCHEMA = """
models:
  - name: customers
    columns:
      - name: customer_id
        data_tests: [unique, not_null]
      - name: email
        config: {meta: {pii: email}}
      - name: first_name
"""
SYNC: Mapping[str, Any] = {
    "model": "customers",
    "destination": "crm",
    "object": "contacts",
    "primary_key": "email",
    "mapping": {"email": "email", "firstname": "first_name"},
    "allow_pii": {"email": "Sales writes to the customer"},
    "sync_mode": "incremental",
    "guards": {"row_count": {}},
}


def build(folder: Path) -> None:
    """Write the dbt project and build it."""
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: shop\nversion: 1.0.0\nprofile: shop\n")
    (folder / "profiles.yml").write_text(PROFILE)
    (folder / "models" / "customers.sql").write_text(CUSTOMERS)
    (folder / "models" / "schema.yml").write_text(SCHEMA)
    quietly = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "0"}
    dbt_succeeds("build", "--quiet", "--no-partial-parse", cwd=folder, env=quietly)


class OwnProject:
    """A copy of it, in `folder`/shop. `home` and journal lie where they do unless somebody says otherwise."""

    def __init__(self, folder: Path, built: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.dbt = folder / "shop"
        shutil.copytree(built, self.dbt)
        self.file = folder / "reverse_etl.yml"

    def set_up(self, **more: Any) -> None:
        """What `reverse-etl init` would leave, with an account in the sandbox."""
        crm = {"type": "hubspot", "base_url": f"{self.url}/hubspot", "access_token": {"env": "OWN_CRM_TOKEN"}}
        self.file.write_text(yaml.safe_dump({"dbt": "shop", "destinations": {"crm": crm}, **more}))
        (self.folder / ".env").write_text("OWN_CRM_TOKEN=pat-sandbox\n")
        (self.folder / "syncs").mkdir(exist_ok=True)

    def sync(self, name: str, **changes: Any) -> None:
        (self.folder / "syncs" / f"{name}.yml").write_text(yaml.safe_dump({**SYNC, **changes}, sort_keys=False))


def command(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose output goes into a pipe."""
    return _python(folder, "-m", "reverse_etl_assets.cli", *words, **variables)


def _python(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Where nobody has set up anything, nor said how wide a terminal is."""
    ours = ("REVERSE_ETL_", "DAGSTER_", "COLUMNS", "TERMINAL_WIDTH")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**own, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def modules_after(folder: Path, *words: str) -> set[str]:
    """What a command has imported by its end."""
    program = (
        "import sys\nfrom reverse_etl_assets.cli import app\nsys.argv = ['reverse-etl', *sys.argv[1:]]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = _python(folder, "-c", program, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stderr.splitlines())
