"""Records as Salesforce holds them: the fields to ask for, what the rows of an answer say, and when a value is ours."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from reverse_etl_assets.destinations import choices
from reverse_etl_assets.destinations.salesforce import parents as salesforce_parents
from reverse_etl_assets.destinations.salesforce.soql import same_id
from reverse_etl_assets.destinations.schema import Forms
from reverse_etl_assets.destinations.values import NUMBERS, canonical, same_value
from reverse_etl_assets.records import Current, FieldType, Target

CHANGED_AT = "LastModifiedDate"
"""Moves with every write by a person or a program; Salesforce keeps it to the second."""
RECORD_TYPE = "RecordTypeId"
"""Takes the developer name of a record type, which is the same in every org, or its Id."""
_ZONE = "+0000"
_TO_THE_SECOND = len("2026-01-31T12:00:00")


class Reading:
    """What a target's fields look like in an answer to SOQL. One that holds text and gets numbers or times
    (`forms.as_text`) may hold any text, and keeps it."""

    def __init__(self, target: Target, *, fold_case: bool) -> None:
        self._target = target
        self._fold_case = fold_case
        self._parents = salesforce_parents.dotted(target.fields)
        lookups = [salesforce_parents.lookup_field(relationship) for relationship, _ in self._parents.values()]
        self.columns = (CHANGED_AT, *target.fields, *lookups)
        self.forms = Forms()
        self._record_types: dict[str, str] = {}

    def learn_record_types(self, listed: Iterable[str]) -> Mapping[str, str]:
        """Ids by developer name, of entries `name=Id`."""
        self._record_types = {name: record_id for name, _, record_id in (each.partition("=") for each in listed)}
        return self._record_types

    def current(self, row: Mapping[str, Any]) -> Current:
        fields = {name: self._value(name, kind, row) for name, kind in self._target.fields.items()}
        return Current(row["Id"], fields, datetime.fromisoformat(row[CHANGED_AT]).astimezone(UTC))

    def _value(self, name: str, kind: FieldType, row: Mapping[str, Any]) -> Any:
        if name in self._parents:
            return salesforce_parents.held(row, *self._parents[name])
        value = row[name]
        if value == "":
            return None
        if name in self.forms.of_many and kind is FieldType.JSON and value is not None:
            return choices.divided(value)
        if kind is FieldType.TIMESTAMP and value is not None and name not in self.forms.as_text:
            return f"{value.removesuffix(_ZONE)}Z" if value.endswith(_ZONE) else value
        return value

    def same(self, field: str, sent: Any, held: Any) -> bool:
        """Numbers are doubles ("Salesforce Number Field Stores More Decimal Places Than Defined", Salesforce Help);
        times have no milliseconds; Ids have 15 or 18 characters."""
        if field == RECORD_TYPE and isinstance(sent, str):
            sent = self._record_types.get(sent, sent)
        if sent == held or (field in self.forms.of_many and choices.same(sent, held)):
            return True
        kind = self._target.fields.get(field, FieldType.TEXT)
        if same_value(kind, sent, held):
            return True
        if kind in NUMBERS:
            return bool(canonical(FieldType.FLOAT, sent) == canonical(FieldType.FLOAT, held))
        if not isinstance(sent, str) or not isinstance(held, str):
            return False
        if kind is FieldType.TIMESTAMP:
            one, other = canonical(kind, sent), canonical(kind, held)
            return bool(one and other and one[:_TO_THE_SECOND] == other[:_TO_THE_SECOND])
        if self._names_a_record(field) and sent.lower() == held.lower():
            return True
        return {len(sent), len(held)} == {15, 18} and same_id(sent) == same_id(held)

    def _names_a_record(self, field: str) -> bool:
        return field in self._parents or (field == self._target.external_id and self._fold_case)
