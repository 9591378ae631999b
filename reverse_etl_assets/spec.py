"""A sync as its YAML file says it: what goes where, and how."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from reverse_etl_assets.policies import ChangeDetection, Cost, Guards, Limit, Schedule, Strict
from reverse_etl_assets.records import FieldType, Operation, Target


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

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]


class MappedField(Strict):
    """Where a destination field's value comes from: a column of the model, or a constant."""

    column: str | None = None
    constant: str | int | float | bool | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "MappedField":
        neither = self.column is None and "constant" not in self.model_fields_set  # a constant may be null
        if neither or (self.column is not None and self.constant is not None):
            raise ValueError("give either `column` or `constant`.")
        return self


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _to_cron(value: Any) -> Any:
    return {"cron": value} if isinstance(value, str) else value


def _to_sources(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {field: {"column": source} if isinstance(source, str) else source for field, source in value.items()}


class Sync(Strict):
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
