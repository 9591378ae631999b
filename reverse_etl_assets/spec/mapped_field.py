"""Where a field of the destination gets its value from, and when it is sent."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import model_validator

from reverse_etl_assets.records import FieldType
from reverse_etl_assets.spec.policies import Strict
from reverse_etl_assets.wording import COUNTRY


class Wins(StrEnum):
    WAREHOUSE = "warehouse"  # the model's value is sent whatever the destination holds
    DESTINATION = "destination"  # it is sent only where the destination has no value
    LATEST = "latest"  # whichever was changed last: the row, by `updated_at`, or the record
    UNLESS_EDITED = "unless_edited"  # it is sent unless somebody changed the value since our last write


class IfNull(StrEnum):
    CLEAR = "clear"
    KEEP = "keep"


class Transform(StrEnum):
    SHA256_EMAIL = "sha256_email"
    SHA256_PHONE = "sha256_phone"
    SHA256_NAME = "sha256_name"


class MappedField(Strict):
    """Where a destination field's value comes from, and when it is sent."""

    column: str | None = None
    constant: str | int | float | bool | None = None
    wins: Wins = Wins.WAREHOUSE
    null: IfNull = IfNull.CLEAR
    """What NULL in the model does to the field: clear it, or keep what is there."""
    transform: Transform | None = None
    """Normalise and hash the value, as ad platforms ask for it."""
    region: Annotated[str, COUNTRY] | None = None
    """For `sha256_phone`: the country (ISO 3166-1 alpha-2) of numbers without an international prefix."""

    @model_validator(mode="after")
    def _fits_together(self) -> "MappedField":
        neither = self.column is None and "constant" not in self.model_fields_set  # a constant may be null
        if neither or (self.column is not None and self.constant is not None):
            raise ValueError("give either `column` or `constant`.")
        if self.region and self.transform is not Transform.SHA256_PHONE:
            raise ValueError("`region` is for `transform: sha256_phone`.")
        return self

    def sent_type(self, types: Mapping[str, FieldType]) -> FieldType:
        """What goes out; `types` are those of the model's columns."""
        if self.transform:
            return FieldType.TEXT
        return types[self.column] if self.column else _constant_type(self.constant)


def _constant_type(value: object) -> FieldType:
    match value:
        case bool():
            return FieldType.BOOLEAN
        case int():
            return FieldType.INTEGER
        case float():
            return FieldType.FLOAT
    return FieldType.TEXT
