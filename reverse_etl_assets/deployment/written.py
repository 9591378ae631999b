"""The settings of an account as plain data, such as YAML has: `{type: hubspot, access_token: {env: HUBSPOT_TOKEN}}`.

`{env: NAME}` names an environment variable, as in Dagster's own config; `{env: NAME, default: VALUE}` has what holds
where it is not set. A secret is never written down itself.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from reverse_etl_assets.accounts.daily import Budget
from reverse_etl_assets.deployment.settings import (
    BUDGET,
    DestinationSettings,
    Variable,
    is_secret,
    settings_of,
    takes_names,
)
from reverse_etl_assets.destinations.base import BaseDestination
from reverse_etl_assets.destinations.registry import destination_type, destination_types
from reverse_etl_assets.errors import ConfigurationError
from reverse_etl_assets.spec.yaml_source import Location, did_you_mean

Problem = tuple[Location, str]
_UNKNOWN = object()


def read_settings(data: Any) -> DestinationSettings:
    """Raises pydantic's ValidationError with everything that is wrong; no message holds a value."""
    if isinstance(data, DestinationSettings):
        return data
    problems = list(_problems(data))
    if problems:
        raise ValidationError.from_exception_data("destination", [_detail(*each) for each in problems], hide_input=True)
    kind = destination_type(data["type"])
    given = {name: _read(value, kind, name) for name, value in data.items() if name != "type" and value is not None}
    return DestinationSettings(kind, given)


class AsWritten:
    """Annotates `DestinationSettings` in a model: the field takes them as plain data."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
        return core_schema.no_info_plain_validator_function(read_settings, json_schema_input_schema=plain)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For editors, and for tools that look at a file without us: the settings of each type that is installed."""
        types = sorted(destination_types())
        rules = [
            {"if": {"properties": {"type": {"const": name}}, "required": ["type"]}, "then": found}
            for name in types
            if (found := _schema_of(name))
        ]
        return {"type": "object", "required": ["type"], "properties": {"type": {"enum": types}}, "allOf": rules}


def _schema_of(name: str) -> dict[str, Any] | None:
    """None of a type whose package cannot be loaded."""
    try:
        kind = destination_type(name)
    except ConfigurationError:
        return None
    variable = {"type": "object", "required": ["env"], "properties": {"env": {"type": "string"}}}
    settings = settings_of(kind)
    secrets = {each for each in settings if is_secret(kind, each) and not takes_names(kind, each)}
    needed = [each for each in settings if each not in BUDGET and kind.Connection.model_fields[each].is_required()]
    properties: dict[str, Any] = {each: variable if each in secrets else {} for each in settings}
    return {"properties": {"type": {}, **properties}, "required": needed, "additionalProperties": False}


def _detail(location: Location, message: str) -> InitErrorDetails:
    problem = PydanticCustomError("destination", "{text}", {"text": message})
    return InitErrorDetails(type=problem, loc=location, input="")


def _problems(data: Any) -> Iterator[Problem]:
    known = sorted(destination_types())
    if not isinstance(data, Mapping):
        yield (), f"an account has a `type`, one of {', '.join(known)}, and its settings."
        return
    if "type" not in data:
        yield (), f"`type` is missing; known are {', '.join(f'`{name}`' for name in known)}."
        return
    if data["type"] not in known:
        yield ("type",), f"no destination type of this name is installed{did_you_mean(str(data['type']), known)}"
        return
    try:
        kind = destination_type(data["type"])
    except ConfigurationError as error:
        yield ("type",), str(error)
        return
    settings = settings_of(kind)
    given = {name: value for name, value in data.items() if name != "type" and value is not None}
    for name, value in given.items():
        if name not in settings:
            yield (name,), f"unknown field{did_you_mean(str(name), settings)}"
        else:
            yield from _problems_of(kind, data["type"], name, value)
    for name in settings:
        if name not in BUDGET and name not in given and kind.Connection.model_fields[name].is_required():
            right = f"; {_right(data['type'], name)}" if is_secret(kind, name) else ""
            yield (), f"`{name}` is missing{right}."


def _problems_of(kind: type[BaseDestination[Any, Any]], called: str, name: str, value: Any) -> Iterator[Problem]:
    leaves = list(_leaves(value, (name,), whole=not takes_names(kind, name)))
    secret = is_secret(kind, name)
    for location, leaf in leaves:
        if _is_variable(leaf) and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(leaf["env"])):
            yield location, "`env` takes the name of an environment variable, such as `HUBSPOT_ACCESS_TOKEN`."
        if secret and (not _is_variable(leaf) or "default" in leaf):
            yield location, f"is a secret, which does not stand in a file; {_right(called, *map(str, location))}."
    if not secret:
        literal = _without_variables(value, whole=not takes_names(kind, name))
        if literal is not _UNKNOWN:
            yield from _misfits(kind, name, literal)


def _misfits(kind: type[BaseDestination[Any, Any]], name: str, value: Any) -> Iterator[Problem]:
    """What is wrong with a value that stands in the file itself."""
    field = Budget.model_fields[BUDGET[name]] if name in BUDGET else kind.Connection.model_fields[name]
    fitting: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        TypeAdapter(fitting).validate_python(value)
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            yield (name, *each["loc"]), each["msg"].removeprefix("Value error, ")


def _right(kind: str, *where: str) -> str:
    variable = re.sub(r"\W", "_", "_".join([kind, *where])).upper()
    return f"name the variable that holds it: `{where[-1]}: {{env: {variable}}}`"


def _leaves(value: Any, location: Location, *, whole: bool) -> Iterator[tuple[Location, Any]]:
    """The values in a setting; one that is a mapping of names by itself may have a name that is `env`."""
    if isinstance(value, Mapping) and not (whole and _is_variable(value)):
        for key, inner in value.items():
            yield from _leaves(inner, (*location, key), whole=True)
    else:
        yield location, value


def _is_variable(value: Any) -> bool:
    return isinstance(value, Mapping) and "env" in value and set(value) <= {"env", "default"}


def _without_variables(value: Any, *, whole: bool) -> Any:
    """The value as it stands in the file, with the defaults of variables; `_UNKNOWN` if one has none."""
    if whole and _is_variable(value):
        return value.get("default", _UNKNOWN)
    if isinstance(value, Mapping):
        inner = {key: _without_variables(each, whole=True) for key, each in value.items()}
        return _UNKNOWN if _UNKNOWN in inner.values() else inner
    return value


def _read(value: Any, kind: type[BaseDestination[Any, Any]], name: str) -> Any:
    return _with_variables(value, whole=not takes_names(kind, name))


def _with_variables(value: Any, *, whole: bool) -> Any:
    if whole and _is_variable(value):
        return Variable(value["env"], default=value.get("default"))
    if isinstance(value, Mapping):
        return {key: _with_variables(inner, whole=True) for key, inner in value.items()}
    return value
