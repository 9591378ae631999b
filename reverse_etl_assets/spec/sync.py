"""A sync as its YAML file says it: what goes where, and how."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from reverse_etl_assets.records import FieldType, Target
from reverse_etl_assets.spec.mapped_field import MappedField, Wins
from reverse_etl_assets.spec.modes import Mode, SyncMode
from reverse_etl_assets.spec.policies import (
    After,
    Approval,
    BeforeImages,
    ChangeDetection,
    Cost,
    Cutover,
    Guards,
    Jobs,
    Limit,
    OnDuplicateKey,
    Quarantine,
    Schedule,
    Strict,
    Verify,
)
from reverse_etl_assets.wording import Written

_NAME = Written(
    "[A-Za-z][A-Za-z0-9_]*",
    "the name of a sync as a letter and then letters, digits and `_`, such as `crm_contacts`; it is the file's name if"
    " `sync` is left out",
)
Name = Annotated[str, Field(max_length=100), _NAME]


def _to_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _to_parents(value: Any) -> Any:
    parents = value if isinstance(value, list | tuple) else [value]
    return [{"sync": parent} if isinstance(parent, str) else parent for parent in parents]


def _to_cron(value: Any) -> Any:
    return {"cron": value} if isinstance(value, str) else value


def _to_latest(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"latest by (\S+)", value)):
        return {"latest_by": match[1]}
    if value == "reject":
        return {}
    if isinstance(value, str):
        raise ValueError(f"{value!r} is unknown; write `reject` or `latest by <column>`.")
    return value


def _to_sources(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {field: {"column": source} if isinstance(source, str) else source for field, source in value.items()}


def _reason(value: Any) -> Any:
    if value is None or (isinstance(value, str) and re.match(r"\s*(TODO\b.*)?$", value, re.DOTALL)):
        raise ValueError("say in a few words why this personal data may leave, such as `Sales writes to the customer`.")
    return value


class Sync(Strict):
    """One sync: one YAML file, one asset."""

    sync: Name
    """Unique in the project; the file's name if left out."""
    description: str = ""
    model: str = ""
    """The dbt model whose rows are sent."""
    query: str | None = None
    """In place of a model: one SELECT over `ref()` and `source()`, or the name of a file with it."""
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
    after: Annotated[
        tuple[After, ...], BeforeValidator(_to_parents, json_schema_input_type=str | After | list[str | After])
    ] = ()
    """Syncs that come before this one: their names, or more about each."""
    version: Annotated[int, Field(ge=1)] = 1
    """Raise it when key, object, destination, mode or a mapped field changes its meaning; then say `cutover`."""
    cutover: Cutover | None = None
    """How to begin a new version."""
    model_version: int | None = None
    """The version of the dbt model that is meant, if not its latest one."""
    updated_at: str | None = None
    """The model's timestamp (or date) column that says when a row was changed, for fields with `wins: latest`."""
    on_duplicate_key: Annotated[
        OnDuplicateKey, BeforeValidator(_to_latest, json_schema_input_type=str | OnDuplicateKey)
    ] = OnDuplicateKey()
    """`reject`: rows that share a key are not sent. `latest by <column>`: the newest of them is."""
    allow_pii: dict[str, Annotated[str, Field(min_length=1), BeforeValidator(_reason)]] = Field(default_factory=dict)
    """Personal data that may leave: the model's column, and why."""
    approval: Approval = Approval.WHEN_GUARDED
    before_images: BeforeImages = BeforeImages.DESTINATION
    """Where the values come from that an undo puts back; `synced` where the destination cannot be read."""
    quarantine: Quarantine = Quarantine()
    jobs: Jobs = Jobs()
    verify: Verify = Verify()
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
    _places: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _has_rows(self) -> "Sync":
        if not self.model and self.query is None:
            raise PydanticCustomError("sync", "`model` is missing.", {"at": ()})
        if self.query is not None and self.model not in ("", f"query of {self.sync}"):
            raise PydanticCustomError("sync", "give `model` or `query`, not both.", {"at": ("query",)})
        return self

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

    @model_validator(mode="after")
    def _latest_has_a_time(self) -> "Sync":
        latest = [field for field, source in self.mapping.items() if source.wins is Wins.LATEST]
        if latest and not self.updated_at:
            at = {"at": ("mapping", latest[0], "wins")}
            raise PydanticCustomError("sync", "`wins: latest` needs `updated_at: <timestamp column>`.", at)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The model's columns that the sync reads, the primary key first."""
        mapped = (source.column for source in self.mapping.values() if source.column)
        others = (self.change_detection.last_modified_at, self.updated_at, self.on_duplicate_key.latest_by)
        parents = (column for parent in self.after for column in parent.key)
        return tuple(dict.fromkeys((*self.primary_key, *mapped, *filter(None, others), *parents)))

    @property
    def parents(self) -> tuple[str, ...]:
        """The syncs that come before this one, each once."""
        return tuple(dict.fromkeys(parent.sync for parent in self.after))

    def written_at(self, places: Mapping[str, str]) -> "Sync":
        """The same, knowing where in its file each column stands first, by the column in lower case."""
        self._places.update(places)
        return self

    def place(self, column: str) -> str:
        """`syncs/contacts.yml:7: mapping.Email: `, for an error; nothing of a sync that is in no file."""
        return self._places.get(column.lower(), "")

    @property
    def time_columns(self) -> dict[str, str]:
        """The columns that say when a row was changed, by setting."""
        named = {
            "change_detection.last_modified_at": self.change_detection.last_modified_at,
            "updated_at": self.updated_at,
        }
        return {setting: column for setting, column in named.items() if column}

    @property
    def mode(self) -> Mode:
        """What the sync mode means."""
        return self.sync_mode.mode

    @property
    def transforms(self) -> bool:
        """A field goes out in another form than the model has it."""
        return any(source.transform for source in self.mapping.values())

    @property
    def reads_current_values(self) -> bool:
        """A field's rule depends on what the destination holds."""
        return any(source.wins is not Wins.WAREHOUSE for source in self.mapping.values())

    @property
    def untyped_target(self) -> Target:
        """The target as far as it is known while the model may not be built yet: all fields as text."""
        return self.target(dict.fromkeys(self.columns, FieldType.TEXT))

    def target(self, types: Mapping[str, FieldType]) -> Target:
        """The destination's view of the sync; `types` are those of the model's columns."""
        fields = {field: source.sent_type(types) for field, source in self.mapping.items()}
        key_type = types[self.primary_key[0]] if len(self.primary_key) == 1 else FieldType.TEXT
        columns = {field: source.column for field, source in self.mapping.items() if source.column}
        if len(self.primary_key) == 1:
            columns.setdefault(self.external_id, self.primary_key[0])
        return Target(
            self.object,
            self.external_id,
            fields,
            self.mode.operations,
            key_type,
            complete=self.mode.sends_all,
            columns=columns,
        )
