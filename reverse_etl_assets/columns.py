"""How a sync's keys and fields look in SQL, once the types of the model's columns are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.records import FieldType, Operation, Target
from reverse_etl_assets.row_times import YEARS, is_time
from reverse_etl_assets.spec import IfNull, Sync
from reverse_etl_assets.warehouses.duckdb import field_type, literal, quote
from reverse_etl_assets.yaml_source import did_you_mean

_FINITE = "isfinite({})"
# What is left of a JSON text without its strings shows whether every number in it is one.
_JSON = """not regexp_matches(regexp_replace(to_json({})::varchar, '"([^"\\\\]|\\\\.)*"', '', 'g'), 'NaN|Inf')"""


@dataclass(frozen=True)
class Column:
    """A name in the state, and the expression over the model's row that gives its value."""

    name: str
    expression: str
    sql_type: str
    literal: str = ""
    keeps_null: bool = False  # NULL in the model leaves the field alone


@dataclass(frozen=True)
class Columns:
    """A sync's keys and fields over a built model."""

    sync: Sync
    types: Mapping[str, str]  # of the model's columns, by lower-cased name
    fold_case: bool
    partial: bool = False  # a changed row goes out with its changed fields alone
    operations: frozenset[Operation] | None = None  # None: those of the sync's mode

    @classmethod
    def of(cls, sync: Sync, model_types: Mapping[str, str], *, fold_case: bool, partial: bool = False) -> "Columns":
        """Raises StateError if the built model lacks a column that the sync needs."""
        types = {name.lower(): sql_type for name, sql_type in model_types.items()}
        missing = [name for name in sync.columns if name.lower() not in types]
        if missing:
            hints = [f"`{name}`{did_you_mean(name, model_types)}" for name in missing]
            raise StateError(f"the built model {sync.model} has no column {' '.join(hints)}")
        for name in sync.columns:
            try:
                field_type(types[name.lower()])
            except StateError as error:
                raise StateError(f"model {sync.model}, column {name}: {error}") from None
        _refuse_texts_as_times(sync, types)
        return cls(sync, types, fold_case, partial)

    @cached_property
    def target(self) -> Target:
        target = self.sync.target({name: field_type(self.types[name.lower()]) for name in self.sync.columns})
        return target if self.operations is None else replace(target, operations=self.operations, complete=False)

    @cached_property
    def keys(self) -> Sequence[Column]:
        """The join keys: typed as in the model, or lower-cased text where the destination folds case."""
        return [
            Column(f"_retl_k{i}", self._key_expression(name), "VARCHAR" if self.fold_case else self.types[name.lower()])
            for i, name in enumerate(self.sync.primary_key)
        ]

    def _key_expression(self, column: str) -> str:
        return f"lower({quote(column)}::varchar)" if self.fold_case else quote(column)

    @cached_property
    def fields(self) -> Sequence[Column]:
        found = []
        for field, source in self.sync.mapping.items():
            if source.column:
                expression, sql_type = quote(source.column), self.types[source.column.lower()]
            else:
                expression, sql_type = _constant(source.constant)
            keeps_null = source.null is IfNull.KEEP
            found.append(Column(quote(field), expression, sql_type, literal(field), keeps_null))
        return found

    @cached_property
    def has_key(self) -> str:
        """True for a row whose every key column has a value; an empty text is none."""
        parts = [f"{quote(name)} is not null" for name in self.sync.primary_key]
        only = self.sync.primary_key[0]
        if len(self.sync.primary_key) == 1 and self.types[only.lower()] == "VARCHAR":
            parts.append(f"trim({quote(only)}) <> ''")
        return " and ".join(parts)

    def key_text(self, expressions: Sequence[str]) -> str:
        """One text for the whole key; of several columns, joined by `|` so that no two keys share a text."""
        texts = [f"{expression}::varchar" for expression in expressions]
        if len(texts) == 1:
            return texts[0]
        escaped = [f"replace(replace(coalesce({text}, ''), '\\', '\\\\'), '|', '\\|')" for text in texts]
        return " || '|' || ".join(escaped)

    def pack(self, relation: str | None, otherwise: str | None = None) -> str:
        """The fields as one struct, from a relation that has them or from the model's own row.

        Fields that keep what is there when they are NULL are then taken from the relation `otherwise`.
        """
        values = [f"{relation}.{f.name}" if relation else f.expression for f in self.fields]
        if otherwise:
            values = [
                f"coalesce({value}, {otherwise}.{f.name})" if f.keeps_null else value
                for f, value in zip(self.fields, values, strict=True)
            ]
        return "{" + ", ".join(f"{f.literal}: {value}" for f, value in zip(self.fields, values, strict=True)) + "}"

    @cached_property
    def struct_type(self) -> str:
        return "STRUCT(" + ", ".join(f"{f.name} {f.sql_type}" for f in self.fields) + ")"

    def json(self, struct: str) -> str:
        """The fields as JSON: times with a zone, numbers with every digit."""
        parts = [f"{f.literal}: {_json_value(f'{struct}.{f.name}', f.sql_type)}" for f in self.fields]
        return "to_json({" + ", ".join(parts) + "})"

    @cached_property
    def sendable(self) -> Sequence[tuple[str, str]]:
        """Fields that can hold what no JSON can carry (NaN, infinity), each with the SQL that is true without it."""
        tests = {FieldType.FLOAT: _FINITE, FieldType.DATE: YEARS, FieldType.TIMESTAMP: YEARS, FieldType.JSON: _JSON}
        found = [(f.name, tests.get(field_type(f.sql_type))) for f in self.fields]
        return [(name, test.format(f"after.{name}")) for name, test in found if test]


def _refuse_texts_as_times(sync: Sync, types: Mapping[str, str]) -> None:
    for setting, name in sync.time_columns.items():
        if not is_time(types[name.lower()]):
            raise StateError(
                f"model {sync.model}, column {name}: `{setting}` needs a TIMESTAMP or DATE, and the column is of type"
                f" {types[name.lower()]}; cast it in the dbt model."
            )


def _constant(value: str | int | float | bool | None) -> tuple[str, str]:
    match value:
        case None:
            return "null::varchar", "VARCHAR"
        case bool():
            return str(value).lower(), "BOOLEAN"
        case int():
            return f"{value}::bigint", "BIGINT"
        case float():
            return f"{value!r}::double", "DOUBLE"
    return f"{literal(value)}::varchar", "VARCHAR"


def _json_value(value: str, sql_type: str) -> str:
    if field_type(sql_type) is FieldType.TIMESTAMP:
        in_utc = f"{value} at time zone 'UTC'" if sql_type.endswith("TIME ZONE") else f"{value}::timestamp"
        return f"strftime({in_utc}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    return value
