"""dbt in a process of its own, as its users run it."""

import os
import subprocess
import sys
from pathlib import Path

from reverse_etl_assets import ConfigurationError


def run_dbt(project: Path, home: Path, *words: str) -> None:
    """Raises ConfigurationError with dbt's own words if it fails."""
    folders = ("--project-dir", project, "--profiles-dir", project, "--target-path", home / "dbt_target")
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "dbt.cli.main", "--quiet", *words, *folders],
        env=os.environ | {"DBT_LOG_PATH": str(home / "dbt_logs"), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(f"dbt {words[0]} failed:\n{done.stdout}{done.stderr}")
