"""Does a sync fit the fields of its object? What is wrong, all of it, and what would be right."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from reverse_etl_assets.records import FieldType, Operation, Target

CREATES = frozenset({Operation.INSERT, Operation.UPSERT})
CHANGES = frozenset({Operation.UPDATE, Operation.UPSERT})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a destination's object. `read_only_because` says why nobody can write it, if nobody can."""

    name: str
    type: str
    creatable: bool = True
    updatable: bool = True
    read_only_because: str = ""


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
            yield from type_problems(field, sent, accepts)
    if target.external_id in fields and target.external_id not in target.fields:
        yield from type_problems(fields[target.external_id], target.key_type, accepts)


def type_problems(field: Field, sent: FieldType, accepts: Accepts) -> Iterator[str]:
    if field.type not in accepts[sent]:
        right = [other.value for other in FieldType if field.type in accepts[other]]
        mend = f"cast the column to {' or '.join(right)}" if right else "no column can fill it"
        yield f"Field `{field.name}` is of type {field.type}, and the model sends {sent.value}: {mend}."


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
