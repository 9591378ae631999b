"""A folder of syncs as a Dagster component, for those who live in `defs.yaml` and `dg`."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from dagster_dbt import DbtProject, DbtProjectComponent
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, JsonValue, ValidationError, model_validator
from pydantic_core import CoreSchema

from reverse_etl_assets.dbt.settings import DbtSettings, has_dbt_assets
from reverse_etl_assets.deployment.alerts import Alerts
from reverse_etl_assets.deployment.file import DbtPlace, DeploymentSettings
from reverse_etl_assets.errors import ConfigurationError, SpecError
from reverse_etl_assets.orchestration.build import build_sync_definitions
from reverse_etl_assets.orchestration.dbt import DbtSource, dbt_folders, is_dbt, is_dbt_of
from reverse_etl_assets.spec.yaml_source import YamlSource

_MODEL = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class DbtOfDefs(BaseModel):
    """dbt assets that another folder of `defs` has: of a `DbtProjectComponent`, or of Python code."""

    model_config = _MODEL

    defs: str
    """The folder or file, relative to `defs`: `jaffle`, `ingest/dbt_assets.py`."""
    project_dir: Path | None = None
    """The dbt project, if the assets do not name it."""
    vars: dict[str, JsonValue] = Field(default_factory=dict)
    """What dbt is given with `--vars`, if the profile or the places of models need it."""


class AlertSettings(BaseModel):
    """Where alerts go."""

    model_config = _MODEL

    channel: str
    """A Slack channel, by name or id; the app has to be in it."""
    destination: str = "slack"
    """The Slack account among the destinations."""
    ui_url: str = ""
    """Where people reach Dagster, for links to runs."""


class ComponentSettings(DeploymentSettings):
    """What `attributes` take. Relative paths are relative to the file."""

    model_config = _MODEL

    dbt: DbtPlace | DbtOfDefs  # type: ignore[assignment] # a folder of `defs` is for Dagster alone
    """The dbt project whose models are sent: its folder, or `{defs: jaffle}` for assets of another folder of `defs`."""
    alerts: AlertSettings | None = None
    """Where alerts go; without it there are none."""

    @model_validator(mode="before")
    @classmethod
    def _one_of_both(cls, value: Any) -> Any:
        """Errors of the one that was meant, and not of both."""
        dbt = value.get("dbt") if isinstance(value, dict) else None
        if isinstance(dbt, dict) and "defs" in dbt:
            return {**value, "dbt": DbtOfDefs.model_validate(dbt)}
        return {**value, "dbt": DbtPlace.model_validate(dbt)} if dbt is not None else value


class Attributes(BaseModel):
    """`attributes` as they were written. Dagster can say what is wrong in general; that, we say with file and line."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(ComponentSettings.__pydantic_core_schema__)

    def checked(self, folder: Path) -> ComponentSettings:
        """Raises ConfigurationError with a line for each thing that is wrong."""
        try:
            return ComponentSettings.model_validate(self.model_extra)
        except ValidationError as error:
            raise ConfigurationError(_explained(folder / "defs.yaml", error)) from None


def _explained(file: Path, error: ValidationError) -> str:
    """With lines, but for a file that has several components in it."""
    try:
        return str(YamlSource(file).explain(error, ComponentSettings, below=("attributes",)))
    except (SpecError, OSError):
        found = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return "\n".join(f"{file}: attributes.{each}" for each in found)


class ScaffoldParams(BaseModel):
    dbt: str = Field(
        "", description="The folder of the dbt project, or of its component in `defs` with `defs:` before it."
    )
    destination: str = Field("hubspot", description="The type of the first destination.")


class ReverseEtlScaffolder(Scaffolder[ScaffoldParams]):
    """`dg scaffold defs reverse_etl_assets.ReverseEtlComponent FOLDER --dbt PATH`"""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        return ScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ScaffoldParams]) -> None:
        from reverse_etl_assets.deployment.account_lines import account_settings

        kind = request.params.destination
        dbt: Any = request.params.dbt or "../../../dbt_project"
        if dbt.startswith("defs:"):
            dbt = {"defs": dbt.removeprefix("defs:")}
        elif not Path(dbt).is_absolute() and request.params.dbt:
            dbt = _relative(Path.cwd() / dbt, request.target_path)
        (request.target_path / "syncs").mkdir(parents=True, exist_ok=True)
        scaffold_component(request, {"dbt": dbt, "destinations": {kind: {"type": kind, **account_settings(kind)}}})


@dg.scaffold_with(ReverseEtlScaffolder)
class ReverseEtlComponent(dg.Component):
    """Syncs of dbt models to the tools where people work, each an asset downstream of its model.

    ```yaml
    type: reverse_etl_assets.ReverseEtlComponent
    attributes:
      dbt: { defs: jaffle } # or the folder of the dbt project
      destinations:
        hubspot: { type: hubspot, access_token: { env: HUBSPOT_ACCESS_TOKEN } }
    ```

    The folder `syncs` beside the file has a YAML file for each sync.
    """

    def __init__(self, settings: ComponentSettings) -> None:
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return Attributes

    @classmethod
    def get_description(cls) -> str:
        return inspect.getdoc(cls) or ""

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "ReverseEtlComponent":
        if not isinstance(attributes, Attributes):
            raise ConfigurationError(f"{context.path}: `attributes` are missing: `dbt` and `destinations`.")
        return cls(attributes.checked(context.path))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Raises ConfigurationError or SpecError, with file and line, for what is wrong in a file."""
        folder, settings = context.path, self.settings
        if not (folder / settings.syncs).is_dir():
            raise ConfigurationError(f"{folder}: syncs: there is no folder {folder / settings.syncs}.")
        return build_sync_definitions(
            dbt=list(self._dbt(context)),
            syncs=folder / settings.syncs,
            destinations=settings.destinations,
            name=settings.name or "",
            home=settings.home and folder / settings.home,
            alerts=Alerts(**settings.alerts.model_dump()) if settings.alerts else None,
            values_in_events=settings.values_in_events,
        )

    def _dbt(self, context: dg.ComponentLoadContext) -> Iterator[DbtSource]:
        if isinstance(self.settings.dbt, DbtOfDefs):
            where = context.defs_module_path / self.settings.dbt.defs
            found = [each for each in context.build_defs(where).assets or () if isinstance(each, dg.AssetsDefinition)]
            found = [each for each in found if is_dbt(each)]
            if not found:
                raise ConfigurationError(f"{context.path}: dbt: {where} has no dbt assets.")
            yield from found
            folders = {folder for each in found for folder in dbt_folders(each)}
            if self.settings.dbt.project_dir:
                project = DbtProject(context.path / self.settings.dbt.project_dir)
                folders.add(project.project_dir.resolve())
                yield project
            if given := self.settings.dbt.vars:
                yield from (DbtSettings(folder, vars=given) for folder in sorted(folders))
            return
        place = self.settings.dbt.settings(context.path)
        for component in context.component_tree.get_all_components(DbtProjectComponent):
            if component.dbt_project.project_dir.resolve() == place.project_dir:
                raise ConfigurationError(
                    f"{context.path}: dbt: a DbtProjectComponent has this project already, with keys and a target of"
                    " its own. Name its folder of `defs` instead, so that syncs follow them: `dbt: {defs: <folder>}`."
                )
        for file in sorted(context.defs_module_path.rglob("*.py")):
            if has_dbt_assets(file) and any(is_dbt_of(place, each) for each in context.build_defs(file).assets or ()):
                raise ConfigurationError(
                    f"{context.path}: dbt: {file} has assets of this project, with keys of their own. Name it instead,"
                    f" so that syncs follow them: `dbt: {{defs: {file.relative_to(context.defs_module_path)}}}`."
                )
        yield place


def _relative(path: Path, start: Path) -> str:
    import os

    return Path(os.path.relpath(path, start)).as_posix()
