"""Does a sync fit the fields of its object? What is wrong, all of it, and what would be right."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, ClassVar

from reverse_etl_assets.destinations import choices
from reverse_etl_assets.destinations.values import NUMBERS, plain_text, whole_number
from reverse_etl_assets.records import FieldType, Operation, Target

CREATES = frozenset({Operation.INSERT, Operation.UPSERT})
CHANGES = frozenset({Operation.UPDATE, Operation.UPSERT})


_SHOWN = 10
_FRACTIONS = frozenset({FieldType.DECIMAL, FieldType.FLOAT})
_FORMS = ("as_text", "of_many", "as_integers")
"""What a check keeps of them. No field has such a name where fields are kept beside: those have a dot."""
_READ: Mapping[FieldType, Callable[[str], object]] = {
    **dict.fromkeys(NUMBERS, Decimal),
    FieldType.DATE: date.fromisoformat,
    FieldType.TIMESTAMP: datetime.fromisoformat,
    FieldType.TIME: time.fromisoformat,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a destination's object. `read_only_because` says why nobody can write it, if nobody can; `choices` are
    the values that it takes, if it takes no others."""

    name: str
    type: str
    creatable: bool = True
    updatable: bool = True
    read_only_because: str = ""
    choices: Sequence[str] = ()


Accepts = Mapping[FieldType, frozenset[str]]
"""For what a model sends, the destination's field types that take it."""


_NOTICED: ContextVar[dict[str, Field] | None] = ContextVar("noticed", default=None)


@contextmanager
def noticed() -> Iterator[dict[str, Field]]:
    """The fields of the object that a check within compares with a mapping, by name."""
    found: dict[str, Field] = {}
    token = _NOTICED.set(found)
    try:
        yield found
    finally:
        _NOTICED.reset(token)


def field_problems(target: Target, fields: Mapping[str, Field], accepts: Accepts) -> Iterator[str]:
    """One sentence for each mapped field that does not exist, cannot be written, or is of another type."""
    if (seen := _NOTICED.get()) is not None:
        seen.update(fields)
    for name, sent in target.fields.items():
        field = fields.get(name)
        if field is None:
            yield f"`{target.object}` has no field `{name}`{nearest(name, fields)}."
        elif name != target.external_id and (why := _unwritable(field, target.operations)):
            yield f"Field `{name}` is read-only ({why}): take it out of the mapping."
        else:
            yield from _type_problems(target, field, sent, accepts)
    if target.external_id in fields and target.external_id not in target.fields:
        yield from _type_problems(target, fields[target.external_id], target.key_type, accepts)


@dataclass(frozen=True, slots=True)
class Forms:
    """What takes a value in another form than its column has it: types of fields of a vendor, or fields of a target."""

    as_text: Collection[str] = ()
    """Text: what else is sent there has to be written as one, `true`, `12.50`."""
    of_many: Collection[str] = ()
    """Several choices, told as one text."""
    as_integers: Collection[str] = ()
    """Whole numbers alone, without a point."""

    def of(self, target: Target, fields: Iterable[Field]) -> "Forms":
        """The fields of the target, the external id among them, that are of such a type and get something else."""
        sent = {target.external_id: target.key_type, **target.fields}
        known = [(each.name, each.type, sent[each.name]) for each in fields if each.name in sent]
        return Forms(
            sorted(name for name, kind, column in known if kind in self.as_text and column is not FieldType.TEXT),
            sorted(name for name, kind, _ in known if kind in self.of_many and name in target.fields),
            sorted(name for name, kind, column in known if kind in self.as_integers and column in _FRACTIONS),
        )


class TakesForms:
    """What writes the fields of one target in the forms that a check has found.

    An adapter says of which types of fields that is, calls `learn` at the end of its check, and writes `in_form`.
    """

    forms_of_types: ClassVar[Forms] = Forms()
    """The vendor's types of fields that take values in another form."""

    def __init__(self, target: Target) -> None:
        self.declared = target
        """The target as the sync has it; in `target`, fields that take everything as text are fields of text."""
        self.target = target
        self.forms = Forms()
        self.lists: Collection[str] = ()
        """Fields of several choices that get a list."""
        self.conversions: Mapping[str, Callable[[Any], Any]] = {}

    def learn(self, fields: Iterable[Field]) -> None:
        """What the object's fields say of the forms."""
        self._take(self.forms_of_types.of(self.declared, fields))

    def learned(self) -> Mapping[str, list[str]]:
        """What `check` found out and `send` needs. The engine keeps it, for runs that need no check."""
        found = {name: list(getattr(self.forms, name)) for name in _FORMS}
        return {name: names for name, names in found.items() if names}

    def recall(self, learned: Mapping[str, list[str]]) -> None:
        """What an earlier check of the same target learned, before the first `send`."""
        self._take(Forms(*(learned.get(name, ()) for name in _FORMS)))

    def _take(self, forms: Forms) -> None:
        declared, text = self.declared, dict.fromkeys(forms.as_text, FieldType.TEXT)
        key_type = text.get(declared.external_id, declared.key_type)
        fields = {name: text.get(name, kind) for name, kind in declared.fields.items()}
        self.forms, self.target = forms, replace(declared, fields=fields, key_type=key_type)
        self.lists = [name for name in forms.of_many if declared.fields.get(name) is FieldType.JSON]
        self.conversions = {
            **dict.fromkeys(forms.as_text, plain_text),
            **dict.fromkeys(self.lists, choices.joined),
            **dict.fromkeys(forms.as_integers, whole_number),
        }

    def in_form(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A record's fields as they travel."""
        values = dict(fields)
        for name, convert in self.conversions.items():
            if values.get(name) is not None:
                values[name] = convert(values[name])
        return values


def sends(target: Target, field: str, sent: FieldType) -> str:
    """`column `score` sends text`, for the sentence on a type that does not fit."""
    column = target.columns.get(field)
    return f"column `{column}` sends {sent.value}" if column else f"the model sends {sent.value}"


def _type_problems(target: Target, field: Field, sent: FieldType, accepts: Accepts) -> Iterator[str]:
    if field.type not in accepts[sent]:
        right = [other.value for other in FieldType if field.type in accepts[other]]
        mend = f"cast the column to {' or '.join(right)}" if right else "no column can fill it"
        takes = f" It takes {_shown(field.choices)}." if field.choices else ""
        yield f"Field `{field.name}` is of type {field.type}, and {sends(target, field.name, sent)}: {mend}.{takes}"
    elif field.choices and not any(_may_be(sent, each) for each in field.choices):
        yield (
            f"Field `{field.name}` is of type {field.type}, {sends(target, field.name, sent)}, and none of its options"
            f" is one ({_shown(field.choices)}): send one of them."
        )


def _shown(choices: Sequence[str]) -> str:
    return ", ".join(choices[:_SHOWN]) + (", ..." if len(choices) > _SHOWN else "")


def _may_be(sent: FieldType, choice: str) -> bool:
    """Whether a value of the type may be written like this."""
    if sent is FieldType.BOOLEAN:
        return choice in ("true", "false")
    read = _READ.get(sent)
    try:
        return read is None or read(choice) is not None
    except (ValueError, InvalidOperation):
        return False


def nearest(name: str, known: Iterable[str]) -> str:
    """`; the nearest is ...`, or nothing if no name is near."""
    folded = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f"; the nearest is `{folded[near[0]]}`" if near else ""


def _unwritable(field: Field, operations: frozenset[Operation]) -> str:
    if field.read_only_because:
        return field.read_only_because
    if operations & CREATES and not field.creatable:
        return "it cannot be set on create"
    if operations & CHANGES and not field.updatable:
        return "it cannot be changed after create"
    return ""
