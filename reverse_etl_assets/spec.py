"""A sync as its YAML file says it: what goes where, how, and within which limits."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from reverse_etl_assets.dbt_models import Model
from reverse_etl_assets.destinations.base import HttpDestination
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.records import FieldType, Operation, Target
from reverse_etl_assets.yaml_source import YamlSource, did_you_mean


class SyncMode(StrEnum):
    FULL_REFRESH = "full_refresh"  # every row, every run
    INCREMENTAL = "incremental"  # added and changed rows
    MIRROR = "mirror"  # added and changed rows, and removed rows are deleted
    UPDATE_ONLY = "update_only"  # records that exist already
    INSERT_ONLY = "insert_only"  # records that do not exist yet
    APPEND = "append"  # one new record (an event, a message) for each new row


OPERATIONS: Mapping[SyncMode, frozenset[Operation]] = {
    SyncMode.FULL_REFRESH: frozenset({Operation.UPSERT}),
    SyncMode.INCREMENTAL: frozenset({Operation.UPSERT}),
    SyncMode.MIRROR: frozenset({Operation.UPSERT, Operation.DELETE}),
    SyncMode.UPDATE_ONLY: frozenset({Operation.UPDATE}),
    SyncMode.INSERT_ONLY: frozenset({Operation.INSERT}),
    SyncMode.APPEND: frozenset({Operation.INSERT}),
}

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if not isinstance(value, str) or value.startswith("P"):  # ISO 8601, as pydantic writes it
        return value
    match = re.fullmatch(r"\s*(\d+)\s*(s|m|h|d)(ec(ond)?s?|in(ute)?s?|(ou)?rs?|ays?)?\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write it like `30 minutes`, `6 hours` or `1 day`.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(_duration, json_schema_input_type=str)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MappedField(_Strict):
    """Where a destination field's value comes from: a column of the model, or a constant."""

    column: str | None = None
    constant: str | int | float | bool | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "MappedField":
        neither = self.column is None and "constant" not in self.model_fields_set  # a constant may be null
        if neither or (self.column is not None and self.constant is not None):
            raise ValueError("give either `column` or `constant`.")
        return self


class Limit(_Strict):
    """A guard's limit. Whichever of the two is passed first trips the guard."""

    rows: Annotated[int, Field(ge=0)] | None = None
    percent: Annotated[float, Field(ge=0, le=100)] | None = None


class Guards(_Strict):
    """What must hold before anything is sent. `max_removed.percent` is of the synced rows, the others' too."""

    max_added: Limit = Limit()
    max_changed: Limit = Limit()
    max_removed: Limit = Limit(percent=25)
    row_count: Limit = Limit(percent=50)
    """How far the model's rows may be from the median of the last runs."""
    allow_empty_model: bool = False
    require_passing_tests: bool = True
    """Refuse to send when the model's build or one of its dbt tests failed the last time it ran."""


class ChangeDetection(_Strict):
    """How changed rows are found. Without `last_modified_at` every row is compared with its synced row."""

    last_modified_at: str | None = None
    """A timestamp column. Only rows at or after the last run's newest one (less `lookback`) are compared."""
    lookback: Duration = timedelta(hours=1)
    full_compare_every: Duration = timedelta(days=1)
    """When every row is compared all the same: finds removed rows and those that came late."""


class Schedule(_Strict):
    """When the sync runs: at set times, or whenever it would otherwise be older than promised."""

    cron: str | None = None
    fresh_within: Duration | None = None
    warn_after: Duration | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Schedule":
        if (self.cron is None) == (self.fresh_within is None):
            raise ValueError("give either `cron` or `fresh_within`.")
        if self.warn_after and (self.fresh_within is None or self.warn_after >= self.fresh_within):
            raise ValueError("`warn_after` must be shorter than `fresh_within`.")
        return self


class Cost(_Strict):
    """Prices for the cost figures, in a currency of your own."""

    per_call: Annotated[float, Field(ge=0)] = 0
    per_row: Annotated[float, Field(ge=0)] = 0


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _to_cron(value: Any) -> Any:
    return {"cron": value} if isinstance(value, str) else value


def _to_sources(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {field: {"column": source} if isinstance(source, str) else source for field, source in value.items()}


class Sync(_Strict):
    """One sync: one YAML file, one asset."""

    sync: Name
    """Unique in the project; the file's name if left out."""
    description: str = ""
    model: str
    """The dbt model whose rows are sent."""
    destination: str
    """The name of a destination resource of the code location."""
    object: str
    """What is written at the destination: `Contact`, `contacts`, a path."""
    primary_key: Annotated[tuple[str, ...], BeforeValidator(_to_list, json_schema_input_type=str | list[str])]
    """The model's column, or columns, that name a row."""
    external_id: str = ""
    """The destination's field that matches a record; the one the primary key is mapped to if left out."""
    mapping: Annotated[
        dict[str, MappedField],
        BeforeValidator(_to_sources, json_schema_input_type=dict[str, str | MappedField]),
        Field(min_length=1),
    ]
    """Destination field: model column (or `{constant: value}`)."""
    sync_mode: SyncMode
    change_detection: ChangeDetection = ChangeDetection()
    guards: Guards = Guards()
    max_failed: Limit = Limit(percent=5)
    """How many rows may fail before the run itself is failed: `rows` of all, `percent` of those sent (refused by the
    destination) or of the model (never sent, for want of a usable key or value)."""
    schedule: Annotated[Schedule, BeforeValidator(_to_cron, json_schema_input_type=str | Schedule)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the destination type."""
    owners: tuple[str, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)
    cost: Cost = Cost()

    @field_validator("primary_key")
    @classmethod
    def _has_key(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name at least one column, each once.")
        return value

    @field_validator("mapping")
    @classmethod
    def _distinct_fields(cls, value: dict[str, MappedField]) -> dict[str, MappedField]:
        seen: dict[str, str] = {}
        for field in value:
            if other := seen.get(field.lower()):
                raise ValueError(f"`{other}` and `{field}` differ only in case.")
            if field.lower().startswith("_retl_"):
                raise ValueError(f"`{field}`: names that start with `_retl_` are kept for the state.")
            seen[field.lower()] = field
        return value

    @model_validator(mode="after")
    def _find_external_id(self) -> "Sync":
        if not self.external_id:
            keys = [field for field, source in self.mapping.items() if source.column == self.primary_key[0]]
            found = keys[0] if len(self.primary_key) == 1 and keys else "_".join(self.primary_key)
            object.__setattr__(self, "external_id", found)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The model's columns that the sync reads, the primary key first."""
        mapped = (source.column for source in self.mapping.values() if source.column)
        prefilter = (self.change_detection.last_modified_at,) if self.change_detection.last_modified_at else ()
        return tuple(dict.fromkeys((*self.primary_key, *mapped, *prefilter)))

    def target(self, types: Mapping[str, FieldType]) -> Target:
        """The destination's view of the sync; `types` are those of the model's columns."""
        fields = {
            field: types[source.column] if source.column else _constant_type(source.constant)
            for field, source in self.mapping.items()
        }
        key_type = types[self.primary_key[0]] if len(self.primary_key) == 1 else FieldType.TEXT
        operations = OPERATIONS[self.sync_mode]
        return Target(self.object, self.external_id, fields, operations, key_type)


def _constant_type(value: object) -> FieldType:
    match value:
        case bool():
            return FieldType.BOOLEAN
        case int():
            return FieldType.INTEGER
        case float():
            return FieldType.FLOAT
    return FieldType.TEXT


DestinationTypes = Mapping[str, type[HttpDestination[Any, Any]]]


def load_syncs(folder: Path, models: Mapping[str, Model], destinations: DestinationTypes) -> dict[str, Sync]:
    """Every sync of a folder by name, each fit for its model and destination.

    Raises SpecError with everything that is wrong in all files, a line each.
    """
    syncs: dict[str, Sync] = {}
    sources: dict[str, YamlSource] = {}
    problems: list[str] = []
    for path in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
        try:
            source = YamlSource(path)
            sync = load_sync(source, models, destinations)
        except SpecError as error:
            problems.append(str(error))
            continue
        if other := sources.get(sync.sync.lower()):
            problems.append(source.say(("sync",), f"`{sync.sync}` is the name of {other.path} too; rename one."))
            continue
        sources[sync.sync.lower()] = source
        syncs[sync.sync] = sync
    if problems:
        raise SpecError("\n".join(problems))
    return syncs


def load_sync(source: YamlSource, models: Mapping[str, Model], destinations: DestinationTypes) -> Sync:
    """One sync, checked against its model and destination. Raises SpecError."""
    try:
        sync = Sync.model_validate({"sync": source.path.stem, **source.value})
    except ValidationError as error:
        raise source.explain(error, Sync) from None
    problems = [*_model_problems(source, sync, models), *_destination_problems(source, sync, destinations)]
    if problems:
        raise SpecError("\n".join(problems))
    return sync


def _model_problems(source: YamlSource, sync: Sync, models: Mapping[str, Model]) -> list[str]:
    model = models.get(sync.model)
    if model is None:
        return [source.say(("model",), f"there is no model `{sync.model}`{did_you_mean(sync.model, models)}")]
    if not model.columns:  # undocumented: the plan finds out
        return []
    known = {column.lower() for column in model.columns}
    used: list[tuple[tuple[str, ...], str]] = [(("primary_key",), column) for column in sync.primary_key]
    used += [(("mapping", field), mapped.column) for field, mapped in sync.mapping.items() if mapped.column]
    if sync.change_detection.last_modified_at:
        used.append((("change_detection", "last_modified_at"), sync.change_detection.last_modified_at))
    return [
        source.say(where, f"`{model.name}` has no column `{column}`{did_you_mean(column, model.columns)}")
        for where, column in used
        if column.lower() not in known
    ]


def _destination_problems(source: YamlSource, sync: Sync, destinations: DestinationTypes) -> list[str]:
    destination = destinations.get(sync.destination)
    if destination is None:
        hint = did_you_mean(sync.destination, destinations)
        return [source.say(("destination",), f"there is no destination `{sync.destination}`{hint}")]
    try:
        options = destination.Options.model_validate(sync.options)
        target = sync.target(dict.fromkeys(sync.columns, FieldType.TEXT))
        capabilities = destination.capabilities_for(target, options)
    except ValidationError as error:
        return [str(source.explain(error, destination.Options, below=("options",)))]
    except SpecError as error:
        return [source.say(("options",), str(error))]
    missing = OPERATIONS[sync.sync_mode] - capabilities.operations
    if missing:
        able = [mode.value for mode in SyncMode if OPERATIONS[mode] <= capabilities.operations]
        message = f"`{sync.destination}` cannot {', '.join(sorted(missing))}; it can do {', '.join(able)}."
        return [source.say(("sync_mode",), message)]
    return []
