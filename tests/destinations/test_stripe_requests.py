"""The exact request of every operation to Stripe; and each fits the types that Stripe generates from its own OpenAPI
description for the official SDK."""

import re
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
from pydantic import SecretStr, ValidationError
from stripe.params import CustomerCreateParams, CustomerModifyParams, CustomerSearchParams
from stripe.params.billing import MeterEventCreateParams
from stripe.params.v2.billing import MeterEventStreamCreateParams
from typing_extensions import get_type_hints, is_typeddict

from reverse_etl_assets.destinations.stripe import Stripe
from reverse_etl_assets.destinations.stripe.options import StripeConnection
from reverse_etl_assets.destinations.stripe.reading import queries
from reverse_etl_assets.errors import SpecError
from reverse_etl_assets.records import FieldType, Operation, Record, Target
from reverse_etl_assets.testing.builders import batch, record, target
from tests.destinations import accounts

CUSTOMERS = target(
    "customers",
    "metadata.customer_id",
    *(Operation.UPSERT, Operation.UPDATE),
    **{"email": FieldType.TEXT, "metadata.plan": FieldType.TEXT, "metadata.spent": FieldType.DECIMAL},
)
BY_ID = target("customers", "id", Operation.UPDATE, **{"metadata.plan": FieldType.TEXT})
USAGE = {
    "payload.stripe_customer_id": FieldType.TEXT,
    "payload.value": FieldType.INTEGER,
    "timestamp": FieldType.TIMESTAMP,
}
EVENTS = target("meter_events", "identifier", Operation.INSERT, **USAGE)
STREAM = target("meter_event_stream", "identifier", Operation.INSERT, **USAGE)

ANN = record(
    "c1",
    {
        "email": "ann+1@shop.example",
        "metadata.plan": None,
        "metadata.spent": 12.5,
        "metadata.trial": True,
        "name": "Zoë & Co",
    },
)
KNOWN = Record("c1", "c1", ANN.fields, "cus_1")
WHERE = record(
    "c2",
    {
        "address.line1": "1 Main St",
        "address.city": None,
        "preferred_locales": ["de", "en"],
        "metadata.a.b": {"n": [1]},
    },
)
USE = record(
    "u1",
    {"payload.stripe_customer_id": "cus_1", "payload.value": 7, "timestamp": "2099-01-01T01:00:00+01:00"},
)


def opened(of: Target = CUSTOMERS, key: str = "sk_test_x", **options: Any) -> Stripe:
    return accounts.offline(Stripe, accounts.stripe("https://stripe.test", key), of, meter="product_events", **options)


def request(operation: Operation, row: Record, of: Target = CUSTOMERS, **options: Any) -> httpx.Request:
    return opened(of, **options).build_request(batch(operation, row, idempotency_key="k"))


@pytest.mark.parametrize(
    ("operation", "row", "of", "line", "form"),
    [
        (
            Operation.UPSERT,
            ANN,
            CUSTOMERS,
            "POST /stripe/v1/customers",
            "email=ann%2B1%40shop.example&metadata[spent]=12.5&metadata[trial]=true&name=Zo%C3%AB+%26+Co"
            "&metadata[customer_id]=c1",
        ),
        (
            Operation.UPSERT,
            KNOWN,
            CUSTOMERS,
            "POST /stripe/v1/customers/cus_1",
            "email=ann%2B1%40shop.example&metadata[plan]=&metadata[spent]=12.5&metadata[trial]=true&name=Zo%C3%AB+%26+Co"
            "&metadata[customer_id]=c1",
        ),
        (
            Operation.UPSERT,
            WHERE,
            CUSTOMERS,
            "POST /stripe/v1/customers",
            "address[line1]=1+Main+St&preferred_locales[0]=de&preferred_locales[1]=en"
            "&metadata[a.b]=%7B%22n%22%3A[1]%7D&metadata[customer_id]=c2",
        ),
        (
            Operation.UPDATE,
            record("cus_9", **{"metadata.plan": ""}),
            BY_ID,
            "POST /stripe/v1/customers/cus_9",
            "metadata[plan]=",
        ),
        (Operation.DELETE, KNOWN, CUSTOMERS, "DELETE /stripe/v1/customers/cus_1", ""),
        (
            Operation.INSERT,
            USE,
            EVENTS,
            "POST /stripe/v1/billing/meter_events",
            "event_name=product_events&identifier=u1&payload[stripe_customer_id]=cus_1&payload[value]=7"
            "&timestamp=4070908800",
        ),
    ],
)
def test_the_request(operation: Operation, row: Record, of: Target, line: str, form: str) -> None:
    sent = request(operation, row, of, delete=True)
    assert f"{sent.method} {sent.url.path}" == line
    assert sent.content.decode() == form
    assert sent.headers["Stripe-Version"] == "2026-05-27.dahlia"


def test_the_request_of_the_stream() -> None:
    row = Record("u1", "u1", {**USE.fields, "timestamp": None})
    sent = opened(STREAM).build_request(batch(Operation.INSERT, row))
    assert str(sent.url) == "https://stripe.test/stripe/v2/billing/meter_event_stream"
    payload = {"stripe_customer_id": "cus_1", "value": "7"}
    told = {"event_name": "product_events", "identifier": "u1", "payload": payload}
    assert msgspec.json.decode(sent.content) == {"events": [told]}


def test_only_creates_carry_an_idempotency_key() -> None:
    """Stripe would answer an update that goes back to earlier values with its first answer, and change nothing."""
    assert request(Operation.UPSERT, ANN).headers["Idempotency-Key"] == "k"
    for sent in (
        request(Operation.UPSERT, KNOWN),
        request(Operation.UPDATE, KNOWN),
        request(Operation.INSERT, USE, EVENTS),
    ):
        assert "Idempotency-Key" not in sent.headers


# The judge: types that Stripe generates from its OpenAPI description


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        first, *rest = re.findall(r"[^\[\]]+", name)
        place, *parts = values, first, *rest
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    if isinstance(listed := values.get("preferred_locales"), dict):
        values["preferred_locales"] = list(listed.values())
    return values


_UNNAMED = {"StripeContext": str, "Mapping": dict}  # names that the SDK imports for type checkers alone


def _foreign(values: Any, kind: Any) -> Iterator[str]:
    """Names that a TypedDict of the SDK does not have, at any depth, and values where it has an object, or none."""
    kinds = [each for each in (kind, *get_args(kind)) if is_typeddict(each)]
    if isinstance(values, list):
        for value in values:
            yield from _foreign(value, get_args(kind)[0])
    elif isinstance(values, dict) and kinds:
        hints = get_type_hints(kinds[0], localns=_UNNAMED)
        yield from (f"{name} is missing" for name in kinds[0].__required_keys__ - values.keys())
        for name, value in values.items():
            yield from _foreign(value, hints[name]) if name in hints else [name]
    elif isinstance(values, dict) is not ("Dict[" in str(kind)) and values != "":
        yield f"{values} is no {kind}"


JUDGED: list[tuple[Any, Operation, Record, Target]] = [
    (CustomerCreateParams, Operation.UPSERT, ANN, CUSTOMERS),
    (CustomerCreateParams, Operation.UPSERT, WHERE, CUSTOMERS),
    (CustomerModifyParams, Operation.UPSERT, KNOWN, CUSTOMERS),
    (CustomerModifyParams, Operation.UPDATE, record("cus_9", **{"metadata.plan": None, "address.city": ""}), BY_ID),
    (MeterEventCreateParams, Operation.INSERT, USE, EVENTS),
]


@pytest.mark.parametrize(("params", "operation", "row", "of"), JUDGED)
def test_forms_fit_what_stripe_generates(params: Any, operation: Operation, row: Record, of: Target) -> None:
    form = _nested(parse_qsl(request(operation, row, of).content.decode(), keep_blank_values=True))
    assert list(_foreign(form, params)) == []


def test_the_judge_refuses_what_stripe_does_not_know() -> None:
    wrong = {"colour": "red", "address": {"planet": "Mars"}, "metadata": "x", "email": {"a": "b"}, "name": "fine"}
    assert len(list(_foreign(wrong, CustomerCreateParams))) == 4
    assert list(_foreign({"event_name": "x"}, MeterEventCreateParams)) == ["payload is missing"]


def test_the_stream_and_the_search_fit_what_stripe_generates() -> None:
    sent = opened(STREAM).build_request(batch(Operation.INSERT, Record("u1", "u1", {**USE.fields, "timestamp": None})))
    assert list(_foreign(msgspec.json.decode(sent.content), MeterEventStreamCreateParams)) == []
    assert list(_foreign({"query": next(queries("customer_id", ["a"])), "limit": "9"}, CustomerSearchParams)) == []


# Searching


def test_a_search_escapes_quotes() -> None:
    assert list(queries("key", ["a", 'b"c', "d\\"])) == [
        r'metadata["key"]:"a" OR metadata["key"]:"b\"c" OR metadata["key"]:"d\\"'
    ]


def test_long_keys_take_more_than_one_search() -> None:
    found = list(queries("customer_id", [str(n) * 500 for n in range(10)]))
    assert len(found) == 2
    assert all(len(query) <= 5_000 for query in found)
    assert sum(query.count("metadata[") for query in found) == 10


# What an account and a sync may be


@pytest.mark.parametrize(
    ("key", "settings", "said"),
    [
        ("pk_live_123", {}, "begins with rk_live_.*looks like a publishable key.*Make a restricted key in Stripe"),
        ("whsec_123", {}, "looks like the secret of a webhook endpoint"),
        ("xoxb-123", {}, "looks like something else"),
        ("'sk_test_123'", {}, "has nothing around it"),
        ("rk_test_123", {"mode": "live"}, "of test mode, and `mode` says live"),
        ("rk_live_123", {"mode": "test"}, "of live mode, and `mode` says test"),
    ],
)
def test_a_key_of_the_wrong_kind_is_refused_without_being_shown(key: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        StripeConnection(secret_key=SecretStr(key), **settings)
    assert key not in str(caught.value)


def test_limits_follow_the_mode_of_the_key() -> None:
    found = {
        (key[3:7], of.object): opened(of, key).capabilities
        for key in ("sk_test_x", "rk_live_x")
        for of in (CUSTOMERS, EVENTS)
    }
    rates = {which: (able.requests_per_second, able.rate_scope) for which, able in found.items()}
    assert rates == {
        ("test", "customers"): (24.0, ""),
        ("test", "meter_events"): (24.0, ""),
        ("live", "customers"): (24.0, "customers"),
        ("live", "meter_events"): (990.0, "meter_events"),
    }


def test_an_own_rate_counts_in_both_modes() -> None:
    for key in ("sk_test_x", "sk_live_x"):
        account = accounts.stripe("https://stripe.test", key, requests_per_second=50.0)
        assert accounts.offline(Stripe, account, CUSTOMERS).capabilities.requests_per_second == 50.0


def test_a_mirror_has_to_be_meant() -> None:
    mirror = target("customers", "metadata.customer_id", Operation.UPSERT, Operation.DELETE)
    with pytest.raises(SpecError, match="cancels every subscription"):
        Stripe.capabilities_for(mirror, Stripe.Options())
    assert Operation.DELETE in Stripe.capabilities_for(mirror, Stripe.Options(delete=True)).operations
    assert Operation.DELETE not in Stripe.capabilities_for(CUSTOMERS, Stripe.Options()).operations


def test_parts_of_an_address_go_out_together() -> None:
    whole = target("customers", "metadata.k", Operation.UPSERT, **{"address.city": FieldType.TEXT})
    assert Stripe.capabilities_for(whole, Stripe.Options()).partial == frozenset()
    assert Operation.UPSERT in Stripe.capabilities_for(CUSTOMERS, Stripe.Options()).partial


def test_links_lead_to_the_dashboard() -> None:
    real, sandbox = "https://api.stripe.com", "http://127.0.0.1/stripe"
    dashboard, live = "https://dashboard.stripe.com", {"mode": ["live"]}
    assert Stripe.record_link(real, CUSTOMERS, "cus_1", live) == f"{dashboard}/customers/cus_1"
    assert Stripe.record_link(real, CUSTOMERS, "cus_1", {"mode": ["test"]}) == f"{dashboard}/test/customers/cus_1"
    assert Stripe.record_link(sandbox, CUSTOMERS, "cus_1", live) is None
    assert Stripe.record_link(real, EVENTS, "u1", live) is None
    assert Stripe.link(real, EVENTS) == "https://dashboard.stripe.com/meters"
