"""Records as Zendesk holds them: how to ask for many, what they hold, and when a value is ours."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from reverse_etl_assets.destinations.values import same_value
from reverse_etl_assets.destinations.zendesk import fields as zendesk_fields
from reverse_etl_assets.records import Current, FieldType, Target

LONGEST_LIST = 7_000
"""Bytes of ids in one URL. Zendesk publishes no limit; servers usually end at 8,000 for the whole line."""


def lists(ids: Sequence[str]) -> Iterator[str]:
    """The ids, with commas between, in as many texts as URLs need."""
    text = ""
    for each in ids:
        if text and len(text.encode()) + len(each.encode()) > LONGEST_LIST:
            yield text
            text = ""
        text = f"{text},{each}" if text else each
    if text:
        yield text


def current(target: Target, held: Mapping[str, Any]) -> Current:
    changed_at = held.get("updated_at")
    at = datetime.fromisoformat(changed_at).astimezone(UTC) if changed_at else None
    return Current(str(held["id"]), zendesk_fields.flat(target, held), at)


def same(target: Target, field: str, sent: Any, held: Any) -> bool:
    """Zendesk keeps tags in lower case and in its own order, and takes external ids of any case for one.

    A user keeps every address: what is sent later is added, the first one stays and is the one that is told ("Users",
    Zendesk's API reference). So an address that NULL was sent for is as it should be, and a new one shows as different.
    """
    if field == "email" and sent is None and target.object == "users":
        return True
    if sent == held or same_value(target.fields.get(field, FieldType.TEXT), sent, held):
        return True
    if isinstance(sent, list) and isinstance(held, list | None):
        return {str(each).lower() for each in sent} == {str(each).lower() for each in held or ()}
    return field == target.external_id and str(sent).lower() == str(held).lower()
