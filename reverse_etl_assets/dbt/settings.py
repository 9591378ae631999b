"""Which dbt project is meant, and with which profile and target it is called."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reverse_etl_assets.errors import ConfigurationError


@dataclass(frozen=True)
class DbtSettings:
    """As the options of dbt's own command line; what is None is found where dbt finds it.

    `project_dir` holds `dbt_project.yml`. A relative `target_path` is relative to it. `vars` are those that `--vars`
    would give: a profile knows no others.
    """

    project_dir: Path
    profiles_dir: Path | None = None
    profile: str | None = None
    target: str | None = None
    target_path: Path | None = None
    vars: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    @property
    def target_folder(self) -> Path:
        """Where dbt leaves its files: as the setting says, `DBT_TARGET_PATH`, `target-path` in `dbt_project.yml`.

        Raises ConfigurationError if that file cannot be read.
        """
        named = self.target_path or said_to_dbt("TARGET_PATH") or self._target_path_of_project()
        return self.project_dir / (named or "target")

    @property
    def manifest(self) -> Path:
        return self.target_folder / "manifest.json"

    @property
    def project_file(self) -> Path:
        return self.project_dir / "dbt_project.yml"

    @property
    def named_profile(self) -> str | None:
        """The profile that the settings or `DBT_PROFILE` name; None if it is the one of `dbt_project.yml`."""
        return self.profile or said_to_dbt("PROFILE")

    @property
    def named_target(self) -> str | None:
        """The target that the settings or `DBT_TARGET` name; None if it is the profile's own."""
        return self.target or said_to_dbt("TARGET")

    @property
    def profiles_folder(self) -> Path:
        """Where dbt looks for `profiles.yml` when it is called in the project's folder: as the setting says,
        `DBT_PROFILES_DIR`, that folder, `~/.dbt`."""
        if self.profiles_dir:
            return self.project_dir / self.profiles_dir
        if named := said_to_dbt("PROFILES_DIR"):
            there = self.project_dir / Path(named).expanduser()
            return there if there.exists() else Path(named).expanduser().absolute()
        return self.project_dir if (self.project_dir / "profiles.yml").exists() else Path.home() / ".dbt"

    def _target_path_of_project(self) -> str | None:
        if not self.project_file.exists():
            return None
        try:
            found = (yaml.safe_load(self.project_file.read_text(encoding="utf-8")) or {}).get("target-path")
        except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise ConfigurationError(f"{self.project_file} cannot be read ({type(error).__name__}).") from None
        if isinstance(found, str) and "{" in found:
            from reverse_etl_assets.dbt.profile import rendered_in_project

            return rendered_in_project(self, found)
        return found if isinstance(found, str) else None


def said_to_dbt(option: str) -> str | None:
    """What the environment says of an option of dbt: `DBT_ENGINE_TARGET`, `DBT_TARGET`. An empty one says nothing."""
    return os.environ.get(f"DBT_ENGINE_{option}") or os.environ.get(f"DBT_{option}") or None


def had_vars(args: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a command of dbt with these options was given the variables; more of them do not matter."""
    given = args.get("vars") or {}
    return all(name in given and given[name] == value for name, value in wanted.items())


def dbt_project_name(project_dir: Path) -> str:
    """As `dbt_project.yml` has it; the folder's name where there is no such file, or it has none."""
    try:
        found = yaml.safe_load((project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        found = None
    return str(found.get("name") or project_dir.name) if isinstance(found, dict) else project_dir.name


def has_dbt_assets(file: Path) -> bool:
    """Whether code makes Dagster's assets of a dbt project, as far as its text tells."""
    return bool(re.search(r"\bdbt_assets\(", file.read_text(encoding="utf-8", errors="replace")))
