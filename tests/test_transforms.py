"""Hashes that ad platforms know: the vendors' own examples, and values that are none."""

import hashlib
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from reverse_etl_assets.privacy.transforms import InvalidValue, transform, transformed
from reverse_etl_assets.records import FieldType
from reverse_etl_assets.spec.mapped_field import Transform
from reverse_etl_assets.spec.sync import Sync

EMAIL, PHONE, NAME = Transform.SHA256_EMAIL, Transform.SHA256_PHONE, Transform.SHA256_NAME


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_what_the_vendors_make_of_an_address() -> None:
    """Recorded from Meta's business SDK and Google's data manager formatter."""
    assert transform(EMAIL, "Foo@x.com ") == "fe9ea8d6a747106fc7549818016ea51e06ff6d8a55ead43b4806b0c6b828286e"
    googles = "ec3fe428cd3e33246cc5b36bbc373b06f77edbdde90b5f8fc998e99857ec20c2"
    assert transform(EMAIL, "foobar@gmail.com") == googles
    assert transform(EMAIL, " Foo.Bar+x@GMail.com ") == sha256("foo.bar+x@gmail.com") != googles


@pytest.mark.parametrize(
    ("value", "region", "number"),
    [
        ("+1 (800) 555-0100", None, "+18005550100"),
        ("(800) 555-0100", "US", "+18005550100"),
        ("044 668 18 00", "CH", "+41446681800"),
        ("0041 44 668 18 00", "DE", "+41446681800"),
        ("tel:+41-44-668-18-00", "DE", "+41446681800"),
        (446681800, "CH", "+41446681800"),
        (Decimal(41446681800), "CH", "+41446681800"),
    ],
)
def test_telephone_numbers(value: Any, region: str | None, number: str) -> None:
    assert transform(PHONE, value, region) == sha256(number)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (" Ann  Marie\t", "ann marie"),
        ("O'Brien-Smith, Jr.", "obriensmith jr"),
        ("Zoe\u0308", "zo\u00eb"),
        ("ÉLODIE", "élodie"),
        ("王小明", "王小明"),
        ("„Max“", "max"),
    ],
)
def test_names(value: str, name: str) -> None:
    assert transform(NAME, value) == sha256(name)


@pytest.mark.parametrize(
    ("kind", "value"), [(EMAIL, None), (EMAIL, " \n"), (PHONE, ""), (NAME, " - "), (NAME, ""), (PHONE, None)]
)
def test_nothing_is_not_hashed(kind: Transform, value: str | None) -> None:
    """The hash of an empty text would be the same for everybody without a value."""
    assert transform(kind, value) is None


BAD = [
    (EMAIL, "secret.person", None),
    (EMAIL, "secret person@x.org", None),
    (EMAIL, "secret@x@y", None),
    (EMAIL, "@", None),
    (PHONE, "0446681800secret", None),
    (PHONE, "0041446681800", None),
    (PHONE, "secret", "CH"),
    (PHONE, "+41 12 secret", None),
    (PHONE, "123", "CH"),
    (PHONE, "+999123456789", None),
    (NAME, True, None),
    (NAME, ["secret"], None),
    (PHONE, 446681800.5, "CH"),
]


@pytest.mark.parametrize(("kind", "value", "region"), BAD)
def test_what_cannot_be_normalised(kind: Transform, value: Any, region: str | None) -> None:
    with pytest.raises(ValueError, match=r"^(is not|has no) ") as raised:
        transform(kind, value, region)
    assert "secret" not in str(raised.value)
    assert "1234" not in str(raised.value)


@given(name=st.text(max_size=30))
def test_a_name_is_the_same_however_it_is_written(name: str) -> None:
    expected = transform(NAME, name)
    assert transform(NAME, f"  {name}\t.") == expected
    assert transform(NAME, unicodedata.normalize("NFC", name)) == expected
    assert transform(NAME, unicodedata.normalize("NFD", name)) == expected


def sync(**mapping: Any) -> Sync:
    return Sync(
        sync="a", model="m", destination="d", object="o", primary_key="id", mapping=mapping, sync_mode="incremental"
    )


def test_a_row() -> None:
    """Other fields stay as they are, and a field that is not sent stays away."""
    ads = sync(
        id={"column": "id"},
        email={"column": "email", "transform": "sha256_email"},
        phone={"column": "phone", "transform": "sha256_phone", "region": "CH"},
        name={"column": "name", "transform": "sha256_name"},
    )
    fields = {"id": 7, "email": "Ann@x.org", "phone": "044 668 18 00"}
    assert transformed(ads, fields) == {"id": 7, "email": sha256("ann@x.org"), "phone": sha256("+41446681800")}
    assert fields["email"] == "Ann@x.org"
    with pytest.raises(InvalidValue) as raised:
        transformed(ads, {**fields, "phone": "nobody knows"})
    assert (raised.value.field, raised.value.message) == ("phone", "is not a telephone number.")
    assert str(raised.value) == "`phone` is not a telephone number."


def test_what_goes_out_is_text() -> None:
    ads = sync(phone={"column": "phone", "transform": "sha256_phone"}, age={"column": "age"})
    types = {"id": FieldType.INTEGER, "phone": FieldType.INTEGER, "age": FieldType.INTEGER}
    assert ads.target(types).fields == {"phone": FieldType.TEXT, "age": FieldType.INTEGER}
