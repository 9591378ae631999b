"""Salesforce record ids: 15 case-sensitive characters, or 18 with a check of the letters' case."""

from __future__ import annotations

from collections.abc import Callable

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def record_id(prefix: str, sequence: int) -> str:
    """An 18-character id: 15 case-sensitive characters and 3 that make it case-insensitive."""
    digits = ""
    for _ in range(9):
        sequence, rest = divmod(sequence, 62)
        digits = _ALPHABET[rest] + digits
    return long_id(f"{prefix}5g0{digits}")


def long_id(short: str) -> str:
    """The 18-character form of a 15-character id."""
    check = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, char in enumerate(short[start : start + 5]) if char.isupper())
        check += _CHECK[bits]
    return short + check


def id_maker(prefix: str) -> Callable[[int], str]:
    return lambda sequence: record_id(prefix, sequence)


def normal_id(value: str) -> str | None:
    """``value`` as an 18-character id, or None if it cannot be one."""
    if not value.isascii() or not value.isalnum():
        return None
    if len(value) == 15:
        return long_id(value)
    return value if len(value) == 18 and long_id(value[:15]) == value else None
