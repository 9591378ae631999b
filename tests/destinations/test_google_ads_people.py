"""Identifiers as Google's own formatter makes them, and what is refused before it is sent."""

import hashlib
from typing import Any

import phonenumbers
import pytest
from google.ads.datamanager_util import Encoding, Formatter
from hypothesis import given, settings, strategies as st

from reverse_etl_assets.destinations.google_ads.people import InvalidValue, People, packed, unpacked
from reverse_etl_assets.records import Operation
from reverse_etl_assets.testing.builders import record
from tests.heavy import heavy

GOOGLE = Formatter()
PEOPLE = People()
UPSERT, DELETE = Operation.UPSERT, Operation.DELETE
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SPACES = st.text("  \t\n ", max_size=2)
LOCAL = st.text("abcXYZ.+0-_é", max_size=8)
DOMAINS = st.sampled_from(["gmail.com", "GMail.com", "googlemail.com", "example.com", "gmail.com.example", "x", ""])
EMAILS = st.one_of(TEXTS, st.builds("{}{}@{}{}".format, SPACES, LOCAL, DOMAINS, SPACES))


def identifiers(**fields: Any) -> list[dict[str, Any]]:
    """Of the member that is made of a row; none if the row is refused."""
    try:
        member = PEOPLE.member(UPSERT, record("k", **fields))
    except InvalidValue:
        return []
    found: list[dict[str, Any]] = member["userData"]["userIdentifiers"]
    return found


def by_google(process: str, value: str) -> str | None:
    try:
        return str(getattr(GOOGLE, f"process_{process}")(value, Encoding.HEX))
    except ValueError:
        return None


@heavy
@given(EMAILS)
@settings(max_examples=400, deadline=None)
def test_an_address_is_hashed_as_google_hashes_it(email: str) -> None:
    expected = by_google("email_address", email)
    assert identifiers(email=email) == ([{"emailAddress": expected}] if expected else [])


@heavy
@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_names_are_hashed_as_google_hashes_them(given_name: str, family_name: str) -> None:
    rest = {"region_code": " gb ", "postal_code": " SW1A 1AA "}
    expected = by_google("given_name", given_name), by_google("family_name", family_name)
    found = identifiers(given_name=given_name, family_name=family_name, **rest)
    if None in expected:
        assert found == []
    else:
        names = dict(zip(("givenName", "familyName"), expected, strict=True))
        assert found == [{"address": {**names, "regionCode": "GB", "postalCode": "SW1A 1AA"}}]


def test_a_number_of_any_country_is_hashed_as_google_hashes_its_e164_form() -> None:
    formats = phonenumbers.PhoneNumberFormat
    for region in phonenumbers.SUPPORTED_REGIONS:
        number = phonenumbers.example_number(region)
        assert number is not None
        e164 = phonenumbers.format_number(number, formats.E164)
        expected = [{"phoneNumber": by_google("phone_number", e164)}]
        international = phonenumbers.format_number(number, formats.INTERNATIONAL)
        for written in (e164, international, international.replace("+", "00"), international.replace(" ", "-")):
            assert identifiers(phone=written) == expected, region
        national = phonenumbers.format_number(number, formats.NATIONAL)
        at_home = People(region).member(UPSERT, record("k", phone=national))
        assert at_home["userData"]["userIdentifiers"] == expected, region


def test_gmail_ignores_dots_and_tags_and_others_do_not() -> None:
    [gmail] = identifiers(email=" Foo.Bar+x@GMail.com ")
    assert gmail == {"emailAddress": "ec3fe428cd3e33246cc5b36bbc373b06f77edbdde90b5f8fc998e99857ec20c2"}
    [other] = identifiers(email="user.name+NYC@Example.com")
    assert other == {"emailAddress": hashlib.sha256(b"user.name+nyc@example.com").hexdigest()}


def test_a_hash_goes_out_as_it_is() -> None:
    already = hashlib.sha256(b"ann@example.com").hexdigest()
    assert identifiers(email=already.upper()) == identifiers(email="ann@example.com") == [{"emailAddress": already}]


@pytest.mark.parametrize(
    ("fields", "said", "field"),
    [
        ({"email": "+@gmail.com"}, "nothing is left of it", "email"),
        ({"email": "ann example.com"}, "`email` is not an e-mail address", "email"),
        ({"email": "a@b.example", "phone": "8005550100"}, "the options name no `phone_region`", "phone"),
        ({"email": "a@b.example", "phone": "+1 80"}, "too long or too short", "phone"),
        ({"phone": "n/a"}, "no international prefix", "phone"),
        ({"email": " ", "phone": None}, "has no identifier", None),
        ({"given_name": "Ann", "family_name": "Ray", "region_code": "GB", "postal_code": None}, "no identifier", None),
        (
            {"given_name": "Ann", "family_name": "Ray", "region_code": "GBR", "postal_code": "N1"},
            "`region_code` is not a country code of two letters",
            "region_code",
        ),
        ({"email": True}, "`email` is not a text", "email"),
        ({"email": "a@b.example", "ad_user_data": "perhaps"}, "`ad_user_data` has to be true or false", "ad_user_data"),
    ],
)
def test_what_is_refused_is_named_without_its_value(fields: dict[str, Any], said: str, field: str | None) -> None:
    with pytest.raises(InvalidValue) as caught:
        PEOPLE.member(UPSERT, record("k", **fields))
    assert said in str(caught.value)
    assert caught.value.field == field
    values = [value for value in fields.values() if isinstance(value, str) and len(value) > 3]
    assert not [value for value in values if value in str(caught.value)]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (True, "CONSENT_GRANTED"),
        ("Granted", "CONSENT_GRANTED"),
        ("CONSENT_DENIED", "CONSENT_DENIED"),
        (False, "CONSENT_DENIED"),
        (None, None),
    ],
)
def test_consent_of_a_row(value: Any, status: str | None) -> None:
    member = PEOPLE.member(UPSERT, record("k", email="a@b.example", ad_user_data=value))
    assert member.get("consent") == ({"adUserData": status} if status else None)


def test_several_of_a_kind_and_an_address_are_one_member() -> None:
    address = {"given_name": "Ann", "family_name": "Ray", "region_code": "gb", "postal_code": "SW1A 1AA"}
    found = identifiers(email="a@b.example", email_2="c@d.example", phone="+41446681800", phone_2=None, **address)
    assert [next(iter(each)) for each in found] == ["emailAddress", "emailAddress", "phoneNumber", "address"]


def test_who_is_removed_is_named_by_all_that_was_uploaded() -> None:
    home = {"given_name": "Ann", "family_name": "Ray", "region_code": "GB", "postal_code": "SW1A 1AA"}
    first = record("k", email="old@b.example", **home)
    uploaded = packed(first, PEOPLE.member(UPSERT, first))
    second = record("k", email="new@b.example", destination_id=uploaded)
    after = packed(second, PEOPLE.member(UPSERT, second))
    gone = PEOPLE.member(DELETE, record("k", destination_id=after))
    assert gone["userData"]["userIdentifiers"] == unpacked(after)
    assert unpacked(after) == [*identifiers(email="new@b.example"), *identifiers(email="old@b.example", **home)]
    assert "consent" not in gone
    assert "@" not in after


@pytest.mark.parametrize("unknown", [None, "1", "e:1", "x:" + "0" * 64])
def test_nobody_is_removed_by_an_id_that_is_none(unknown: str | None) -> None:
    with pytest.raises(InvalidValue, match="nobody can be removed"):
        PEOPLE.member(DELETE, record("k", destination_id=unknown))
