"""Cells that Meta knows: its own examples, and values that are none."""

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from reverse_etl_assets.destinations.meta_ads.people import ACCEPTS, InvalidValue, cells
from reverse_etl_assets.testing.builders import record


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def cell(name: str, value: Any, region: str | None = None) -> Any:
    """What becomes of one value beside a key."""
    found = cells(["EXTERN_ID", name], record("1", **{name: value}), "EXTERN_ID", region)
    return found[1]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("EMAIL", " John_Smith@gmail.com\n", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
        ("EMAIL", "mary@example.com", "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"),
        ("PHONE", "+1 (650)555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
        ("FN", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        ("FN", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ("FN", "Vale\u0301ry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ("COUNTRY", "US", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    ],
)
def test_metas_own_examples(name: str, value: str, expected: str) -> None:
    """From "Customer Information Parameters" and "Customer File Custom Audiences"."""
    assert cell(name, value) == expected


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("EMAIL", "Foo.Bar+x@GMail.com", "foo.bar+x@gmail.com"),
        ("LN", " O'Brien-Smith,  Jr.", "obriensmith jr"),
        ("FI", "Élodie", "é"),
        ("GEN", "Female", "f"),
        ("GEN", "M", "m"),
        ("DOBY", 1997, "1997"),
        ("DOBY", "1997-02-16", "1997"),
        ("DOBM", "1997-02-16", "02"),
        ("DOBM", Decimal(2), "02"),
        ("DOBD", "16", "16"),
        ("CT", "St. Gallen", "stgallen"),
        ("CT", "São Paulo", "saopaulo"),
        ("ST", "CA", "ca"),
        ("ZIP", "94035-1234", "94035"),
        ("ZIP", "940351234", "94035"),
        ("ZIP", 8000, "8000"),
        ("ZIP", "M1 1AE", "m11ae"),
        ("ZIP", "00-950", "00950"),
    ],
)
def test_what_is_hashed(name: str, value: Any, plain: str) -> None:
    assert cell(name, value) == sha256(plain)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MADID", " AECE52E7-03EE-455A-B3C4-E57283966239 ", "aece52e7-03ee-455a-b3c4-e57283966239"),
        ("EMAIL", sha256("mary@example.com").upper(), sha256("mary@example.com")),
        ("LOOKALIKE_VALUE", Decimal("44.50"), Decimal("44.50")),
        ("LOOKALIKE_VALUE", None, 0),
        ("DATA_PROCESSING_OPTIONS", True, ["LDU"]),
        ("DATA_PROCESSING_OPTIONS", False, []),
        ("DATA_PROCESSING_OPTIONS", None, []),
        ("DATA_PROCESSING_OPTIONS_STATE", 1000, 1000),
        ("DATA_PROCESSING_OPTIONS_COUNTRY", None, 0),
        ("GEN", "divers", ""),
        ("CT", "東京", ""),
        ("FN", " - ", ""),
    ],
)
def test_what_is_not_hashed(name: str, value: Any, expected: Any) -> None:
    assert cell(name, value) == expected


@pytest.mark.parametrize("name", [name for name in ACCEPTS if not name.startswith(("DATA_", "LOOK"))])
def test_nothing_is_an_empty_cell(name: str) -> None:
    """The hash of an empty text would be the same for everybody without a value."""
    key = "EMAIL" if name == "EXTERN_ID" else "EXTERN_ID"
    row = record("1", external_id="a@b.c")
    for empty in (None, "", " \n"):
        row = record("1", external_id="a@b.c", **{name: empty})
        assert cells([key, name], row, key, None)[1] == ""


def test_an_external_id_goes_as_it_is() -> None:
    assert cells(["EXTERN_ID"], record("1", external_id=" CRM-Ä7 "), "EXTERN_ID", None) == ["CRM-Ä7"]


def test_where_a_number_without_prefix_is() -> None:
    """The row's country, or else the sync's; a number with a prefix needs neither."""
    schema = ["EXTERN_ID", "PHONE", "COUNTRY"]

    def phone(country: str | None, region: str | None, number: str = "044 668 18 00") -> Any:
        return cells(schema, record("1", PHONE=number, COUNTRY=country), "EXTERN_ID", region)[1]

    assert phone("ch", "US") == phone(None, "CH") == phone(None, None, "+41446681800") == sha256("41446681800")
    with pytest.raises(InvalidValue, match=r"`PHONE` has no international prefix .* nor the option `region`"):
        phone(None, None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EMAIL", "secret.person", "is not an e-mail"),
        ("EMAIL", True, "is not a text"),
        ("EMAIL", ["secret"], "is not a text"),
        ("PHONE", "+41 secret", "is not a telephone number"),
        ("PHONE", "+41 12", "is not a telephone number"),
        ("PHONE", "+999123456789", "is not a telephone number"),
        ("DOBY", "1850", "number from 1900"),
        ("DOBM", 13, "number from 1 to 12"),
        ("DOBD", "secret", "number from 1 to 31"),
        ("COUNTRY", "Switzerland", "two letters"),
    ],
)
def test_what_cannot_be_sent_is_named_without_its_value(name: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidValue, match=said) as raised:
        cell(name, value)
    assert raised.value.field == name
    assert str(raised.value).startswith(f"`{name}` ")
    assert "secret" not in str(raised.value)


def test_a_row_without_anybody() -> None:
    row = record("1", external_id=" ", EMAIL="", COUNTRY="CH", CT="Bern")
    with pytest.raises(InvalidValue, match="no value in EXTERN_ID, EMAIL: there is nobody to look for"):
        cells(["EXTERN_ID", "EMAIL", "COUNTRY", "CT"], row, "EXTERN_ID", None)
