"""Fields of several choices: a list column in the model, one text with semicolons to the vendor.

So are multi-select picklists of Salesforce ("Field Types" of the Object Reference) and multiple checkboxes of HubSpot
("Properties" guide): values are told apart by semicolons alone, and come back in an order of the vendor's.
"""

from collections.abc import Iterable
from typing import Any

from reverse_etl_assets.destinations.values import plain_text
from reverse_etl_assets.records import Record, RowError

_BETWEEN = ";"


def joined(values: Any) -> str:
    """The text of a list; an empty one clears the field."""
    return _BETWEEN.join(map(plain_text, values)) if isinstance(values, list) else plain_text(values)


def divided(value: Any) -> list[str]:
    return [each for each in value.split(_BETWEEN) if each] if isinstance(value, str) else []


def same(sent: Any, held: Any) -> bool:
    """The same values, in whatever order; blanks around one are cut off where it is kept."""
    return set(_listed(sent)) == set(_listed(held))


def unfit(record: Record, names: Iterable[str]) -> RowError | None:
    """Why a list cannot be such a text, if one of the record's fields holds one that cannot."""
    for name in names:
        value = record.fields.get(name)
        if value is None:
            continue
        if not isinstance(value, list) or any(each is None or isinstance(each, list | dict) for each in value):
            return RowError("a field of several choices takes a list of texts, and no NULL in it", field=name)
        if not all(plain_text(each).strip() for each in value):  # an empty one in front adds to what is chosen
            return RowError("a field of several choices takes a list without empty texts in it", field=name)
        if any(_BETWEEN in plain_text(each) for each in value):
            return RowError(f"one of several choices cannot have a `{_BETWEEN}` in it", field=name)
    return None


def _listed(value: Any) -> list[str]:
    return [plain_text(each).strip() for each in value] if isinstance(value, list) else divided(value)
