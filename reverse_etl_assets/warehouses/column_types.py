"""What the types of DuckDB's columns mean to a destination."""

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.records import FieldType

_TYPES = {
    "VARCHAR": FieldType.TEXT,
    "UUID": FieldType.TEXT,
    "ENUM": FieldType.TEXT,
    "BOOLEAN": FieldType.BOOLEAN,
    "DATE": FieldType.DATE,
    "TIME": FieldType.TIME,
    "DECIMAL": FieldType.DECIMAL,
    "FLOAT": FieldType.FLOAT,
    "DOUBLE": FieldType.FLOAT,
    "JSON": FieldType.JSON,
}


def field_type(sql_type: str) -> FieldType:
    """What a DuckDB type means to a destination. Raises StateError for types that cannot leave the warehouse."""
    base = sql_type.split("(")[0]
    nested = sql_type.endswith("]") or base in ("STRUCT", "MAP")
    if nested and "TIMESTAMP" in sql_type:
        raise StateError(f"times inside {sql_type} would be sent without a zone; cast them to text in the dbt model.")
    if nested:
        return FieldType.JSON
    if base.startswith("TIMESTAMP"):
        return FieldType.TIMESTAMP
    if base.endswith("INT") or base == "INTEGER" or base == "UINTEGER":
        return FieldType.INTEGER
    if base not in _TYPES:
        raise StateError(f"a column of type {sql_type} cannot be sent; cast it in the dbt model.")
    return _TYPES[base]
