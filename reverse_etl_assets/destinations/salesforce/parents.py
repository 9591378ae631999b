"""Lookup fields filled by the parent's external id: `Account.External_Id__c` in the mapping, instead of `AccountId`.

"Upsert Records and Associate with an External ID" (REST API Developer Guide); Bulk API 2.0 takes the dotted name as a
column ("Relationship Fields in a Header Row").
"""

from collections.abc import Iterable, Mapping
from typing import Any

from reverse_etl_assets.destinations.schema import nearest
from reverse_etl_assets.destinations.values import plain_text


def dotted(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The names that mean a parent's field, each with the relationship and the field."""
    return {name: (left, right) for name in names for left, dot, right in [name.partition(".")] if dot}


def nest(values: dict[str, Any], parents: Mapping[str, tuple[str, str]]) -> None:
    """Replace dotted names as a request body wants them."""
    to_lookups(values, parents)
    for name, (relationship, field) in parents.items():
        if name in values:
            values[relationship] = {field: values.pop(name)}


def to_lookups(values: dict[str, Any], parents: Mapping[str, tuple[str, str]]) -> None:
    """Write into the lookup field itself what no key can say: no parent, or one that was `held` without a key."""
    for name, (relationship, _) in parents.items():
        value = values.get(name)
        if name in values and (value is None or isinstance(value, Mapping)):
            values[lookup_field(relationship)] = None if value is None else value["Id"]
            del values[name]


def key_text(value: Any) -> Any:
    """A parent's key as text; one that was `held` without a key stays as it is."""
    return value if isinstance(value, Mapping) else plain_text(value)


def held(row: Mapping[str, Any], relationship: str, field: str) -> Any:
    """The parent of a row as its key, or as `{"Id": ...}` where somebody chose a parent that has no key."""
    key = (row.get(relationship) or {}).get(field)
    parent = row.get(lookup_field(relationship))
    return {"Id": parent} if key is None and parent is not None else key


def lookup_field(relationship: str) -> str:
    """`AccountId` for `Account`, `Plan__c` for `Plan__r`."""
    return f"{relationship[:-1]}c" if relationship.endswith("__r") else f"{relationship}Id"


def lookups(describe: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The lookup fields of an object by the name of their relationship."""
    return {field["relationshipName"]: field for field in describe["fields"] if field.get("relationshipName")}


def parent_object(describe: Mapping[str, Any], relationship: str) -> str:
    """The object on the other side. Raises ValueError with what is wrong."""
    known = lookups(describe)
    if relationship not in known:
        raise ValueError(f"`{describe['name']}` has no relationship `{relationship}`{nearest(relationship, known)}.")
    objects = known[relationship].get("referenceTo") or []
    if len(objects) != 1:
        raise ValueError(
            f"`{relationship}` of `{describe['name']}` may be a {' or a '.join(objects)}, and Salesforce finds a parent"
            f" of several objects by no key: map `{lookup_field(relationship)}` to a column with the parent's Id."
        )
    return str(objects[0])


def as_own_field(lookup: Mapping[str, Any], parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A parent's key as a field of the child: written like the lookup, of the key's type. Raises ValueError."""
    wanted = name.partition(".")[2]
    keys = {field["name"]: field for field in parent["fields"] if field.get("externalId") or field.get("idLookup")}
    if wanted not in keys:
        right = ", ".join(f"`{key}`" for key in keys)
        raise ValueError(f"`{wanted}` of `{parent['name']}` is no external id: a parent is named by one of {right}.")
    return {**lookup, "name": name, "type": keys[wanted]["type"], "relationshipName": None}
