"""`reverse_etl.yml`: a project and its destinations in a file, for those who need no Python for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.deployment.deployment import Deployment
from reverse_etl_assets.deployment.settings import DestinationSettings
from reverse_etl_assets.deployment.written import AsWritten
from reverse_etl_assets.errors import ConfigurationError, SpecError
from reverse_etl_assets.project import Project
from reverse_etl_assets.spec.yaml_source import Location, YamlSource
from reverse_etl_assets.wording import Written

FILE = "reverse_etl.yml"
NAME = Written("[A-Za-z][A-Za-z0-9_]*", "a name of letters, digits and `_` that begins with a letter")

_STRICT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class DbtPlace(BaseModel):
    """Which dbt project is meant, and how dbt is called; a folder alone is its `project_dir`."""

    model_config = _STRICT

    project_dir: Path
    """The folder with `dbt_project.yml`."""
    profiles_dir: Path | None = None
    """The folder with `profiles.yml`, if dbt does not find it by itself."""
    profile: str | None = None
    """The profile, if it is not the one that `dbt_project.yml` names."""
    target: str | None = None
    """The target, if it is not the profile's own. `--target` comes first."""
    target_path: Path | None = None
    """Where dbt leaves its files, if not in `target`."""
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    """What dbt is given with `--vars`, if the profile or the places of models need it."""

    @model_validator(mode="before")
    @classmethod
    def _folder_alone(cls, value: Any) -> Any:
        return {"project_dir": value} if isinstance(value, str | Path) else value

    def settings(self, folder: Path) -> DbtSettings:
        return DbtSettings(
            project_dir=_below(folder, self.project_dir),
            profiles_dir=self.profiles_dir and _below(folder, self.profiles_dir),
            profile=self.profile,
            target=self.target,
            target_path=self.target_path,
            vars=self.vars,
        )


class DeploymentSettings(BaseModel):
    """What a file says of a project. Relative paths are relative to the file."""

    model_config = _STRICT

    name: Annotated[str, NAME] | None = None
    """Tells the project from others in one code location."""
    dbt: DbtPlace
    """The dbt project, whose models are sent."""
    syncs: Path = Path("syncs")
    """The folder of the syncs."""
    home: Path | None = None
    """The folder of state and journal; `REVERSE_ETL_HOME`, or else `.reverse_etl`, if it is left out."""
    values_in_events: bool = False
    """Show values of rows in Dagster's events, of columns that are not marked as personal data."""
    destinations: dict[Annotated[str, NAME], Annotated[DestinationSettings, AsWritten()]] = Field(default_factory=dict)
    """The accounts that syncs write to, by the name that syncs call them by."""

    def problems(self, folder: Path) -> Iterator[tuple[Location, str]]:
        """What is not where the settings say, each with the setting."""
        dbt = self.dbt.settings(folder)
        if not (dbt.project_dir / "dbt_project.yml").is_file() and not dbt.manifest.is_file():
            yield ("dbt",), f"there is no dbt_project.yml in {dbt.project_dir}."
        if not _below(folder, self.syncs).is_dir():
            yield ("syncs",), f"there is no folder {_below(folder, self.syncs)}."

    def deployment(self, folder: Path, target: str | None = None) -> Deployment:
        """What the settings of a file in `folder` mean; `target` comes before the one that they name."""
        dbt = self.dbt.settings(folder)
        project = Project(
            dbt=replace(dbt, target=target) if target else dbt,
            syncs_folder=_below(folder, self.syncs),
            destinations={name: each.destination_type for name, each in self.destinations.items()},
            values_in_events=self.values_in_events,
            name=self.name or "",
            home_folder=self.home and _below(folder, self.home),
        )
        return Deployment(self.name or "", project, self.destinations)


def read_deployment(file: Path, target: str | None = None) -> Deployment:
    """The project of the file. Raises ConfigurationError naming file, line and field of everything that is wrong."""
    try:
        source = YamlSource(file, "it is a mapping of settings, such as `dbt: .` and `destinations:`")
        settings = _validated(source)
    except SpecError as error:
        raise ConfigurationError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    folder = file.absolute().parent
    if problems := [source.say(*each) for each in settings.problems(folder)]:
        raise ConfigurationError("\n".join(problems))
    return settings.deployment(folder, target)


def _validated(source: YamlSource) -> DeploymentSettings:
    try:
        return DeploymentSettings.model_validate(source.value)
    except ValidationError as error:
        raise source.explain(error, DeploymentSettings) from None


def _below(folder: Path, path: Path) -> Path:
    return (folder / path.expanduser()).resolve()
