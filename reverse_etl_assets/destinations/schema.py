"""Does a sync fit the fields of its object? What is wrong, all of it, and what would be right."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from reverse_etl_assets.destinations.values import NUMBERS, plain_text
from reverse_etl_assets.records import FieldType, Operation, Target

CREATES = frozenset({Operation.INSERT, Operation.UPSERT})
AS_TEXT = "as_text"
"""What a check learned: fields of text that get something else. No field has such a name: they have a dot."""
CHANGES = frozenset({Operation.UPDATE, Operation.UPSERT})


_SHOWN = 10
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


def field_problems(target: Target, fields: Mapping[str, Field], accepts: Accepts) -> Iterator[str]:
    """One sentence for each mapped field that does not exist, cannot be written, or is of another type."""
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


def into_text(target: Target, fields: Mapping[str, Field], texts: Collection[str]) -> list[str]:
    """The fields of one of the types `texts` that get no text: what is sent there has to be written as one.

    The external id is among them if it is such a field and the model's key is none of text.
    """
    sent = {target.external_id: target.key_type, **target.fields}
    return sorted(
        name
        for name, kind in sent.items()
        if kind is not FieldType.TEXT and name in fields and fields[name].type in texts
    )


def told_as_text(target: Target, names: Collection[str]) -> Target:
    """The target as its values travel: the fields that get something else as text are fields of text."""
    text = dict.fromkeys(names, FieldType.TEXT)
    key_type = FieldType.TEXT if target.external_id in text else target.key_type
    return replace(
        target, fields={name: text.get(name, kind) for name, kind in target.fields.items()}, key_type=key_type
    )


def with_texts(fields: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """A record's fields with some of the values written as text: `true`, `12.50`."""
    if not names:
        return fields
    return {name: plain_text(value) if name in names and value is not None else value for name, value in fields.items()}


def sends(target: Target, field: str, sent: FieldType) -> str:
    """`column `score` sends text`, for the sentence on a type that does not fit."""
    column = target.columns.get(field)
    return f"column `{column}` sends {sent.value}" if column else f"the model sends {sent.value}"


def _type_problems(target: Target, field: Field, sent: FieldType, accepts: Accepts) -> Iterator[str]:
    if field.type not in accepts[sent]:
        right = [other.value for other in FieldType if field.type in accepts[other]]
        mend = f"cast the column to {' or '.join(right)}" if right else "no column can fill it"
        yield f"Field `{field.name}` is of type {field.type}, and {sends(target, field.name, sent)}: {mend}."
    elif field.choices and not any(_may_be(sent, each) for each in field.choices):
        shown = ", ".join(field.choices[:_SHOWN]) + (", ..." if len(field.choices) > _SHOWN else "")
        yield (
            f"Field `{field.name}` is of type {field.type}, {sends(target, field.name, sent)}, and none of its options"
            f" is one ({shown}): send one of them."
        )


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
