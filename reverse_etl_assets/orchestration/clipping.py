"""Cuts vendors' words to a size that the event log can carry."""


def clip(text: str | None, size: int) -> str:
    """At most about `size` bytes as JSON, where a character may take twelve; a cut is marked."""
    text = text or ""
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
