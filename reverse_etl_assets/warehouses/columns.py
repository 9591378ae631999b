"""How a sync's keys and fields look in SQL, once the types of the model's columns are known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from reverse_etl_assets.errors import StateError
from reverse_etl_assets.records import FieldType, Operation, Target
from reverse_etl_assets.spec.mapped_field import IfNull
from reverse_etl_assets.spec.route import Route
from reverse_etl_assets.spec.sync import Sync
from reverse_etl_assets.spec.yaml_source import did_you_mean
from reverse_etl_assets.warehouses import value_text
from reverse_etl_assets.warehouses.column_types import field_type
from reverse_etl_assets.warehouses.duckdb import literal, quote
from reverse_etl_assets.warehouses.row_times import YEARS, is_time

_FINITE = "coalesce(isfinite({}), true)"
_FINITE_KEYS = {FieldType.FLOAT: _FINITE, FieldType.DATE: YEARS, FieldType.TIMESTAMP: YEARS}
_MAYBE_BLANK = frozenset({FieldType.TEXT, FieldType.JSON})
_BLANKS = "' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13)"
# What is left of a JSON text without its strings shows whether every number in it is one.
_NO_STRINGS = """regexp_replace(to_json({0})::varchar, '"([^"\\\\]|\\\\.)*"', '', 'g')"""
_JSON = "not regexp_matches(" + _NO_STRINGS + ", 'NaN|Inf')"
# And its brackets, but for those that hold nothing, how deep it is: whoever reads JSON has an end there.
_BRACKETS = "regexp_replace(regexp_replace(" + _NO_STRINGS + r", '[^\[\]\x7b\x7d]', '', 'g'), '\[\]|\x7b\x7d', '', 'g')"
_FLAT = (
    "coalesce(case when length({0}::varchar) >= 400 then not regexp_matches("
    + _BRACKETS
    + r", '[\[\x7b]{{200}}') end, true)"
)
_NO_NUMBER, _TOO_DEEP = "is not a finite number or time (the years are 1 to 9999)", "is nested 200 levels deep or more"
_SENDABLE = {
    FieldType.FLOAT: [(_FINITE, _NO_NUMBER)],
    FieldType.DATE: [(YEARS, _NO_NUMBER)],
    FieldType.TIMESTAMP: [(YEARS, _NO_NUMBER)],
    FieldType.JSON: [(_JSON, _NO_NUMBER), (_FLAT, _TOO_DEEP)],
}


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
    fold_blanks: bool = False  # blanks around a key are none of it
    for_good: bool = False  # what is deleted is to be beyond restoring
    id_separator: str = ""  # between several identities of one record in an id of the destination

    @classmethod
    def on(cls, route: Route, model_types: Mapping[str, str]) -> "Columns":
        """Those of a built model; keys are compared as the destination compares them. Raises StateError as `of`."""
        able = route.capabilities_for(cls.of(route.sync, model_types, fold_case=False).target)
        return cls.of(
            route.sync,
            model_types,
            fold_case=able.fold_case,
            partial=route.sends_changed_fields,
            fold_blanks=able.fold_blanks,
            id_separator=able.id_separator,
        )

    @classmethod
    def of(
        cls,
        sync: Sync,
        model_types: Mapping[str, str],
        *,
        fold_case: bool,
        partial: bool = False,
        fold_blanks: bool = False,
        id_separator: str = "",
    ) -> "Columns":
        """Raises StateError if the built model lacks a column that the sync needs."""
        types = {name.lower(): sql_type for name, sql_type in model_types.items()}
        missing = [name for name in sync.columns if name.lower() not in types]
        if missing:
            said = (f"the built model {sync.model} has no column `{name}`" for name in missing)
            hints = (did_you_mean(name, model_types) for name in missing)
            raise StateError("\n".join(map("".join, zip(map(sync.place, missing), said, hints, strict=True))))
        for name in sync.columns:
            try:
                field_type(types[name.lower()])
            except StateError as error:
                raise StateError(f"{sync.place(name)}model {sync.model}, column {name}: {error}") from None
        _refuse_texts_as_times(sync, types)
        folds = fold_blanks and len(sync.primary_key) == 1
        return cls(sync, types, fold_case, partial, fold_blanks=folds, id_separator=id_separator)

    @cached_property
    def target(self) -> Target:
        target = self.sync.target({name: field_type(self.types[name.lower()]) for name in self.sync.columns})
        if self.operations is None:
            return target
        return replace(target, operations=self.operations, complete=False, for_good=self.for_good)

    @cached_property
    def keys(self) -> Sequence[Column]:
        """The join keys: typed as in the model, or text where the destination folds it."""
        return [
            Column(f"_retl_k{i}", self.folded(quote(name), sql_type), "VARCHAR" if self.folds else sql_type)
            for i, (name, sql_type) in enumerate(zip(self.sync.primary_key, self._key_types, strict=True))
        ]

    @property
    def _key_types(self) -> list[str]:
        return [self.types[name.lower()] for name in self.sync.primary_key]

    def folding(self, case: bool, blanks: bool) -> "Columns":
        """The same, but for what of a key does not count."""
        return replace(self, fold_case=case, fold_blanks=blanks)

    @property
    def folds(self) -> bool:
        """Whether keys are compared as texts of which something does not count."""
        return self.fold_case or self.fold_blanks

    def folded(self, value: str, sql_type: str) -> str:
        """A key's value as it is compared."""
        if not self.folds:
            return value
        text = self._trimmed(value_text.text(value, sql_type))
        return f"lower({text})" if self.fold_case else text

    def _trimmed(self, text: str) -> str:
        return f"trim({text}, {_BLANKS})" if self.fold_blanks else text

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
        """True for a row that has a key: a finite value in each column, and something that can be seen."""
        names = [quote(name) for name in self.sync.primary_key]
        return self._is_key(list(zip(names, self._key_types, strict=True)))

    @cached_property
    def has_synced_key(self) -> str:
        """Likewise for synced rows, among which earlier releases left others."""
        return self._is_key([(key.name, key.sql_type) for key in self.keys])

    def _is_key(self, columns: Sequence[tuple[str, str]]) -> str:
        parts = [f"{column} is not null" for column, _ in columns]
        kinds = [(column, field_type(sql_type)) for column, sql_type in columns]
        parts += [_FINITE_KEYS[kind].format(column) for column, kind in kinds if kind in _FINITE_KEYS]
        if all(kind in _MAYBE_BLANK for _, kind in kinds):  # a number can always be seen
            parts.append(f"({' or '.join(value_text.is_visible(*column) for column in columns)})")
        return " and ".join(parts)

    @property
    def external_id(self) -> str:
        """What a row's record is matched by, as text: the key in its own spelling."""
        text = self.joined([quote(name) for name in self.sync.primary_key], self._key_types)
        return self._trimmed(text)

    def key_text(self, relation: str | None = None) -> str:
        """One text for the whole key, of a relation that has the key's columns or of the model's own row."""
        values = [f"{relation}.{key.name}" if relation else key.expression for key in self.keys]
        return self.joined(values, [key.sql_type for key in self.keys])

    @property
    def old_key_text(self) -> str:
        """The text of the model's own row as earlier releases wrote it."""
        values = [value_text.old_text(quote(name)) for name in self.sync.primary_key]
        values = [f"lower({value})" if self.fold_case else value for value in values]
        return self.joined(values, ["VARCHAR"] * len(values))

    def is_old_spelling(self, relation: str) -> str:
        """True for a synced row whose key an earlier release wrote in another way."""
        return f"lower({self._trimmed(f'{relation}._retl_key')}) <> lower({self.key_text(relation)})"

    @property
    def is_respelled(self) -> bool:
        """Whether earlier releases wrote the key in another way."""
        return any(map(value_text.is_respelled, self._key_types))

    def _respelled(self, key: Column, sql_type: str) -> str:
        if not self.folds or not (value_text.is_respelled(sql_type) or self.fold_blanks):
            return key.name
        if not value_text.is_respelled(sql_type):
            return self._trimmed(key.name)
        before = key.name if field_type(sql_type) is FieldType.JSON else f"upper({key.name})"
        return f"coalesce({self.folded(f'try_cast({before} as {sql_type})', sql_type)}, {key.name})"

    @property
    def respelled_keys(self) -> list[tuple[Column, str]]:
        """The key's columns, and each as SQL over a synced row that an earlier release may have written."""
        return [(k, self._respelled(k, sql_type)) for k, sql_type in zip(self.keys, self._key_types, strict=True)]

    def joined(self, values: Sequence[str], types: Sequence[str]) -> str:
        """The text of a key; of several columns, joined by `|` so that no two keys share one."""
        texts = [value_text.text(value, sql_type) for value, sql_type in zip(values, types, strict=True)]
        if len(texts) == 1:
            return texts[0]
        escaped = [f"replace(replace(coalesce({text}, ''), '\\', '\\\\'), '|', '\\|')" for text in texts]
        return " || '|' || ".join(escaped)

    def key_values(self, text: str) -> list[str]:
        """SQL: the key's columns, as texts, out of the text that `key_text` made of them."""
        if len(self.keys) == 1:
            return [text]
        parts = rf"string_split(replace(replace({text}, '\\', chr(1)), '\|', chr(2)), '|')"
        return [rf"replace(replace({parts}[{i}], chr(2), '|'), chr(1), '\')" for i in range(1, len(self.keys) + 1)]

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
        parts = [f"{f.literal}: {value_text.in_json(f'{struct}.{f.name}', f.sql_type)}" for f in self.fields]
        return "to_json({" + ", ".join(parts) + "})"

    @cached_property
    def sendable(self) -> Sequence[tuple[str, str]]:
        """What is wrong with fields that hold what no JSON can carry, each with the SQL that is true without it."""
        kinds = [(field.name, _SENDABLE.get(field_type(field.sql_type), ())) for field in self.fields]
        return [(f"{name} {wrong}", test.format(f"after.{name}")) for name, tests in kinds for test, wrong in tests]


def meant(keys: Iterable[str], key: str, of: str) -> str | None:
    """The one of the keys that a person means: the one that is written so, or else in another case.

    Raises StateError if several differ from it in case alone: what is said of one must not be done to another, and
    where a destination tells `aB` from `Ab`, so does this.
    """
    found = sorted(each for each in keys if each.lower() == key.lower())
    if key in found or len(found) < 2:
        return key if key in found else next(iter(found), None)
    raise StateError(f"{len(found)} {of} have this key in another case; write it as one of {', '.join(found)}.")


def _refuse_texts_as_times(sync: Sync, types: Mapping[str, str]) -> None:
    for setting, name in sync.time_columns.items():
        if not is_time(types[name.lower()]):
            raise StateError(
                f"{sync.place(name)}model {sync.model}, column {name}:"
                f" `{setting}` needs a TIMESTAMP or DATE, and the column is of type"
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
