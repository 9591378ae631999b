"""Text from outside, as it may be shown: a row's value or a vendor's words can hold what moves the cursor, changes a
terminal's title or turns a line around."""

import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed; among them ESC, BEL, CR and CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # of bidirectional text
    "\u200b\u2060\ufeff\u2028\u2029"  # of no width, and line separators
    "\ud800-\udfff]"  # half a character, which cannot be printed
)


def visible(text: str) -> str:
    """Each character that is not seen but does something as its escape: `\\x1b`, `\\u202e`. Tab and line feed stay."""
    return _HIDDEN.sub(lambda found: _escape(found[0], "\\x{:02x}"), text)


def visible_json(text: str) -> str:
    """JSON of the same value, in which none of them stands as it is."""
    return _HIDDEN.sub(lambda found: _escape(found[0], "\\u{:04x}"), text)


def _escape(character: str, short: str) -> str:
    number = ord(character)
    return (short if number < 0x100 else "\\u{:04x}").format(number)
