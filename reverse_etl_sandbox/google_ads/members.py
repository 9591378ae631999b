"""Requests of the Data Manager API about audience members: their JSON, what is refused in them, and who is in a list.

Sources: `IngestAudienceMembersRequest`, `UserIdentifier`, `ErrorReason` (API reference v1); "Send audience members" and
"Understand API errors" (guides), from which the paths in `fieldViolations` are. Like any JSON of protocol buffers,
requests may use either spelling of a name, and names or numbers of enums.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reverse_etl_sandbox.google_ads.errors import Json, Violation

_ENUMS: dict[str, list[str]] = {
    "accountType": ["ACCOUNT_TYPE_UNSPECIFIED", "GOOGLE_ADS", "DISPLAY_VIDEO_PARTNER", "DISPLAY_VIDEO_ADVERTISER"],
    "adUserData": ["CONSENT_STATUS_UNSPECIFIED", "CONSENT_GRANTED", "CONSENT_DENIED"],
    "adPersonalization": ["CONSENT_STATUS_UNSPECIFIED", "CONSENT_GRANTED", "CONSENT_DENIED"],
    "encoding": ["ENCODING_UNSPECIFIED", "HEX", "BASE64"],
    "customerMatchTermsOfServiceStatus": ["TERMS_OF_SERVICE_STATUS_UNSPECIFIED", "ACCEPTED", "REJECTED"],
}
_CONSENT: Json = {"adUserData": str, "adPersonalization": str}
_ACCOUNT: Json = {"accountId": str, "accountType": str}
_ADDRESS: Json = dict.fromkeys(("givenName", "familyName", "regionCode", "postalCode"), str)
_MEMBER: Json = {
    "destinationReferences": [str],
    "consent": _CONSENT,
    "userData": {"userIdentifiers": [{"emailAddress": str, "phoneNumber": str, "address": _ADDRESS}]},
}
_DESTINATION: Json = {
    "reference": str,
    "operatingAccount": _ACCOUNT,
    "loginAccount": _ACCOUNT,
    "linkedAccount": _ACCOUNT,
    "productDestinationId": str,
}
_COMMON: Json = {"destinations": [_DESTINATION], "validateOnly": bool}
BODIES: dict[str, Json] = {
    "remove": {**_COMMON, "audienceMembers": [_MEMBER], "encoding": str},
    "removeAll": {**_COMMON, "removeAsOfTime": str},
    "ingest": {
        **_COMMON,
        "audienceMembers": [_MEMBER],
        "encoding": str,
        "consent": _CONSENT,
        "termsOfService": {"customerMatchTermsOfServiceStatus": str},
    },
}
_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_HEX = re.compile(r"([0-9a-f]{2})+", re.IGNORECASE)
_US_POSTAL = re.compile(r"\d{5}(-?\d{4})?")


class Malformed(ValueError):
    """A body that is no request; the message is what Google says of it."""


def read(body: Any, shape: Any, path: str = "") -> Any:
    """The body with the names of the JSON spelling. Raises Malformed for what the request does not have."""
    if isinstance(shape, dict):
        if not isinstance(body, dict):
            raise Malformed(f"Invalid value at '{path}', expected an object")
        return {name: read(value, *_place(name, shape, path)) for name, value in _named(body, shape, path).items()}
    if isinstance(shape, list):
        if not isinstance(body, list):
            raise Malformed(f"Invalid value at '{path}', expected a list")
        return [read(value, shape[0], f"{path}[{at}]") for at, value in enumerate(body)]
    names = _ENUMS.get(path.rpartition(".")[2])
    if names and isinstance(body, int) and 0 <= body < len(names):
        body = names[body]
    if not isinstance(body, shape) or (names and body not in names):
        raise Malformed(f"Invalid value at '{path}'")
    return body


def _place(name: str, shape: Json, path: str) -> tuple[Any, str]:
    return shape[name], f"{path}.{name}" if path else name


def _named(body: Json, shape: Json, path: str) -> Json:
    found = {}
    for name, value in body.items():
        head, *rest = name.split("_")
        spelt = head + "".join(part.title() for part in rest)
        if spelt not in shape:
            raise Malformed(f"Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field.")
        if value is not None:
            found[spelt] = value
    return found


def identifiers(member: Json) -> list[Json]:
    found: list[Json] = member.get("userData", {}).get("userIdentifiers", [])
    return found


def known_by(identifier: Json) -> str:
    """An identifier as one text."""
    if "address" in identifier:
        return "|".join(["address", *(identifier["address"].get(part, "") for part in _ADDRESS)])
    return "|".join(next(iter(identifier.items()), ("", "")))


def violations(members: list[Json]) -> Iterator[tuple[int, Violation]]:
    """What is wrong with members, and at which place each is."""
    for at, member in enumerate(members):
        place = f"audience_members.audience_members[{at}]"
        found = identifiers(member)
        if not found:
            yield (
                at,
                Violation(f"{place}.user_data.user_identifiers", "REQUIRED_FIELD_MISSING", "At least one is required."),
            )
        if len(found) > 10:
            yield at, Violation(f"{place}.user_data.user_identifiers", "TOO_MANY_USER_IDENTIFIERS", "At most 10.")
        for number, identifier in enumerate(found):
            where = f"{place}.user_data.user_identifiers[{number}]"
            yield from ((at, each) for each in _wrong(identifier, place, where))


def _wrong(identifier: Json, place: str, where: str) -> Iterator[Violation]:
    if len(identifier) != 1:
        yield Violation(where, "INVALID_AUDIENCE_MEMBER", "Exactly one identifier is required.")
        return
    address = identifier.get("address")
    hashed = [address.get("givenName", ""), address.get("familyName", "")] if address else list(identifier.values())
    if address is not None and len([value for value in address.values() if value]) < len(_ADDRESS):
        yield Violation(f"{where}.address", "REQUIRED_FIELD_MISSING", "Required field is missing.")
        return
    for value in hashed:
        if not _HEX.fullmatch(value):
            yield Violation(f"{place}.user_data.user_identifiers", "INVALID_HEX_ENCODING", "It is not hex encoded.")
        elif not _SHA256.fullmatch(value):
            yield Violation(place, "INVALID_SHA256_FORMAT")
    if address is not None and len(address["regionCode"]) != 2:
        yield Violation(f"{where}.address.region_code", "INVALID_REGION_CODE", "The region code is not valid.")
    if address is not None and address["regionCode"] == "US" and not _US_POSTAL.fullmatch(address["postalCode"]):
        yield Violation(f"{where}.address.postal_code", "INVALID_POSTAL_CODE", "Postal code is not valid.")
