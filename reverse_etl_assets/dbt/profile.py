"""dbt's profile, as dbt reads it: the one place that calls the code of dbt-core.

Nothing of dbt is changed by it: its flags stay as they are, its view of the environment is set in a context of our own,
and the folder that the process works in stays. Importing dbt-core takes seconds, so only who asks for a profile does.
"""

import contextvars
import os
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from reverse_etl_assets.dbt.duckdb_profile import DuckDBProfile, duckdb_part
from reverse_etl_assets.dbt.settings import DbtSettings
from reverse_etl_assets.errors import ConfigurationError

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Profile:
    """A target of a profile. `credentials` is what dbt's adapter makes of it; `file` is where it stands."""

    name: str
    target: str
    file: Path
    credentials: Any = field(repr=False)
    duckdb: DuckDBProfile
    default_target: str | None = None
    """The target that the file itself names; None if what it names follows from the environment."""
    vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Those that dbt is given with it."""

    @property
    def database(self) -> str:
        return str(self.credentials.database)

    @property
    def schema(self) -> str:
        return str(self.credentials.schema)


class _Flags(Namespace):
    """What `flags` is where a profile asks for it: a flag that was not given is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def read_profile(settings: DbtSettings) -> Profile:
    """The profile and target that dbt would take, called in the project's folder with these settings.

    Raises ConfigurationError that names file, profile and target, and never a value of a secret.
    """
    return _with_dbts_environment(lambda: _read(settings))


def rendered_in_project(settings: DbtSettings, text: str) -> str:
    """A text of `dbt_project.yml`, which may ask for the target. Raises ConfigurationError."""
    profile = read_profile(settings)

    def render() -> str:
        from dbt.config.renderer import BaseRenderer
        from dbt.context.target import TargetContext

        target = {**dict(profile.credentials.connection_info(with_aliases=True)), "name": profile.target}
        target |= {"target_name": profile.target, "profile_name": profile.name, "type": profile.credentials.type}
        context = TargetContext(target, dict(settings.vars)).to_dict()
        try:
            return str(BaseRenderer(context).render_value(text))
        except Exception as error:
            raise ConfigurationError(f"{settings.project_file}: {_words(error)}") from None

    return _with_dbts_environment(render)


def _with_dbts_environment(ask: Callable[[], _Found]) -> _Found:
    """dbt keeps the environment that it sees in a context variable, so each thread has its own."""

    def asked() -> _Found:
        from dbt_common.context import set_invocation_context

        set_invocation_context(os.environ)
        return ask()

    return contextvars.copy_context().run(asked)


def _read(settings: DbtSettings) -> Profile:
    from dbt.config.profile import Profile as DbtsOwn
    from dbt.config.renderer import ProfileRenderer

    file = settings.profiles_folder / "profiles.yml"
    renderer = ProfileRenderer(dict(settings.vars))
    renderer.context["flags"] = _Flags(
        PROFILES_DIR=str(settings.profiles_folder),
        PROJECT_DIR=str(settings.project_dir),
        TARGET_PATH=str(settings.target_path) if settings.target_path else None,
    )
    name = settings.named_profile or _name_in_project(settings, renderer)
    raw = _raw_profile(settings, file, name)
    try:
        target, output = DbtsOwn.render_profile(raw, name, settings.named_target, renderer)
    except Exception as error:
        raise ConfigurationError(f"{file}: profile `{name}`: {_words(error)}") from None
    where = f"{file}: profile `{name}`, target `{target}`"
    kind = output.get("type")
    if kind != "duckdb":
        raise ConfigurationError(f"{where}: target is {kind!r}, and only 'duckdb' is supported so far.")
    credentials = _credentials(where, output)
    named = str(raw.get("target", "default"))
    default = None if "{" in named else named
    duckdb = duckdb_part(where, settings.project_dir, credentials)
    return Profile(name, target, file, credentials, duckdb, default, settings.vars)


def _name_in_project(settings: DbtSettings, renderer: Any) -> str:
    from dbt.config.project import load_raw_project

    file = settings.project_file
    if not file.is_file():
        raise ConfigurationError(
            f"{settings.project_dir} is no dbt project: there is no {file.name} in it. If only its manifest is there,"
            " name the profile: DBT_PROFILE, or `DbtSettings(profile=...)`."
        )
    try:
        name = renderer.render_value(load_raw_project(str(settings.project_dir)).get("profile"))
    except Exception as error:
        raise ConfigurationError(f"{file}: profile: {_words(error)}") from None
    if not name:
        raise ConfigurationError(f"{file}: it names no `profile`; add `profile: <a name in profiles.yml>`.")
    return str(name)


def _raw_profile(settings: DbtSettings, file: Path, name: str) -> dict[str, Any]:
    from dbt.config.profile import read_profile as read_file

    if not file.is_file():
        places = {str(file.parent): None, str(settings.project_dir): None, str(Path.home() / ".dbt"): None}
        raise ConfigurationError(
            f"there is no {file}, where dbt would look for profile `{name}`. dbt looks in --profiles-dir,"
            f" DBT_PROFILES_DIR, the project's folder and ~/.dbt ({', '.join(places)})."
        )
    try:
        profiles = read_file(str(file.parent))
    except Exception as error:  # its words quote lines of the file
        line = re.search(r"line (\d+)", str(error))
        raise ConfigurationError(f"{file}{f':{line[1]}' if line else ''}: not valid YAML, or empty.") from None
    found = profiles.get(name)
    if not isinstance(found, Mapping):
        known = ", ".join(f"`{each}`" for each in profiles if each != "config")
        raise ConfigurationError(
            f"{file}: there is no profile `{name}`, which {settings.project_file} or a setting names; it has {known}."
        )
    return dict(found)


def _credentials(where: str, output: Mapping[str, Any]) -> Any:
    """By dbt-duckdb, which checks every field."""
    from dbt.adapters.factory import load_plugin

    given = {name: value for name, value in output.items() if name not in ("type", "threads")}
    try:
        adapter = load_plugin(str(output["type"]))
    except Exception as error:
        raise ConfigurationError(f"{where}: dbt-duckdb cannot be imported ({_words(error)})") from None
    try:
        known = adapter.translate_aliases(given)
        adapter.validate(known)
        return adapter.from_dict(known)
    except Exception as error:  # it raises what it likes, and may quote a secret
        raise ConfigurationError(f"{where}: {_misfit(error)}; `dbt debug` says more.") from None


def _misfit(error: Exception) -> str:
    """Which field dbt-duckdb does not take; names of fields alone are repeated."""
    path = [str(part) for part in getattr(error, "path", ())]
    if path:
        return f"`{path[0]}` cannot be read as dbt-duckdb reads it ({'.'.join(path)})"
    if getattr(error, "validator", None) in ("required", "additionalProperties"):
        return f"it cannot be read as dbt-duckdb reads it: {getattr(error, 'message', '')}"
    if "Inconsistency detected between 'path' and 'database'" in str(error):
        return "`database` is neither the name that `path` has for DuckDB nor an alias in `attach`"
    return f"it cannot be read as dbt-duckdb reads it ({type(error).__name__})"


def _words(error: BaseException) -> str:
    """dbt's own, without the text around a template, which may hold a secret."""
    while isinstance(error.__cause__, Exception) and hasattr(error.__cause__, "msg"):
        error = error.__cause__
    text = str(getattr(error, "msg", None) or error)
    first, *more = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    if unknown := re.match(r"Required var '(.+?)' not found", first):
        return f"{unknown[0]}; say what `--vars` would: `dbt: {{project_dir: ..., vars: {{{unknown[1]}: ...}}}}`."
    return f"{first} {' '.join(more)}".strip() if "valid target names" in first else first.rstrip(".") + "."
