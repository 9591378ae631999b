"""Keys in SOQL: how they are written, and when two of them are the same."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from urllib.parse import quote

from reverse_etl_assets.destinations.values import key_value, number_text
from reverse_etl_assets.records import FieldType, Target

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})


def queries(
    target: Target, keys: Iterable[str], room: int, more: Iterable[str] = (), *, key: str | None = None
) -> Iterator[str]:
    """SELECTs of Id, key and `more` that together name all the keys; each fits in `room` bytes of a URL.

    The key is the target's external id, or `Id`.
    """
    target = target if key is None else replace(target, external_id=key, key_type=FieldType.TEXT)
    key = target.external_id
    columns = {name.lower(): name for name in ("Id", key, *more)}  # the same field twice is refused
    start = f"SELECT {','.join(columns.values())} FROM {target.object} WHERE {key} IN ("
    room -= len(quote(start))
    literals: list[str] = []
    used = 0
    for each in keys:
        written = literal(target, each)
        size = len(quote(written, safe="")) + len("%2C")
        if literals and used + size > room:
            yield f"{start}{','.join(literals)})"
            literals, used = [], 0
        literals.append(written)
        used += size
    if literals:
        yield f"{start}{','.join(literals)})"


def literal(target: Target, key: str) -> str:
    """A key as a SOQL literal ("Quoted String Escape Sequences", SOQL and SOSL Reference)."""
    value = key_value(target.key_type, key)
    return f"'{value.translate(_ESCAPES)}'" if isinstance(value, str) else number_text(value)


def comparable(target: Target, key: str, *, case_sensitive: bool) -> str:
    """Equal for two keys that Salesforce takes for one."""
    if target.external_id == "Id":
        return same_id(key)
    value = key_value(target.key_type, key)
    if isinstance(value, Decimal):
        return number_text(value.normalize())
    return value if case_sensitive else value.lower()


def same_id(key: str) -> str:
    """The 15 characters of an Id; its form of 18 repeats them, made safe for programs that ignore case."""
    return key[:15]
