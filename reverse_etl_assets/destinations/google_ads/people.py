"""A person as Google Ads knows one: hashed identifiers and consent, from the fields of a row. All pure.

Values are normalised as Google's own formatter (google-ads-datamanager-util 0.4.0) does it, and as "Format user data"
asks (Data Manager API guide, 2026-02-17), then hashed: SHA-256, in lower-case hex. No plain e-mail address, telephone
number or name leaves this module. What is a hash already goes out as it is.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import phonenumbers

from reverse_etl_assets.records import Operation, Record

MOST_IDENTIFIERS = 10
"""User identifiers of one audience member ("Limits and quotas", Data Manager API guide, 2026-02-17)."""
ADDRESS = ("given_name", "family_name", "region_code", "postal_code")
"""An address counts only if it is whole (`AddressInfo`, Data Manager API v1 reference)."""
CONSENT = ("ad_user_data", "ad_personalization")

_EMAIL = re.compile(r"email(_\d+)?")
_PHONE = re.compile(r"phone(_\d+)?")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_IGNORES_DOTS = ("gmail.com", "googlemail.com")
_GIVEN = {True: "CONSENT_GRANTED", "granted": "CONSENT_GRANTED", "consent_granted": "CONSENT_GRANTED"}
_DENIED = {False: "CONSENT_DENIED", "denied": "CONSENT_DENIED", "consent_denied": "CONSENT_DENIED"}
_CONSENT: Mapping[Any, str] = {**_GIVEN, **_DENIED}

Identifier = dict[str, Any]
Member = dict[str, Any]


class InvalidValue(ValueError):
    """A row that is no audience member. The message says what is wrong with it, and never a value."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class People:
    """Makes audience members of rows. `phone_region` is where numbers without an international prefix are."""

    phone_region: str | None = None

    def member(self, operation: Operation, record: Record) -> Member:
        """The row as an `AudienceMember`. Raises InvalidValue.

        Who is to be removed is named by all that was ever uploaded of them, which is the record's id.
        """
        if operation is Operation.DELETE:
            identifiers = _merged(unpacked(record.destination_id), list(self._identifiers(record.fields)))
            if not identifiers:
                raise InvalidValue("nothing is known that was uploaded for this row, so nobody can be removed for it.")
            return {"userData": {"userIdentifiers": identifiers}}
        identifiers = list(self._identifiers(record.fields))
        if not identifiers:
            raise InvalidValue("has no identifier: e-mail address, telephone number and whole address are all empty.")
        consent = {_camel(name): _consent(name, record.fields.get(name)) for name in CONSENT}
        member: Member = {"userData": {"userIdentifiers": identifiers}}
        if given := {name: status for name, status in consent.items() if status}:
            member["consent"] = given
        return member

    def _identifiers(self, fields: Mapping[str, Any]) -> Iterator[Identifier]:
        """Each identifier that has a value, hashed, in the order of the fields. Raises InvalidValue."""
        for name, value in fields.items():
            if _EMAIL.fullmatch(name) and (hashed := _hashed(name, value, email)):
                yield {"emailAddress": hashed}
            elif _PHONE.fullmatch(name) and (hashed := _hashed(name, value, self._phone)):
                yield {"phoneNumber": hashed}
        if address := _address(fields):
            yield {"address": address}

    def _phone(self, text: str) -> str:
        return phone(text, self.phone_region)


def is_address(field: str) -> bool:
    return bool(_EMAIL.fullmatch(field))


def is_identifier(field: str) -> bool:
    return bool(_EMAIL.fullmatch(field) or _PHONE.fullmatch(field)) or field in ADDRESS


def email(text: str) -> str:
    """Trimmed and in lower case; Gmail addresses without dots and `+tag`. Raises ValueError."""
    plain = text.strip().lower()
    name, _, domain = plain.partition("@")
    if not name or not domain or "@" in domain or re.search(r"\s", plain):
        raise ValueError("is not an e-mail address.")
    if domain in _IGNORES_DOTS:
        name = name.partition("+")[0].replace(".", "")
        if not name:
            raise ValueError("is not an e-mail address: nothing is left of it without dots and `+tag`.")
    return f"{name}@{domain}"


def phone(text: str, region: str | None = None) -> str:
    """E.164 (`+41446681800`). Raises ValueError; Google would take a number without its country for another one."""
    plain = re.sub(r"^\s*00", "+", text)
    if region is None and not plain.strip().startswith("+"):
        raise ValueError("has no international prefix (`+41`), and the options name no `phone_region`.")
    try:
        number = phonenumbers.parse(plain, region)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a telephone number.") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("is not a telephone number: it is too long or too short for its country.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def name(text: str) -> str:
    return text.strip().lower()


def region_code(text: str) -> str:
    """Raises ValueError."""
    plain = text.strip().upper()
    if len(plain) != 2:
        raise ValueError("is not a country code of two letters (ISO 3166-1 alpha-2), such as `CH`.")
    return plain


def _address(fields: Mapping[str, Any]) -> dict[str, str] | None:
    """The address with hashed names, if all four parts have a value; region and postal code are not hashed."""
    if any(_text(part, fields.get(part)) is None for part in ADDRESS):
        return None
    return {
        "givenName": _hashed("given_name", fields["given_name"], name) or "",
        "familyName": _hashed("family_name", fields["family_name"], name) or "",
        "regionCode": _plain("region_code", fields["region_code"], region_code),
        "postalCode": _plain("postal_code", fields["postal_code"], str.strip),
    }


def _hashed(field: str, value: Any, normalise: Callable[[str], str]) -> str | None:
    """The hash of a value, None for NULL and a blank text. Raises InvalidValue."""
    text = _text(field, value)
    if text is None:
        return None
    if _HASH.fullmatch(text.strip()):
        return text.strip().lower()
    return hashlib.sha256(_plain(field, text, normalise).encode()).hexdigest()


def _plain(field: str, text: Any, normalise: Callable[[str], str]) -> str:
    try:
        return normalise(str(text))
    except ValueError as error:
        raise InvalidValue(f"`{field}` {error}", field) from None


def _text(field: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool | float | list | dict):
        raise InvalidValue(f"`{field}` is not a text.", field)
    return str(value) if str(value).strip() else None


def _consent(field: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    status = _CONSENT.get(value.strip().lower() if isinstance(value, str) else value)
    if status is None:
        raise InvalidValue(f"`{field}` has to be true or false, `granted` or `denied`.", field)
    return status


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(part.title() for part in rest)


# What was uploaded, as the id of a record

_LETTERS = {"emailAddress": "e", "phoneNumber": "p"}
_NAMES = {letter: key for key, letter in _LETTERS.items()}
_PARTS = tuple(_camel(part) for part in ADDRESS)


def packed(record: Record, member: Member) -> str:
    """All that was uploaded for a row, now and, as far as there is room, before: `e:<hash> a:<hash>:<hash>:CH:8001`.

    Who is removed later is removed by all of it, also by an address that the row does not have any more.
    """
    identifiers = _merged(member["userData"]["userIdentifiers"], unpacked(record.destination_id))
    return " ".join(_packed(identifier) for identifier in identifiers)


def _packed(identifier: Identifier) -> str:
    [(key, value)] = identifier.items()
    if key == "address":
        return ":".join(["a", *(quote(value[part], safe="") for part in _PARTS)])  # `SW1A 1AA` has a space in it
    return f"{_LETTERS[key]}:{value}"


def unpacked(destination_id: str | None) -> list[Identifier]:
    """The identifiers of a record's id; none for an id that this module has not made."""
    return [each for text in (destination_id or "").split(" ") if (each := _unpacked(text))]


def _unpacked(text: str) -> Identifier | None:
    letter, *parts = text.split(":")
    if letter == "a" and len(parts) == len(_PARTS):
        return {"address": dict(zip(_PARTS, map(unquote, parts), strict=True))}
    if letter in _NAMES and len(parts) == 1 and _HASH.fullmatch(parts[0]):
        return {_NAMES[letter]: parts[0]}
    return None


def _merged(first: list[Identifier], then: list[Identifier]) -> list[Identifier]:
    merged = [*first, *(each for each in then if each not in first)]
    return merged[:MOST_IDENTIFIERS]
