"""Values that leave as hashes, normalised first, as ad platforms ask for them. Pure.

Vendors agree on SHA-256 in lower-case hex of UTF-8, and on most of what comes before it. Where they do not, this is the
plain form that both sides' matching starts from; a vendor whose own form differs gives it in its destination.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from reverse_etl_assets.spec.mapped_field import Transform
from reverse_etl_assets.spec.sync import Sync


class InvalidValue(ValueError):
    """A value that cannot be normalised. The message says what is wrong with it, and never the value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"`{field}` {message}")
        self.field = field
        self.message = message


def transformed(sync: Sync, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A row's fields as they go out. Raises InvalidValue for the first value that cannot be normalised."""
    going = dict(fields)
    for field, source in sync.mapping.items():
        if source.transform and field in going:
            try:
                going[field] = transform(source.transform, going[field], source.region)
            except ValueError as error:
                raise InvalidValue(field, str(error)) from None
    return going


def transform(kind: Transform, value: Any, region: str | None = None) -> str | None:
    """The hash of a value, normalised; None for NULL and for a text of which nothing is left.

    `region` (ISO 3166-1 alpha-2) is where telephone numbers without an international prefix are. Raises ValueError,
    without the value in its message, if it is not what its kind says.
    """
    if value is None:
        return None
    plain = _NORMALISE[kind](_text(value), region)
    return hashlib.sha256(plain.encode()).hexdigest() if plain else None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):  # a telephone number in a column of numbers
        return str(value)
    raise ValueError("is not a text.")


def _email(text: str, region: str | None) -> str:
    """Trimmed and in lower case. Dots and `+tag` stay: Meta keeps them for every address, while Google's own formatter
    (google-ads-data-manager) takes them out of gmail.com and googlemail.com addresses."""
    plain = text.strip().lower()
    if plain and not re.fullmatch(r"[^\s@]+@[^\s@]+", plain):
        raise ValueError("is not an e-mail address.")
    return plain


def _phone(text: str, region: str | None) -> str:
    """E.164: `+`, country and number, digits only. Meta's own guide leaves the `+` out."""
    import phonenumbers  # only who sends telephone numbers waits for it

    if not text.strip():
        return ""
    if region is None and not text.strip().startswith("+"):
        raise ValueError("has no international prefix (`+41`), and the mapping names no `region`.")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a telephone number.") from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError("is not a telephone number that can be in use.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _name(text: str, region: str | None) -> str:
    """In lower case and composed form (NFC), without punctuation, each gap one space; letters of all scripts stay."""
    letters = "".join(each for each in text.lower() if not unicodedata.category(each).startswith("P"))
    return " ".join(unicodedata.normalize("NFC", letters).split())


_NORMALISE: Mapping[Transform, Callable[[str, str | None], str]] = {
    Transform.SHA256_EMAIL: _email,
    Transform.SHA256_PHONE: _phone,
    Transform.SHA256_NAME: _name,
}
