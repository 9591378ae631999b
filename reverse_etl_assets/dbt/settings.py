"""Which dbt project is meant, and with which profile and target it is called."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DbtSettings:
    """As the options of dbt's own command line; what is None is found where dbt finds it.

    `project_dir` holds `dbt_project.yml`. A relative `target_path` is relative to it.
    """

    project_dir: Path
    profiles_dir: Path | None = None
    profile: str | None = None
    target: str | None = None
    target_path: Path | None = None

    @property
    def target_folder(self) -> Path:
        """Where dbt leaves its files."""
        return self.project_dir / (self.target_path or "target")

    @property
    def manifest(self) -> Path:
        return self.target_folder / "manifest.json"
