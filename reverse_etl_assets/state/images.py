"""Before-images in SQL: a field's value out of their JSON, in the model's type, and whether that type can hold it."""

from collections.abc import Iterator
from dataclasses import dataclass

from reverse_etl_assets.records import FieldType
from reverse_etl_assets.warehouses import value_text
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.columns import Column, Columns
from reverse_etl_assets.warehouses.duckdb import literal

_DIGITS = 15  # of a number in JSON that survive on the way through a double


@dataclass(frozen=True)
class ImageField:
    """A field of an image: its value in its own type, NULL if it does not fit, and whether it is the same there."""

    name: str
    literal: str
    text: str
    value: str
    exact: str
    sql_type: str


def unpacked(columns: Columns, image: str) -> str:
    """The fields of the JSON text in a column, as the two lists `<image>_texts` and `<image>_kinds`.

    JSON is read once a row: each place that reads it takes a megabyte of memory for itself.
    """
    pointers = ", ".join(literal("/" + field.replace("~", "~0").replace("/", "~1")) for field in columns.sync.mapping)
    texts, kinds = f"json_extract_string({image}, [{pointers}])", f"json_type({image}, [{pointers}])"
    return f"{texts} as {image}_texts, {kinds} as {image}_kinds"


def image_fields(columns: Columns, image: str, *, ours: str = "true") -> Iterator[ImageField]:
    """The fields of an unpacked image. `ours` is true where its values are as the model has them, and not as they were
    read."""
    pairs = zip(columns.sync.mapping.values(), columns.fields, strict=True)
    for place, (source, column) in enumerate(pairs, 1):
        text, kind = f"{image}_texts[{place}]", f"{image}_kinds[{place}]"
        value, exact = _typed(column, text, kind)
        if source.transform:  # what was read is a hash, and the model's value is not known
            value, exact = f"case when {ours} then {value} end", f"{ours} and {exact}"
        known = f"({kind} is not null and ({text} is null or coalesce({exact}, false)))"
        yield ImageField(column.name, column.literal, text, value, known, column.sql_type)


def _typed(column: Column, text: str, kind: str) -> tuple[str, str]:
    """A value, and whether nothing is lost with it if it is not NULL."""
    sql_type = column.sql_type
    value = f"try_cast({text} as {sql_type})"
    match field_type(sql_type):
        case FieldType.TEXT:
            value = f"case when {kind} not in ('OBJECT', 'ARRAY') then {value} end"
            return value, f"({value})::varchar = {text}"
        case FieldType.INTEGER | FieldType.DECIMAL:
            return value, f"{_plain(f'{value}::varchar')} = {_plain(text)} and ({kind} <> 'DOUBLE' or {_short(text)})"
        case FieldType.FLOAT:
            either = f"{value}::double, {value_text.exact(value, sql_type)}"  # a FLOAT as earlier releases wrote it
            return value, f"try_cast({text} as double) in ({either})"
        case FieldType.DATE:
            return value, f"{value}::timestamp = {_moment(text)}"
        case FieldType.TIMESTAMP:
            zoned = sql_type.endswith("TIME ZONE")
            value = f"try_cast({text if zoned else _moment(text)} as {sql_type})"
            return value, f"{value} is not null" if zoned else f"{value}::timestamp = {_moment(text)}"
        case FieldType.TIME:
            value = f"try_cast(rtrim({text}, 'Z') as {sql_type})"
        case FieldType.JSON:
            document = f"try_cast({text} as json)"  # some keep it as a text
            value = document if sql_type == "JSON" else f"try_cast({document} as {sql_type})"
            either = f"to_json({value})::varchar, to_json({value_text.exact(value, sql_type)})::varchar"
            return value, f"({document})::varchar in ({either})"
    return value, f"{value} is not null"


def _moment(text: str) -> str:
    """A time without a zone is UTC, as everywhere."""
    return f"(try_cast({text} as timestamptz) at time zone 'UTC')"


def _plain(number: str) -> str:
    """Decimal notation without the zeros at its end."""
    return f"case when contains({number}, '.') then rtrim(rtrim({number}, '0'), '.') else {number} end"


def _short(number: str) -> str:
    digits = f"regexp_replace({number}, '[^0-9]', '', 'g')"
    return f"length(trim({digits}, '0')) <= {_DIGITS}"
