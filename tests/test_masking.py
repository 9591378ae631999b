"""Personal data is not shown: not as a value, not as a key, and not in what a vendor says."""

import html
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, strategies as st

from reverse_etl_assets.dbt.manifest import Model
from reverse_etl_assets.privacy.masking import Mask
from reverse_etl_assets.records import Record, RowError
from reverse_etl_assets.spec.sync import Sync

PII = {"email": "email", "name": "name", "phone": "phone", "born": "personal"}
MODEL = Model("people", "", "marts", "people", {}, {}, PII)
MAPPING = {"Mail": "EMAIL", "First": "name", "Phone": "phone", "Born": "born", "Town": "city", "Web": {"constant": 1}}
PLAIN = {"sync": "a", "model": "people", "destination": "d", "object": "o", "sync_mode": "mirror"}


def mask(*key: str, **mapping: Any) -> Mask:
    return Mask.of(Sync.model_validate({**PLAIN, "primary_key": key, "mapping": mapping or MAPPING}), MODEL)


BY_ID, BY_EMAIL = mask("id"), mask("Email")


def test_what_is_personal() -> None:
    assert BY_ID.fields == {"Mail", "First", "Phone", "Born"}
    assert mask("id", "email").key_parts == (False, True)
    assert not mask("id", Town="city").hides


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ann@x.org", "a***@***"),
        ("7@x.org", "***@***"),
        ("Ann", "A***"),
        ("Al", "***"),
        ("王小明", "王***"),
        ("+41 44 668 18 00", "***"),
        ("1980-01-31", "***"),
        (date(1980, 1, 31), "***"),
        (34, "***"),
        (Decimal("1.5"), "***"),
        (True, "***"),
        (["Ann"], "***"),
        (None, None),
        ("", ""),
    ],
)
def test_values(value: Any, shown: Any) -> None:
    assert BY_ID.value("First", value) == shown
    assert BY_ID.value("Town", value) == value
    assert BY_ID.row({"First": value, "Web": 1}) == {"First": shown, "Web": 1}


def test_keys() -> None:
    assert BY_ID.key("C-1") == "C-1"
    assert BY_EMAIL.key("ann@x.org") == "a***@***"
    assert BY_EMAIL.key(None) is None
    assert BY_EMAIL.key("a|b@x.org") == "a***@***"
    both = mask("id", "email")
    assert both.key("C-1|ann@x.org") == "C-1|a***@***"
    assert both.key(r"C\|1|ann@x.org") == r"C\|1|a***@***"
    assert both.key("not as we write keys") == "n***"


ROW = {"Mail": "Ann@x.org", "First": "Al", "Phone": "+41 44 668 18 00", "Born": 1980, "Town": "Bern", "Web": 1}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Property values were not valid: email ann@X.ORG", "Property values were not valid: email ***"),
        ('{"email":"Ann@x.org","town":"Bern"}', '{"email":"***","town":"Bern"}'),
        ("GET /people/Ann%40x.org?a=1 not found", "GET /people/***?a=1 not found"),
        ("Alas, Al in Alabama", "Alas, *** in Alabama"),
        ("no such number: +41446681800", "no such number: ***"),
        ("no such number: 41-44-6681800.", "no such number: ***."),
        ("born in 1980?", "born in ***?"),
        ("taken by bob.y+tag@example.co.uk, too", "taken by ***, too"),
        ("C-1 is locked", "C-1 is locked"),
        ("", ""),
    ],
)
def test_messages(said: str, shown: str) -> None:
    assert BY_ID.text(said, ROW, "C-1") == shown


def test_the_error_of_a_row() -> None:
    record = Record("eve@x.org", "EVE@x.org", {"First": "Ann-Marie"})
    error = RowError("Eve@x.org (ANN-MARIE) exists: ID 12", "DUPLICATE", "First")
    assert BY_EMAIL.error(record, error) == RowError("*** (***) exists: ID 12", "DUPLICATE", "First")
    assert BY_EMAIL.error(record, None) is None
    assert Mask().error(record, error) is error


def test_the_error_of_a_batch() -> None:
    records = [Record(f"p{n}", f"p{n}", {"First": f"Person{n}"}) for n in range(300)]
    assert BY_ID.message(records, "Person7, then person299; p7") == "***, then ***; p7"
    assert Mask().message(records, "Person7") == "Person7"


def test_a_key_of_two_columns() -> None:
    both = mask("id", "email")
    assert both.text("C-1|Ann@x.org: no Ann@x.org of C-1", {}, "C-1|ann@x.org") == "C-1|***: no *** of C-1"


WRITTEN: list[Callable[[str], str]] = [
    str, str.lower, str.upper, str.swapcase, quote, quote_plus, lambda text: quote(text, safe=""), html.escape,
    lambda text: json.dumps(text)[1:-1], lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
]  # fmt: skip
# Without surrogates; without the mask's own stars; without letters that are others once they were upper case.
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="*").filter(
    lambda each: each.upper().casefold() == each.casefold() == each.lower().casefold()
)
VALUES = st.text(LETTERS, min_size=3, max_size=20).map(str.strip).filter(lambda text: len(text) >= 3)


@given(
    row=st.fixed_dictionaries({"Mail": VALUES, "First": VALUES, "Phone": VALUES, "Born": st.integers(100, 10**12)}),
    key=VALUES,
    filling=st.lists(st.text(max_size=10), min_size=6, max_size=6),
    written=st.lists(st.sampled_from(WRITTEN), min_size=5, max_size=5),
)
def test_no_value_of_a_row_is_left_in_a_message(
    row: dict[str, Any], key: str, filling: list[str], written: list[Callable[[str], str]]
) -> None:
    planted = [str(value) for value in (*row.values(), key)]
    assume(not any("*" in form(text) for form, text in zip(written, planted, strict=True)))
    said = filling[0]
    for form, text, between in zip(written, planted, filling[1:], strict=True):
        said += form(text) + between
    shown = BY_EMAIL.text(said, row, key)
    for form, text in zip(written, planted, strict=True):
        assert form(text).casefold() not in shown.casefold()
        assert text.casefold() not in shown.casefold()


@given(value=st.text(min_size=3))
def test_a_shown_value_tells_one_letter_at_most(value: str) -> None:
    shown = BY_ID.value("First", value)
    assert shown.replace("@", "").strip("*") in ("", value[0])
