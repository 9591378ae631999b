"""Does a sync fit a custom audience? What is wrong, all of it, and what would be right. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from reverse_etl_assets.destinations.meta_ads.people import ACCEPTS, IDENTIFYING, KEYS, VALUE
from reverse_etl_assets.destinations.schema import nearest, sends
from reverse_etl_assets.records import FieldType, Target

FIELDS = "name,subtype,operation_status,is_value_based"
REPLACING = 414

_FLAGGED = "and takes no changes: appeal in Audience Manager, or make a new one"
_UNUSABLE = {
    470: "The account that made audience {0} is not active any more: make a new audience, and set `object` to its id.",
    471: f"Meta has flagged audience {{0}} for its policies ({{1}}), {_FLAGGED}.",
    500: "Audience {0} has an error that somebody has to mend in Audience Manager: {1}.",
}
"""By the code of `operation_status` ("Custom Audience", as of September 2026)."""


def target_problems(target: Target) -> Iterator[str]:
    """What can be said without asking Meta."""
    if not target.object.isdecimal():
        yield f"`object: {target.object}` is no id of an audience: write its digits, as Audience Manager shows them."
    if target.external_id not in KEYS:
        names = ", ".join(f"`{name}`" for name in KEYS)
        yield f"`external_id: {target.external_id}` names nobody, so that nobody could be removed by it: use {names}."
    elif target.external_id not in target.fields:
        yield from _type_problems(target, target.external_id, target.key_type)
    for name, sent in target.fields.items():
        if name in ACCEPTS:
            yield from _type_problems(target, name, sent)
        else:
            yield f"Meta's schema has no `{name}`{nearest(name, ACCEPTS)}. Known are {', '.join(ACCEPTS)}."
    if not IDENTIFYING & {target.external_id, *target.fields}:
        yield f"The mapping names nobody: map one of {', '.join(sorted(IDENTIFYING))}."


def _type_problems(target: Target, name: str, sent: FieldType) -> Iterator[str]:
    if sent not in ACCEPTS[name]:
        right = " or ".join(kind.value for kind in FieldType if kind in ACCEPTS[name])
        yield f"`{name}` takes {right}, and {sends(target, name, sent)}: cast the column."


def audience_problems(audience: Mapping[str, Any], target: Target) -> Iterator[str]:
    """What is wrong with the audience as it is now."""
    called = f"`{audience.get('name')}` ({target.object})"
    subtype = audience.get("subtype")
    if subtype != "CUSTOM":
        yield (
            f"Audience {called} is of subtype {subtype}, whose people Meta finds itself: only a customer list"
            " (subtype CUSTOM) takes rows."
        )
    status = status_of(audience)
    if status["code"] in _UNUSABLE:
        yield _UNUSABLE[status["code"]].format(called, str(status.get("description") or "no reason given").rstrip("."))
    if audience.get("is_value_based") is True and VALUE not in target.fields:
        yield f"Audience {called} is based on values: map `{VALUE}`."
    if audience.get("is_value_based") is False and VALUE in target.fields:
        yield f"Audience {called} is not based on values: take `{VALUE}` out of the mapping."


def status_of(audience: Mapping[str, Any]) -> Mapping[str, Any]:
    status = audience.get("operation_status")
    return status if isinstance(status, dict) and "code" in status else {"code": 0}
