"""A row as Meta matches people by it: one cell for each key of the schema, normalised and hashed. Pure.

Rules: "Customer File Custom Audiences" (28 April 2026), sections "Hashing and normalization for multi-key" and
"Hashing", and "Customer Information Parameters" of the Conversions API. They are not the rules of other platforms:
dots and `+tag` of an address stay, a telephone number has no `+`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import phonenumbers

from reverse_etl_assets.records import FieldType, Record

KEYS = ("EMAIL", "PHONE", "MADID", "EXTERN_ID")
"""Each names a person alone, so that it can be what records are matched by, and removed by."""
IDENTIFYING = frozenset({*KEYS, "FN", "LN"})
"""Without one of these there is nobody to look for."""
VALUE = "LOOKALIKE_VALUE"
LIMITED_USE = "DATA_PROCESSING_OPTIONS"
LIMITED_WHERE = frozenset({f"{LIMITED_USE}_COUNTRY", f"{LIMITED_USE}_STATE"})

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_TEXTS = frozenset({FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL})
_NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT})

Cell = str | int | Decimal | float | list[str]


class InvalidValue(ValueError):
    """A value that cannot be normalised, or a row without anybody. The message never holds a value."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(f"`{field}` {message}" if field else message)
        self.field = field


def cells(schema: Sequence[str], record: Record, key: str, region: str | None) -> list[Cell]:
    """One cell for each name of the schema; a value that is not there is an empty text.

    `key` is the name that holds the external id; `region` is where telephone numbers without an international prefix
    are, unless the row's COUNTRY says so. Raises InvalidValue.
    """
    values = {key: record.external_id, **record.fields}
    at = _country_of(values.get("COUNTRY")) or region
    made = [_cell(name, values.get(name), at) for name in schema]
    if not any(cell for name, cell in zip(schema, made, strict=True) if name in IDENTIFYING):
        names = ", ".join(name for name in schema if name in IDENTIFYING)
        raise InvalidValue(f"the row has no value in {names}: there is nobody to look for.")
    return made


def _cell(name: str, value: Any, region: str | None) -> Cell:
    if name == LIMITED_USE:
        return ["LDU"] if value is True else []
    if name in LIMITED_WHERE or name == VALUE:
        return 0 if value is None else value  # 0 lets Meta find out where the person is
    try:
        text = _text(value)
        if not text or name in ("EXTERN_ID", "MADID"):
            return text.lower() if name == "MADID" else text
        if _HASH.fullmatch(text):
            return text.lower()  # it was hashed before, by a `transform` or in the model
        plain = _number(text, region) if name == "PHONE" else _NORMALISE[name](text)
    except ValueError as error:
        raise InvalidValue(str(error), name) from None
    return hashlib.sha256(plain.encode()).hexdigest() if plain else ""


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool():
            raise ValueError("is not a text.")
        case int() | Decimal():
            return format(value, "f") if isinstance(value, Decimal) else str(value)
    raise ValueError("is not a text.")


def _email(text: str) -> str:
    plain = text.lower()
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", plain):
        raise ValueError("is not an e-mail address.")
    return plain


def _number(text: str, region: str | None) -> str:
    """Country and number, digits only, without leading zeros."""
    if region is None and not text.startswith("+"):
        raise ValueError(
            "has no international prefix (`+41`), and neither COUNTRY nor the option `region` says which country it is."
        )
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a telephone number.") from None
    if not phonenumbers.is_valid_number(number):
        raise ValueError("is not a telephone number that can be in use.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _name(text: str) -> str:
    """In lower case, without punctuation; letters of all scripts stay, in composed form."""
    letters = "".join(each for each in text.lower() if not unicodedata.category(each).startswith("P"))
    return unicodedata.normalize("NFC", " ".join(letters.split()))


def _initial(text: str) -> str:
    return _name(text)[:1]


def _place(text: str) -> str:
    """`a` to `z` alone, an accent taken off its letter; of a name in another script nothing is left."""
    apart = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss"))
    return re.sub(r"[^a-z]", "", apart)


def _postcode(text: str) -> str:
    plain = re.sub(r"[\s-]", "", text.lower())
    return plain[:5] if re.fullmatch(r"\d{5}\s*-?\s*\d{4}", text) else plain  # ZIP+4 of the United States


def _country(text: str) -> str:
    if code := _country_of(text):
        return code.lower()
    raise ValueError("is not a country code of two letters (ISO 3166-1 alpha-2).")


def _country_of(value: Any) -> str | None:
    text = value.strip().upper() if isinstance(value, str) else ""
    return text if re.fullmatch(r"[A-Z]{2}", text) else None


def _gender(text: str) -> str:
    """Meta knows `m` and `f`; of any other word nothing is sent."""
    word = text.lower()
    return word[0] if word in ("m", "male", "f", "female") else ""


def _part_of_date(place: int, low: int, high: int, digits: int) -> Callable[[str], str]:
    """From a number, or from a date's part at that place."""

    def part(text: str) -> str:
        date = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text)
        number = date.group(place) if date else text
        if not re.fullmatch(r"\d{1,4}", number) or not low <= int(number) <= high:
            raise ValueError(f"is neither a date nor a number from {low} to {high}.")
        return f"{int(number):0{digits}}"

    return part


_NORMALISE: Mapping[str, Callable[[str], str]] = {
    "EMAIL": _email,
    "FN": _name,
    "LN": _name,
    "FI": _initial,
    "GEN": _gender,
    "DOBY": _part_of_date(1, 1900, 2100, 4),
    "DOBM": _part_of_date(2, 1, 12, 2),
    "DOBD": _part_of_date(3, 1, 31, 2),
    "CT": _place,
    "ST": _place,
    "ZIP": _postcode,
    "COUNTRY": _country,
}

ACCEPTS: Mapping[str, frozenset[FieldType]] = {
    **dict.fromkeys(("EMAIL", "FN", "LN", "FI", "GEN", "CT", "ST", "COUNTRY", "MADID"), frozenset({FieldType.TEXT})),
    **dict.fromkeys(("PHONE", "EXTERN_ID", "ZIP"), _TEXTS),
    **dict.fromkeys(("DOBY", "DOBM", "DOBD"), _TEXTS | {FieldType.DATE}),
    **dict.fromkeys(LIMITED_WHERE, frozenset({FieldType.INTEGER})),
    LIMITED_USE: frozenset({FieldType.BOOLEAN}),
    VALUE: _NUMBERS,
}
"""Every name that a schema may have, and what a model may send for it."""
