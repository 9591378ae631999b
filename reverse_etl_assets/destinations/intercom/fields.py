"""The fields of contacts and companies: which there are, and their values as Intercom takes and tells them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

from reverse_etl_assets.destinations.schema import Field, Forms, TakesForms, field_problems
from reverse_etl_assets.destinations.values import canonical, json_text, same_value
from reverse_etl_assets.records import FieldType, Operation, RowError, Target

STANDARD: Mapping[str, Mapping[str, str]] = {
    "contact": {
        "external_id": "string",
        "email": "email",
        "phone": "phone",
        "name": "string",
        "avatar": "string",
        "signed_up_at": "date",
        "last_seen_at": "date",
        "owner_id": "integer",
        "unsubscribed_from_emails": "boolean",
    },
    "company": {
        "company_id": "string",
        "name": "string",
        "plan": "string",
        "size": "integer",
        "website": "string",
        "industry": "string",
        "monthly_spend": "integer",
        "remote_created_at": "date",
    },
}
"""What can be written beside custom attributes ("Create contact", "Create or update a company", reference 2.15)."""
LONGEST_TEXT = 255
"""Characters of a custom attribute ("Send custom user attributes to Intercom", Intercom's help pages)."""
TYPES: Mapping[FieldType, str] = {
    FieldType.TEXT: "string",
    FieldType.INTEGER: "integer",
    FieldType.DECIMAL: "float",
    FieldType.FLOAT: "float",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.TIMESTAMP: "datetime",
    FieldType.TIME: "string",
    FieldType.JSON: "string",
}
"""The type of a custom attribute that is made for a column ("Create a data attribute", reference 2.15)."""
_WORDS, _TIMES = frozenset({"string"}), frozenset({"date", "datetime"})
ACCEPTS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: _WORDS | {"email", "phone"},
    FieldType.INTEGER: _WORDS | {"integer", "float", "phone"},
    FieldType.DECIMAL: _WORDS | {"float"},
    FieldType.FLOAT: _WORDS | {"float"},
    FieldType.BOOLEAN: _WORDS | {"boolean"},
    FieldType.DATE: _WORDS | _TIMES,
    FieldType.TIMESTAMP: _WORDS | _TIMES,
    FieldType.TIME: _WORDS,
    FieldType.JSON: _WORDS,
}


class Fields(TakesForms):
    """The mapped fields of one target, whose records are matched by `target.external_id`."""

    forms_of_types = Forms(as_text=_WORDS | {"phone"})

    def __init__(self, model: str, target: Target) -> None:
        super().__init__(target)
        self._model = model

    @property
    def _types(self) -> dict[str, FieldType]:
        return {name: kind for name, kind in self.target.fields.items() if name != self.target.external_id}

    # Whether they fit

    def missing(self, attributes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """The mapped fields that Intercom does not have in any spelling, with the type they would be made with."""
        known = {name.lower() for name in self._known(attributes)}
        return {name: TYPES[kind] for name, kind in self._types.items() if name.lower() not in known}

    def problems(self, attributes: Sequence[Mapping[str, Any]], made: Mapping[str, str]) -> Iterator[str]:
        known = self._known(attributes) | {name: Field(name, kind) for name, kind in made.items()}
        sent = {name: kind for name, kind in self.declared.fields.items() if name in self._types}
        yield from field_problems(replace(self.declared, fields=sent), known, ACCEPTS)

    def learn_from(self, attributes: Sequence[Mapping[str, Any]]) -> None:
        self.learn(field for name, field in self._known(attributes).items() if name in self._types)

    def _known(self, attributes: Sequence[Mapping[str, Any]]) -> dict[str, Field]:
        known = {str(each["name"]): self._attribute(each) for each in attributes}
        for name, kind in STANDARD[self._model].items():
            why = ""
            if name == "remote_created_at" and self.target.operations == {Operation.UPDATE}:
                why = "an update of a company does not take it"
            known[name] = Field(name, kind, read_only_because=why)
        return known

    @staticmethod
    def _attribute(raw: Mapping[str, Any]) -> Field:
        why = ""
        if not raw.get("custom"):
            why = "Intercom fills it in"
        elif raw.get("archived"):
            why = "the attribute is archived"
        elif not raw.get("api_writable", True):
            why = "the attribute is not open to the API"
        options = [str(each.get("value") if isinstance(each, dict) else each) for each in raw.get("options") or ()]
        return Field(str(raw["name"]), str(raw.get("data_type")), read_only_because=why, choices=options)

    # Values

    def body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields as a request has them, without the key. Standard ones are at the top, all others below
        `custom_attributes`; null clears, and an empty text is none."""
        top: dict[str, Any] = {}
        custom: dict[str, Any] = {}
        types = self._types
        for name, value in self.in_form(fields).items():
            if name != self.target.external_id:
                place = top if name in STANDARD[self._model] else custom
                place[name] = _sent(types.get(name, FieldType.TEXT), value)
        return top | ({"custom_attributes": custom} if custom else {})

    def filled(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body without its nulls, for a new record: there is nothing to clear, and not every field may be null."""
        custom = {name: value for name, value in body.get("custom_attributes", {}).items() if value is not None}
        top = {name: value for name, value in body.items() if value is not None and name != "custom_attributes"}
        return top | ({"custom_attributes": custom} if custom else {})

    def held(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The target's fields of a contact or company, in a form that can be sent back."""
        custom = record.get("custom_attributes") or {}
        shown = {}
        for name, kind in self.target.fields.items():
            value = record.get(name) if name in STANDARD[self._model] else custom.get(name)
            if isinstance(value, dict):  # a plan is written by its name, and told as an object
                value = value.get("name")
            shown[name] = None if value == "" else _shown(kind, value)
        return shown

    def cut(self, fields: Mapping[str, Any], record: Mapping[str, Any]) -> RowError | None:
        """Whether the answer shows that a long text was not kept whole."""
        custom = record.get("custom_attributes") or {}
        for name, value in fields.items():
            long = isinstance(value, str) and len(value) > LONGEST_TEXT and name not in STANDARD[self._model]
            if long and custom.get(name) != value:
                message = (
                    f"Intercom wrote the row, but did not keep all of `{name}`: it takes {LONGEST_TEXT} characters"
                )
                return RowError(message, "TEXT_CUT", name)
        return None

    def same(self, field: str, sent: Any, held: Any) -> bool:
        """Times are whole seconds, floats are doubles, and telephone numbers are kept without blanks and signs."""
        if sent == held:
            return True
        kind = self.target.fields.get(field, FieldType.TEXT)
        if kind in (FieldType.DATE, FieldType.TIMESTAMP):
            return bool(_sent(kind, sent) == _sent(kind, held))
        if kind is FieldType.DECIMAL:
            kind = FieldType.FLOAT
        if field == "phone" and sent and held:
            return _digits(sent) == _digits(held)
        return same_value(kind, sent, held)


def _sent(kind: FieldType, value: Any) -> Any:
    """Times are seconds since 1970 ("Dates", Intercom's developer documentation); a date is its midnight, UTC."""
    if value is None or value == "":
        return None
    match kind:
        case FieldType.DATE | FieldType.TIMESTAMP:
            return _seconds(value)
        case FieldType.JSON:
            return json_text(value)
    return value


def _seconds(value: Any) -> Any:
    try:
        moment = datetime.fromisoformat(value) if "T" in value else datetime.combine(date.fromisoformat(value), time())
    except (TypeError, ValueError):
        return value  # for Intercom to refuse
    return int((moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp() // 1)


def _shown(kind: FieldType, value: Any) -> Any:
    if kind not in (FieldType.DATE, FieldType.TIMESTAMP) or not isinstance(value, int):
        return value
    text = datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
    return text.removesuffix("T00:00:00Z") if kind is FieldType.DATE else text


def _digits(value: Any) -> str:
    return "".join(filter(str.isdigit, str(canonical(FieldType.TEXT, value))))
