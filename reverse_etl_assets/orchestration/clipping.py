"""Cuts vendors' words to a size that the event log can carry."""

from reverse_etl_assets.visible_text import visible


def clip(text: str | None, size: int) -> str:
    """At most about `size` bytes as JSON, where a character may take twelve; a cut is marked. What would do something
    to a terminal or a page is made visible."""
    text = visible(text or "")
    used = 0
    for place, character in enumerate(text):
        used += _json_bytes(character)
        if used > size:
            return f"{text[:place]}… ({len(text):,} characters)"
    return text


def _json_bytes(character: str) -> int:
    if character in '"\\\n\r\t':
        return 2
    if " " <= character <= "~":
        return 1
    return 12 if character > "\uffff" else 6
